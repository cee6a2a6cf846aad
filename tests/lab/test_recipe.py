import re
import tomllib

import msgspec
import pytest
import safetensors.torch
import torch

from leansr import zoo
from leansr.errors import UsageError
from leansr.lab.nets import build
from leansr.lab.train.recipe import (
    Data,
    Expect,
    Loss,
    Optimizer,
    Recipe,
    Schedule,
    Start,
    Strict,
    Teacher,
    goes_on,
    load,
    shipped,
)
from leansr.lab.train.schedule import rate
from leansr.lab.weights import load_strictly, read_tensors
from leansr.zoo.release import every_release, stem

GOOD = """
variant = "sesr-m3"
scale = 2
space = "direct"
data = {lr_crop = 8, batch = 2}
optimizer = {name = "muon", lr = 1e-3}
schedule = {warmup_steps = 2, decay = 0.5, steps = 9}
"""

# What a shipped recipe says itself, whatever the defaults.
SPELLED_OUT = {
    *("variant", "scale", "seed", "ema", "validate_every", "compile", "precision"),
    *("data.lr_crop", "data.batch", "data.candidates"),
    *("optimizer.name", "optimizer.lr", "optimizer.vector_lr", "optimizer.weight_decay"),
    "schedule.warmup_steps",
}
OF_SCHEDULE = {
    "cosine": {"schedule.decay"},
    "constant": set(),
    "halving": {"schedule.every", "schedule.factor"},
    "multi-step": {"schedule.milestones", "schedule.factor"},
    "one-cycle": {"schedule.rise", "schedule.floor"},
}
# The rest: frozen, for a default that changes would change what recipes mean.
DEFAULTS = {
    Recipe: {
        "space": None,
        "network": {},
        "seed": 0,
        "ema": 0.999,
        "validate_every": 1000,
        "compile": True,
        "precision": "fp32",
        "loss": Loss(name="l1", epsilon=1e-3, fft=0.0),
        "teacher": None,
        "finish": None,
        "start": None,
        "expect": None,
    },
    Data: {"candidates": 1, "degradation": "bicubic", "versions": 1, "untouched": 0.5},
    Loss: {"name": "l1", "epsilon": 1e-3, "fft": 0.0},
    Start: {"fresh": ()},
    Teacher: {"weight": 0.5, "self_ensemble": False},
    Optimizer: {
        "vector_lr": 1.0,
        "betas": (0.9, 0.999),
        "epsilon": 1e-8,
        "momentum": 0.95,
        "weight_decay": 0.0,
        "clip": None,
    },
    Schedule: {
        "name": "cosine",
        "warmup_steps": 0,
        "decay": 1.0,
        "floor": 0.0,
        "rise": 0.3,
        "every": None,
        "milestones": (),
        "factor": 0.5,
        "steps": None,
        "minutes": None,
    },
}


# What may follow the stem of a release in the name of a recipe for it.
PURPOSE = re.compile("-(paper|fast|longer|psnr).*")


@pytest.mark.parametrize("name", shipped())
def test_shipped_recipes_are_complete(name):
    recipe = load(name)
    variant = zoo.find(recipe.variant, recipe.scale)
    build(variant, recipe.scale, space=recipe.space)
    kind = "photo" if recipe.data.degradation == "photo" else "clean"
    assert PURPOSE.sub("", name) == stem(recipe.variant, recipe.scale, kind)
    assert msgspec.json.decode(msgspec.json.encode(recipe), type=Recipe) == recipe
    written = all_keys(tomllib.loads(shipped()[name].read_text(encoding="utf-8")))
    assert written >= SPELLED_OUT | OF_SCHEDULE[recipe.schedule.name]
    assert len(written & {"schedule.steps", "schedule.minutes"}) == 1
    assert ("space" in written) == bool(build(variant, recipe.scale).spaces)


def all_keys(table):
    keys = set()
    for key, value in table.items():
        keys |= {f"{key}.{name}" for name in all_keys(value)} if isinstance(value, dict) else {key}
    return keys


TABLES = [table for table in Strict.__subclasses__() if table.__module__ == Recipe.__module__]


@pytest.mark.parametrize("table", TABLES)
def test_defaults_are_frozen(table):
    found = {}
    for field in msgspec.structs.fields(table):
        if not field.required:
            has_factory = field.default_factory is not msgspec.NODEFAULT
            found[field.name] = field.default_factory() if has_factory else field.default
    assert found == DEFAULTS.get(table, dict.fromkeys(found))


def test_each_paper_has_a_recipe_that_takes_half_an_hour():
    for name in shipped():
        plain, is_paper, _ = name.partition("-paper")
        if is_paper:
            assert f"{plain}-fast" in shipped() or plain in shipped()
    fast = [load(name).schedule for name in shipped() if name.endswith("-fast")]
    assert {schedule.minutes for schedule in fast} == {30}


# What the papers print (patch, batch, rate, steps) and, last, the sum of the rates over a run by
# hand, in full rates: how far the schedule goes down, and when.
PRINTED = {
    "bsrn_x4": (48, 64, 1e-3, 1_000_000, 0.50005e6),
    "bsrn-s_x4": (64, 256, 2e-3, 1_500_000, 0.5 * (1 + 5e-5) * 1.5e6),
    "fmen_x4": (64, 64, 5e-4, 3_000_000, 6e5 * (1 + 1 / 2 + 1 / 4 + 1 / 8 + 1 / 16)),
    "fmen-s_x4": (64, 64, 5e-4, 3_000_000, 6e5 * (1 + 1 / 2 + 1 / 4 + 1 / 8 + 1 / 16)),
    "mdrn_x4": (64, 64, 2e-3, 1_000_000, 1e5 + 4e5 / 2 + 3e5 / 4 + 1e5 / 8 + 5e4 / 16 + 5e4 / 32),
    "mdrn-s_x4": (64, 64, 2e-3, 1_000_000, 1e5 + 4e5 / 2 + 3e5 / 4 + 1e5 / 8 + 5e4 / 16 + 5e4 / 32),
    "rcan-bl_x2": (48, 16, 1e-4, 300_000, 2e5 + 1e5 / 2),
    "rcan-bl_x3": (48, 16, 1e-4, 300_000, 2e5 + 1e5 / 2),
    "rcan-bl_x4": (48, 16, 1e-4, 300_000, 2e5 + 1e5 / 2),
    "rcan-bl-int8_x2": (48, 16, 5e-5, 5_000, 5e3),
    "rcan-bl-ternary-r1_x2": (48, 16, 2.5e-5, 10_000, 1e4),
    "rcan-bl-e_x2": (48, 16, 1e-4, 300_000, 2e5 + 1e5 / 2),
    "rcan-bl-e_x4": (48, 16, 1e-4, 300_000, 2e5 + 1e5 / 2),
    "sesr-m5_x2": (64, 32, 5e-4, 480_000, 4.8e5),
    "sesr-m5_x4": (64, 32, 5e-4, 480_000, 4.8e5),
    "sesr-m11_x2": (64, 32, 5e-4, 480_000, 4.8e5),
    "sesr-m11_x4": (64, 32, 5e-4, 480_000, 4.8e5),
    "sesr-xl_x2": (64, 32, 5e-4, 480_000, 4.8e5),
    "sesr-xl_x4": (64, 32, 5e-4, 480_000, 4.8e5),
}


@pytest.mark.parametrize("name", [name for name in shipped() if name.endswith("-paper")])
def test_papers_are_as_printed(name):
    recipe = load(name)
    patch, batch, lr, steps, area = PRINTED[name.removesuffix("-paper")]
    schedule, optimizer = recipe.schedule, recipe.optimizer
    assert (recipe.data.lr_crop, recipe.data.batch) == (patch, batch)
    assert (optimizer.lr, optimizer.vector_lr, schedule.steps) == (lr, 1.0, steps)
    assert (optimizer.name, optimizer.betas, optimizer.epsilon) == ("adam", (0.9, 0.999), 1e-8)
    assert (recipe.loss, recipe.precision, recipe.data.candidates) == (Loss(), "fp32", 1)
    assert optimizer.clip is None
    assert optimizer.weight_decay == schedule.warmup_steps == 0
    # Every thousandth step, in the middle between two changes.
    sampled = range(500, steps, 1000)
    assert 1000 * sum(rate(schedule, s, s / steps) for s in sampled) == pytest.approx(
        area, rel=1e-5
    )


@pytest.mark.parametrize("name", [name for name in shipped() if load(name).start])
def test_what_recipes_start_from_fits(name, tmp_path):
    """From a network at the scale and in the space that its name says, of random weights."""
    recipe = load(name)
    weights = recipe.start.weights
    is_release = not weights.endswith(".safetensors")
    name = weights if is_release else weights.split("/")[1]
    variant, scale = PURPOSE.sub("", name).rsplit("_x", 1)
    variant = variant.removesuffix("-photo")
    of = zoo.VARIANTS[recipe.variant].arguments.get("of")
    assert variant in (recipe.variant, of)
    space = recipe.space if variant == recipe.variant else None
    if not is_release:
        assert weights == f"runs/{name}/weights.safetensors"
        space = load(name).space
    torch.manual_seed(1)
    given = build(zoo.find(variant, int(scale)), int(scale), space)
    path = tmp_path / "start.safetensors"
    safetensors.torch.save_file(given.state_dict(), path)
    network = build(zoo.find(recipe.variant, recipe.scale), recipe.scale, recipe.space)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    load_strictly(network, network.adopted(read_tensors(path)), str(path), recipe.start.fresh)
    if recipe.space == "fixed":
        return  # made ternary as they are taken over (test_sum_product)
    for key, tensor in network.state_dict().items():
        is_fresh = key.split(".")[0] in recipe.start.fresh
        # What is not of the weights that an int8 network starts from is its ranges.
        is_range = variant == of and key.startswith("ranges.")
        assert torch.equal(tensor, before[key] if is_fresh or is_range else given.state_dict()[key])
    if is_release:
        tensors = network.adopted(read_tensors(recipe.start.path()))
        load_strictly(network, tensors, weights, recipe.start.fresh)


@pytest.mark.parametrize("release", every_release(), ids=lambda r: r.onnx.stem)
def test_what_a_recipe_expects_is_what_its_release_has(release):
    # The release was made by a shipped recipe, and that recipe states the release's figures.
    told = msgspec.convert(release.card["training"]["recipe"], type=Recipe)
    names = [name for name in shipped() if plain(load(name)) == plain(told)]
    assert len(names) == 1
    expect = load(names[0]).expect
    quantized = release.card.get("quantized", {})
    # A calibrated one was not trained: its recipe is that of the floats.
    of = quantized["floats"] if quantized.get("method") == "ptq" else release.card
    psnr = {row["benchmark"]: row["psnr_y"] for row in of["quality"]}
    assert expect.set5_psnr_y == pytest.approx(psnr["Set5"], abs=0.006)
    assert expect.set14_psnr_y == pytest.approx(psnr["Set14"], abs=0.006)


def plain(recipe):
    """But for what it expects, and for where the same tensors to start from are."""
    start = recipe.start and msgspec.structs.replace(recipe.start, weights="")
    return msgspec.structs.replace(recipe, expect=None, start=start)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("lr_crop", "lr_corp"), "unknown field `lr_corp` - at `$.data`; did you mean lr_crop?"),
        (("variant", "varaint"), "did you mean variant?"),
        (("steps = 9", "steps = 0"), "`int` >= 1 - at `$.schedule.steps`"),
        (("steps = 9", "steps = 9, minutes = 1"), "steps or minutes, and not both"),
        ((", steps = 9", ""), "steps or minutes"),
        (('"muon"', '"moun"'), "'moun' - at `$.optimizer.name`; one of adam, muon, soap"),
        (("scale = 2\n", ""), "missing required field `scale`"),
        (("scale = 2", "scale = 'two'"), "Expected `int`, got `str` - at `$.scale`"),
        (("scale = 2", "scale == 2"), "recipe.toml"),
        # Of the table that the key stands in, and not of others.
        (("scale = 2", "scale = 2\nbatch = 3"), "`batch`; did you mean data.batch?"),
        (("scale = 2", "scale = 2\nloss.nam = 'l1'"), "at `$.loss`; did you mean name?"),
        (("scale = 2", "scale = 2\nloss.x = 1"), "at `$.loss`; there are name, epsilon, fft"),
        (("scale = 2", "scale = 2\nfinish.data.bath = 1"), "`$.finish.data`; did you mean batch?"),
        (("scale = 2", "scale = 2\nteacher.weight = 1"), "field `weights` - at `$.teacher`"),
        (("scale = 2", "scale = 2\nprecision = 'fp8'"), "`$.precision`; one of fp32, bf16, fp16"),
        (("scale = 2", "scale = 2\nnetwork.keep = [1.5]"), "at `$.network[...][0]`"),
        (("scale = 2", "scale = 2\nnetwork.x = 1.5"), "got `float` - at `$.network[...]`"),
        (("batch = 2", "batch = 2, versions = 2"), "bicubic has one - at `$.data`"),
        (("batch = 2", "batch = 2, untouched = 0.2"), "bicubic has none - at `$.data`"),
        (("scale = 2", "scale = 2\nseed = -1"), "`int` >= 0 - at `$.seed`"),
        (("scale = 2", "scale = 2\nloss.epsilon = 0.1"), "belongs to charbonnier, huber"),
        (("scale = 2", "scale = 2\nfinish.share = 0.1"), "finish needs data or loss"),
        (
            (
                "scale = 2",
                "scale = 2\nfinish = {share = 0.1, data = {lr_crop = 8, batch = 2, "
                "degradation = 'photo'}}",
            ),
            "finish.data.degradation must be that of data",
        ),
        (('"muon"', '"adam", momentum = 0.9'), "optimizer.momentum belongs to muon"),
        (("1e-3", "1e-3, betas = [0.9, 1.0]"), "`float` < 1.0 - at `$.optimizer.betas[1]`"),
        (("1e-3", "1e-3, betas = [0.9]"), "at `$.optimizer.betas`"),
        (("lr = 1e-3", "lr = nan"), "at `$.optimizer.lr`"),
        # What belongs to another schedule would be without effect.
        (("steps = 9", "steps = 9, rise = 0.2"), "schedule.rise belongs to one-cycle"),
        (("steps = 9", "steps = 9, every = 2"), "schedule.every belongs to halving"),
        (("steps = 9", "steps = 9, name = 'constant'"), "schedule.decay belongs to cosine"),
        (("decay = 0.5", "name = 'halving'"), "halving needs schedule.every"),
        (("decay = 0.5", "name = 'multi-step'"), "multi-step needs schedule.milestones"),
        (
            ("decay = 0.5", "name = 'multi-step', milestones = [5, 5]"),
            "schedule.milestones must rise",
        ),
        (
            ("decay = 0.5", "name = 'one-cycle', factor = 0.1"),
            "schedule.factor belongs to halving and multi-step",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path, change, words):
    path = tmp_path / "recipe.toml"
    path.write_text(GOOD)
    assert load(str(path)).data.batch == 2
    assert change[0] in GOOD
    path.write_text(GOOD.replace(*change))
    with pytest.raises(UsageError) as raised:
        load(str(path))
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)
    assert words in str(raised.value)


def of_steps(steps, **changes):
    return Schedule(decay=0.5, steps=steps, **changes)


@pytest.mark.parametrize(
    ("change", "may"),
    [
        ({}, True),
        ({"expect": Expect(set5_psnr_y=1, set14_psnr_y=2, source="here")}, True),
        ({"schedule": of_steps(12)}, True),
        ({"schedule": of_steps(8)}, False),
        ({"schedule": of_steps(12, floor=0.1)}, False),
        ({"schedule": Schedule(decay=0.5, minutes=99)}, False),
        ({"ema": 0.5}, False),
    ],
)
def test_what_a_run_may_go_on_by(tiny, change, may):
    before = msgspec.structs.replace(tiny, schedule=of_steps(9))
    now = msgspec.structs.replace(before, **change)
    assert goes_on(before, now) == may
    # An old header leaves out what is a default today.
    told = msgspec.to_builtins(before) | {"schedule": {"decay": 0.5, "steps": 9}}
    assert goes_on(msgspec.convert(told, Recipe), now) == may


def test_more_minutes_and_not_fewer(tiny):
    one, two = (
        msgspec.structs.replace(tiny, schedule=Schedule(minutes=minutes)) for minutes in (1, 2)
    )
    assert goes_on(one, two)
    assert not goes_on(two, one)


def test_unknown_recipes(tmp_path):
    with pytest.raises(UsageError, match=r"no such recipe; a path to a \.toml, or sesr-m5_x4, "):
        load("sesr-m5")
    with pytest.raises(UsageError) as raised:
        load("?")
    assert all(name in str(raised.value) for name in shipped())
    with pytest.raises(UsageError, match="cannot be read"):
        load(str(tmp_path / "none.toml"))
