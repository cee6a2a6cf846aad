"""The loop: crops in, an average of weights out, and a run that can always go on."""

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NoReturn

import msgspec
import torch
from torch import Tensor

from leansr import zoo
from leansr.errors import UsageError
from leansr.lab.nets import build, changed, network_class
from leansr.lab.train import material, packs
from leansr.lab.train.checkpoint import Checkpoints, fingerprint, understood
from leansr.lab.train.crops import Shelves, batch
from leansr.lab.train.environment import device_name
from leansr.lab.train.faults import device_faults
from leansr.lab.train.feed import Feed
from leansr.lab.train.folder import check_new, opened
from leansr.lab.train.learner import Learner, begin
from leansr.lab.train.log import Log, Row
from leansr.lab.train.objective import Objective, can_compile, objective
from leansr.lab.train.pictures import Pictures
from leansr.lab.train.processes import ALONE, Processes
from leansr.lab.train.progress import Interval, Progress
from leansr.lab.train.recipe import Recipe, goes_on
from leansr.lab.train.report import tell_over, try_report
from leansr.lab.train.runs import LOG, WEIGHTS, is_over, read_weights_facts
from leansr.lab.train.schedule import rate
from leansr.lab.train.signals import stop_signals
from leansr.lab.train.teacher import Lesson
from leansr.lab.train.validation import mean_psnr
from leansr.lab.weights import Trained, save_weights

Report = Callable[[str], None]

# So many steps without a finite gradient in a row are no accident.
_LOST_AFTER = 20


class Run:
    """One training run, and its folder of recipe, log, checkpoints, weights and report.

    Continues from the checkpoint if the folder has one; pictures and recipe must then be the same,
    but for a budget that may have grown. `weights.safetensors` is the average that did best on the
    validation pictures, or the newest where there are none. On CUDA where there is a device.
    Decoded pictures beyond `room_mib` are mapped from disk. Nothing is written before `train`.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        data: Path,
        validation: Path | None = None,
        report: Report = print,
        threads: int | None = None,
        room_mib: float | None = None,
        processes: Processes = ALONE,
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self.recipe, self.folder, self.processes = recipe, folder, processes
        self.report = report if processes.is_first else lambda line: None
        self.variant = changed(zoo.find(recipe.variant, recipe.scale), recipe.network)
        material.check_crops(recipe, self.variant, processes)
        self.progress = Progress()
        self.device = processes.device()
        torch.manual_seed(recipe.seed)
        self.space = recipe.space or next(iter(network_class(self.variant).spaces), None)
        self.network = build(self.variant, recipe.scale, self.space).to(self.device)
        self.start_sha256 = ""
        self.checkpoints = Checkpoints(folder, self.report)
        if not self.checkpoints.exist:
            check_new(folder)
            if recipe.start is not None:
                self.start_sha256 = begin(self.network, recipe.start)
        self.learner = Learner(self.network, recipe, self.device, processes)
        self.lesson: Lesson | None = None
        if recipe.teacher is not None:
            self.lesson = Lesson(recipe.teacher, self.variant, recipe.scale, self.device)
        self.teacher_sha256 = self.lesson.sha256 if self.lesson else ""
        # What can be wrong without the pictures is found before minutes of decoding them.
        pictures_before = self._resume() if self.checkpoints.exist else None
        processes.check_agreed(self.progress.step, str(folder))
        self.origin = packs.provenance(data)
        self.validation: Pictures | None = None
        if validation is not None:
            self.validation = material.validated(recipe, self.variant, validation)
        self.pictures = material.trained(recipe, self.variant, data, room_mib)
        self.identity = {
            "pictures": fingerprint(self.pictures.pairs),
            "validation": fingerprint(self.validation.pairs if self.validation else ()),
        }
        if pictures_before is not None:
            self._check_pictures(pictures_before)
            self.report(f"going on from step {self.progress.step}")
        shelves = Shelves(self.pictures, recipe.scale, self.device)
        if pictures_before is None:
            # All of the batch, and not a share of it: alike in all processes.
            lr, _ = batch(shelves, recipe.data, recipe.seed, 0)
            self.learner.prepare(lr.to(self.device))
        self.feed = Feed(shelves, recipe.seed, self.device, processes)
        self._objectives: dict[bool, Objective] = {}
        self._lost = 0

    @property
    def fraction(self) -> float:
        """The share of the budget that is used."""
        schedule = self.recipe.schedule
        if schedule.steps is not None:
            return self.progress.step / schedule.steps
        assert schedule.minutes is not None
        return self.progress.seconds / (schedule.minutes * 60)

    def train(
        self, max_minutes: float | None = None, checkpoint_minutes: float = 3.0
    ) -> int | None:
        """Trains to the end of the budget, or for `max_minutes` of it; a checkpoint either way.

        Returns the number of the signal that stopped it. UsageError if another process trains in
        the folder.
        """
        if not self.processes.is_first:
            folder: AbstractContextManager[None] = nullcontext()
        else:
            folder = opened(self.folder, self.recipe, self.checkpoints)
        if self.fraction < 1:
            with folder:
                return self._train(max_minutes, checkpoint_minutes)
        if self.processes.is_first:
            if not is_over(self.folder, self.recipe):
                with folder:
                    self._restore()
            tell_over(self.folder, self.report)
        return None

    def _train(self, max_minutes: float | None, checkpoint_minutes: float) -> int | None:
        self._open_log()
        began = clock = saved = time.monotonic()
        interval = self._interval()
        limit = math.inf if max_minutes is None else max_minutes * 60
        number, is_late = 0.0, 0.0
        with stop_signals() as received, self.device_faults():
            while self.fraction < 1 and not number and not is_late:
                interval.losses += self._step()
                now = time.monotonic()
                # One decision for all processes, here and below: each has a clock of its own.
                (self.progress.seconds,) = self.processes.largest(
                    self.progress.seconds + now - clock
                )
                clock = now
                if self.progress.step % self.recipe.validate_every == 0 or self.fraction >= 1:
                    self._validate(interval)
                    interval = self._interval()
                    # Validating is not training: it must not use up a budget of minutes.
                    clock = interval.since
                    if not self.checkpoints.exist:
                        # Log and weights alone are nothing to go on from.
                        saved = -math.inf
                number, is_late, is_due = self.processes.largest(
                    received(),
                    clock - began >= limit,
                    clock - saved >= checkpoint_minutes * 60,
                )
                if is_due:
                    self._save()
                    saved = clock
        self._save()
        if self.processes.is_first:
            try_report(self.folder, self.report)
        if self.fraction < 1:
            self.report(f"step {self.progress.step} is saved; the same command goes on from there")
        return int(number) or None

    def device_faults(self) -> AbstractContextManager[None]:
        """A device that fails ends the run in one line."""
        return device_faults(self.device, lambda: f"{self.folder} at step {self.progress.step}")

    def seconds_per_step(self, steps: int) -> float:
        """How long a step takes here, over `steps` of them after two; the weights do move."""
        for count in (2, steps):
            began = time.monotonic()
            for _ in range(count):
                self._step()
        return (time.monotonic() - began) / steps

    def _step(self) -> Tensor:
        """One step; its loss, or zero where it is skipped."""
        finish, step = self.recipe.finish, self.progress.step
        is_finish = finish is not None and self.fraction >= 1 - finish.share
        data = finish.data if is_finish and finish is not None else None
        lr, hr = self.feed(step, data or self.recipe.data)
        taught = None if self.lesson is None else self.lesson(lr)
        if self.device.type == "cuda":
            torch.compiler.cudagraph_mark_step_begin()
        down = self._objective(is_finish)
        factor = rate(self.recipe.schedule, step, self.fraction)
        loss = self.learner.step(lambda: down(lr, hr, taught), factor, step + 1)
        self._lost = self._lost + 1 if loss is None else 0
        self.progress.skipped += loss is None
        if self._lost == _LOST_AFTER:
            self._refuse("no gradient has been finite for so many steps")
        self.progress.step += 1
        return torch.zeros((), device=self.device) if loss is None else loss

    def _objective(self, is_finish: bool) -> Objective:
        if is_finish not in self._objectives:
            if self.recipe.compile and not can_compile(self.device):
                self.report("no C++ compiler (g++ or CXX): training goes on without torch.compile")
            finish = self.recipe.finish
            loss = (finish.loss if is_finish and finish is not None else None) or self.recipe.loss
            self._objectives[is_finish] = objective(self.network, self.recipe, loss, self.device)
        return self._objectives[is_finish]

    def _interval(self) -> Interval:
        return Interval(
            torch.zeros((), device=self.device),
            self.progress.step,
            self.progress.skipped,
            time.monotonic(),
            self.feed.seconds_waited,
        )

    def _validate(self, interval: Interval) -> None:
        seconds = time.monotonic() - interval.since
        self.processes.average([interval.losses])
        if not self.processes.is_first:
            return
        self._check()
        psnr = self._choose()
        steps = self.progress.step - interval.step
        taken = steps - (self.progress.skipped - interval.skipped)
        row = Row(
            step=self.progress.step,
            minutes=round(self.progress.seconds / 60, 2),
            lr=self.learner.rate,
            loss=float(interval.losses) / taken if taken else math.nan,
            steps_per_s=steps / seconds,
            val_psnr=psnr,
            waiting_pct=100 * (self.feed.seconds_waited - interval.waited) / seconds,
        )
        self.log.append(row)
        left = self.progress.seconds / 60 * max(0.0, 1 / self.fraction - 1)
        self.report(row.told(left, self.progress.skipped))

    def _choose(self) -> float | None:
        """PSNR on the validation pictures; the average that does best becomes the weights."""
        psnr: float | None = None
        if self.validation is not None:
            pairs = self.validation.pairs
            psnr = mean_psnr(self.network, self.learner.average, pairs, self.recipe.scale)
        best = self.progress.best_psnr
        if psnr is None or best is None or psnr > best:
            self.progress.best_psnr = psnr
            self._save_weights()
        return psnr

    def _restore(self) -> None:
        """What a run that is over has lost of log and weights, again from its checkpoint."""
        has_weights = self._open_log()
        if has_weights and self.log.last_step == self.progress.step:
            return
        psnr = self._choose()
        if self.log.last_step != self.progress.step:
            row = Row(
                step=self.progress.step,
                minutes=round(self.progress.seconds / 60, 2),
                lr=self.learner.rate,
                # Nobody knows any more.
                loss=math.nan,
                steps_per_s=self.progress.step / self.progress.seconds,
                val_psnr=psnr,
            )
            self.log.append(row)
        self.report(f"{self.folder}: log or weights were lost; the checkpoint's are written again")

    def _check(self) -> None:
        """Before anything is written: weights that are lost must not replace those that are not."""
        if not self.learner.is_finite:
            self._refuse("the weights are not finite")

    def _refuse(self, why: str) -> NoReturn:
        raise UsageError(
            f"{self.folder}: {why} at step {self.progress.step}; lower the rate or set "
            f"optimizer.clip in a new run"
        )

    def _open_log(self) -> bool:
        """Whether there are weights; where they are lost, those of the next validation count."""
        if not self.processes.is_first:
            return True
        has_weights = read_weights_facts(self.folder) is not None
        if not has_weights:
            self.progress.best_psnr = None
        self.log = Log(self.folder / LOG, self.progress.step)
        if self.pictures.modes:
            self.report(f"of {len(self.pictures.pairs)} pictures {self.pictures.modes}")
        return has_weights

    def _save_weights(self) -> None:
        facts = Trained(
            variant=self.recipe.variant,
            scale=self.recipe.scale,
            space=self.space,
            recipe=self.recipe,
            start_sha256=self.start_sha256,
            steps=self.progress.step,
            minutes=round(self.progress.seconds / 60, 1),
            validation_psnr=self.progress.best_psnr,
            data=self.origin.source,
            data_licence=self.origin.licence,
            torch=str(torch.__version__),
            device=device_name(self.device),
        )
        path = self.folder / WEIGHTS
        with self.checkpoints.writing(path):
            save_weights(path, self.learner.average, facts)

    def _save(self) -> None:
        if not self.processes.is_first:
            return
        self._check()
        self.checkpoints.save(
            {
                "recipe": msgspec.json.encode(self.recipe).decode(),
                "start_sha256": self.start_sha256,
                "teacher_sha256": self.teacher_sha256,
                **self.identity,
                # Crops follow from the recipe's seed and the step alone, a degradation from its
                # picture's name and the version's number: the step is all of the random state, and
                # the place in the data.
                "progress": vars(self.progress),
                **self.learner.state(),
            }
        )

    def _resume(self) -> dict[str, str]:
        """Takes over the checkpoint; the pictures that it is of, as in `identity`."""
        with understood(self.folder):
            # Checkpoints written before the teacher was kept do not name it.
            state = {"teacher_sha256": self.teacher_sha256} | self.checkpoints.read(self.device)
            before = msgspec.json.decode(state["recipe"], type=Recipe)
            if not goes_on(before, self.recipe):
                raise UsageError(f"{self.folder}: is a run of another recipe; give a new folder")
            if state["teacher_sha256"] != self.teacher_sha256:
                raise UsageError(
                    f"{self.folder}: is a run with another teacher; give it the same weights"
                )
            self.start_sha256 = state["start_sha256"]
            self.progress = Progress(**state["progress"])
            self.learner.go_on(state)
            return {name: state[name] for name in ("pictures", "validation")}

    def _check_pictures(self, before: dict[str, str]) -> None:
        for name, told in (
            ("pictures", "on other pictures; give a new folder"),
            ("validation", "with other validation pictures; give it the same ones"),
        ):
            if before[name] != self.identity[name]:
                raise UsageError(f"{self.folder}: is a run {told}")
