"""A plan in words, a line for each part of the recipe."""

from leansr.lab.train.plan import Plan
from leansr.lab.train.recipe import Data, Loss, Optimizer, Recipe, Schedule


def lines(plan: Plan) -> list[tuple[str, str]]:
    """What each line is of, and what it says."""
    recipe = plan.recipe
    return [
        ("network", _network(plan)),
        ("start", _start(plan)),
        ("pictures", _pictures(plan)),
        ("source", f"{plan.source} (licence: {plan.licence})"),
        ("crops", crops(recipe.data) + _degraded(recipe.data)),
        ("loss", _objective(recipe)),
        ("optimiser", optimizer(recipe.optimizer)),
        ("schedule", f"{schedule(recipe.schedule)}; {_budget(recipe.schedule)}"),
        *([("at the end", _finish(recipe))] if recipe.finish is not None else []),
        ("average", f"of weights, {recipe.ema:g} of it kept a step" if recipe.ema else "none"),
        ("validation", _validation(plan)),
        ("device", _device(plan)),
        ("time", _time(plan)),
        *([("expected", _expected(recipe))] if recipe.expect is not None else []),
    ]


def _network(plan: Plan) -> str:
    recipe = plan.recipe
    changes = "".join(f", {key} {value}" for key, value in recipe.network.items())
    space = f", {plan.space} space" if plan.space is not None else ""
    return (
        f"{recipe.variant} x{recipe.scale}{changes}: {_spaced(plan.params)} parameters{space}, "
        f"{recipe.precision}"
    )


def _start(plan: Plan) -> str:
    if plan.step:
        return f"goes on from step {_spaced(plan.step)}"
    start = plan.recipe.start
    if start is None:
        return f"afresh, seed {plan.recipe.seed}"
    fresh = f", but for {', '.join(start.fresh)}" if start.fresh else ""
    return f"{start.weights}{fresh}"


def _pictures(plan: Plan) -> str:
    place = "read from disk as needed" if plan.mapped else "in memory"
    modes = f"; {plan.modes}" if plan.modes else ""
    return (
        f"{plan.pictures} of {plan.megapixels:.1f} megapixels in all, {plan.data_mib:.0f} MiB "
        f"{place}{modes}"
    )


def crops(data: Data) -> str:
    """How many crops of what size make a step."""
    best = f", of {data.candidates} places the one with the most detail"
    return (
        f"{data.batch} of {data.lr_crop} x {data.lr_crop} LR pixels a step"
        f"{best if data.candidates > 1 else ''}"
    )


def _degraded(data: Data) -> str:
    if data.degradation == "bicubic":
        return ""
    clean = f" but for {data.untouched:.0%} of them" if data.untouched else ""
    return (
        f"; LR degraded like a {data.degradation}{clean}, {data.versions} versions of each picture"
    )


def _objective(recipe: Recipe) -> str:
    if recipe.teacher is None:
        return loss(recipe.loss)
    ensemble = ", the mean over its eight ways" if recipe.teacher.self_ensemble else ""
    return (
        f"{loss(recipe.loss)}, {recipe.teacher.weight:.0%} of it against {recipe.teacher.weights}"
        f"{ensemble}"
    )


def loss(settings: Loss) -> str:
    """The loss with what belongs to it."""
    epsilon = f" ({settings.epsilon:g})" if settings.name not in ("l1", "l2") else ""
    fft = f" + {settings.fft:g} x that of spectra" if settings.fft else ""
    return f"{settings.name}{epsilon}{fft}"


def optimizer(settings: Optimizer) -> str:
    """The optimiser of kernels and of the rest, with their rates."""
    words = [f"{settings.name} at {settings.lr:g}"]
    if settings.name == "muon":
        words[0] += f" (momentum {settings.momentum:g})"
    words += [f"biases and slopes by adam at {settings.lr * settings.vector_lr:g}"]
    words += [f"betas {settings.betas[0]:g} and {settings.betas[1]:g}"]
    if settings.weight_decay:
        words += [f"weight decay {settings.weight_decay:g}"]
    if settings.clip is not None:
        words += [f"gradients clipped to {settings.clip:g}"]
    return ", ".join(words)


def schedule(settings: Schedule) -> str:
    """How the rate goes over a run."""
    floor = f"to {settings.floor:g} of it" if settings.floor else "to zero"
    match settings.name:
        case "cosine" if settings.decay == 1:
            words = f"a cosine {floor}"
        case "cosine" if settings.decay > 0:
            words = f"constant, a cosine {floor} over the last {settings.decay:.0%}"
        case "cosine" | "constant":
            words = "constant"
        case "halving":
            assert settings.every is not None
            words = f"times {settings.factor:g} every {_spaced(settings.every)} steps"
        case "multi-step":
            at = ", ".join(map(_spaced, settings.milestones))
            words = f"times {settings.factor:g} at step {at}"
        case "one-cycle":
            words = f"up over the first {settings.rise:.0%}, then down {floor}"
    warm = f"{settings.warmup_steps} steps of warm-up, " if settings.warmup_steps else ""
    return warm + words


def _budget(settings: Schedule) -> str:
    if settings.steps is not None:
        return f"{_spaced(settings.steps)} steps"
    return f"{settings.minutes:g} minutes"


def _finish(recipe: Recipe) -> str:
    assert recipe.finish is not None
    words = [f"over the last {recipe.finish.share:.0%}"]
    if recipe.finish.data is not None:
        words += [crops(recipe.finish.data)]
    if recipe.finish.loss is not None:
        words += [f"loss {loss(recipe.finish.loss)}"]
    return ", ".join(words)


def _validation(plan: Plan) -> str:
    if not plan.validation_pictures:
        return "none: the newest weights are kept"
    every = _spaced(plan.recipe.validate_every)
    return f"{plan.validation_pictures} pictures every {every} steps; the best weights are kept"


def _device(plan: Plan) -> str:
    several = f", {plan.processes} processes" if plan.processes > 1 else ""
    return f"{plan.device}{several}, {'' if plan.compiled else 'not '}compiled"


def _time(plan: Plan) -> str:
    if plan.step >= plan.steps:
        return "none: the run is over"
    validating = ""
    if plan.seconds_per_validation is not None:
        validating = f" and {plan.seconds_per_validation:.1f} s a validation"
    starting = (
        f"; {plan.seconds_to_start:.0f} s to start, once" if plan.seconds_to_start > 1 else ""
    )
    return (
        f"{duration(plan.minutes_left)} here, {_spaced(plan.steps - plan.step)} steps at "
        f"{plan.seconds_per_step * 1000:.1f} ms{validating}{starting}"
    )


def duration(minutes: float) -> str:
    """A length of time in the unit that one would say it in."""
    if minutes < 120:
        return f"{minutes:.0f} minutes" if minutes >= 10 else f"{minutes:.1f} minutes"
    hours = minutes / 60
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"


def _expected(recipe: Recipe) -> str:
    expect = recipe.expect
    assert expect is not None
    return (
        f"{expect.set5_psnr_y:.2f} dB on Set5, {expect.set14_psnr_y:.2f} dB on Set14 "
        f"({expect.source})"
    )


def _spaced(count: int) -> str:
    return f"{count:,}".replace(",", " ")
