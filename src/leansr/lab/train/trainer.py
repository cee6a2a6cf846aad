"""The training loop: crops in, an average of weights out, and a run that can always go on."""

import csv
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leansr import zoo
from leansr.errors import UsageError
from leansr.image.arrays import from_unit, to_unit
from leansr.image.quality import psnr
from leansr.lab.nets import build
from leansr.lab.train import checkpoint, crops, pictures
from leansr.lab.train.optimizers import optimizers
from leansr.lab.train.pictures import Pair
from leansr.lab.train.recipe import Recipe
from leansr.lab.train.schedule import rate

LOG_FIELDS = ["step", "minutes", "lr", "loss", "steps_per_s", "val_psnr"]
Report = Callable[[str], None]


@dataclass
class Progress:
    """Where a run stands."""

    step: int = 0
    seconds: float = 0.0
    best_psnr: float | None = None


def has_compiler() -> bool:
    """Whether torch.compile finds what it needs on this machine."""
    return shutil.which(os.environ.get("CXX", "g++")) is not None


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C or SIGTERM has come: they end a run between two steps, never within one."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda n, frame: received.append(n)) for number in numbers]
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


class Run:
    """One training run, and its folder of recipe, log, checkpoint and weights.

    Continues from the checkpoint if the folder has one; the recipe and the pictures must then be
    the same. `weights.safetensors` is the average that did best on the validation pictures, or
    the newest where there are none.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        data: Path,
        validation: Path | None = None,
        report: Report = print,
    ) -> None:
        self.recipe, self.folder, self.report = recipe, folder, report
        self.variant = zoo.find(recipe.variant, recipe.scale)
        self.progress = Progress()
        torch.manual_seed(recipe.seed)
        self.network = build(self.variant, recipe.scale, space=recipe.space)
        is_new = not (folder / "checkpoint.pt").exists()
        if recipe.start is not None and is_new:
            tensors, _ = checkpoint.read_weights(Path(recipe.start.weights))
            checkpoint.load_strictly(
                self.network, tensors, recipe.start.weights, recipe.start.fresh
            )
        for parameter in self.network.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.to(memory_format=torch.channels_last)
        self.average = {n: p.detach().clone() for n, p in self.network.named_parameters()}
        self.optimizers = optimizers(self.network, recipe.optimizer)
        self.origin = pictures.provenance(data)
        self.pairs = pictures.load(
            data, recipe.scale, self.variant.colour, smallest_lr=recipe.data.lr_crop
        )
        self.validation: Sequence[Pair] = (
            pictures.load(validation, recipe.scale, self.variant.colour) if validation else []
        )
        if is_new:
            self._begin()
        else:
            self._resume()

    @property
    def fraction(self) -> float:
        """The share of the budget that is used."""
        schedule = self.recipe.schedule
        if schedule.steps is not None:
            return self.progress.step / schedule.steps
        assert schedule.minutes is not None
        return self.progress.seconds / (schedule.minutes * 60)

    def train(self, max_minutes: float | None = None, checkpoint_minutes: float = 3.0) -> None:
        """Trains to the end of the budget, or for `max_minutes` of it; a checkpoint either way."""
        if self.fraction >= 1:
            self.report(f"{self.folder}: the run is over; its weights are in weights.safetensors")
            return
        loss_of = self._loss
        if self.recipe.compile and not has_compiler():
            self.report("no C++ compiler (g++ or CXX): training goes on without torch.compile")
        elif self.recipe.compile:
            loss_of = torch.compile(self._loss)
        began = clock = saved = shown = time.monotonic()
        shown_step, losses = self.progress.step, torch.zeros(())
        with stop_signals() as is_stopped:
            while self.fraction < 1 and not is_stopped():
                if max_minutes is not None and clock - began >= max_minutes * 60:
                    break
                losses += self._step(loss_of)
                now = time.monotonic()
                self.progress.seconds += now - clock
                clock = now
                if self.progress.step % self.recipe.validate_every == 0 or self.fraction >= 1:
                    speed = (self.progress.step - shown_step) / (now - shown)
                    self._validate(float(losses) / (self.progress.step - shown_step), speed)
                    losses.zero_()
                    shown_step, shown = self.progress.step, time.monotonic()
                    # Validating is not training: it must not use up a budget of minutes.
                    clock = shown
                if now - saved >= checkpoint_minutes * 60:
                    self._save()
                    saved = now
        self._save()
        if self.fraction < 1:
            self.report(f"step {self.progress.step} is saved; the same command goes on from there")

    def _step(self, loss_of: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        recipe, step = self.recipe, self.progress.step
        lr, hr = crops.batch(self.pairs, recipe.scale, recipe.data, recipe.seed, step)
        loss = loss_of(lr, hr)
        loss.backward()
        if recipe.optimizer.clip is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), recipe.optimizer.clip)
        factor = rate(recipe.schedule, step, self.fraction)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["base_lr"] * factor
            optimizer.step()
            optimizer.zero_grad()
        self.progress.step += 1
        self._update_average()
        return loss.detach()

    def _loss(self, lr: Tensor, hr: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.precision == "bf16"):
            sr = self.network(lr)
        return F.l1_loss(sr.float(), hr)

    @torch.no_grad()
    def _update_average(self) -> None:
        # Ramped, so that the random start does not linger in the average.
        decay = min(self.recipe.ema, (1 + self.progress.step) / (10 + self.progress.step))
        weights = [p.detach() for p in self.network.parameters()]
        torch._foreach_lerp_(list(self.average.values()), weights, 1 - decay)

    def _validate(self, loss: float, speed: float) -> None:
        if not np.isfinite(loss):
            raise UsageError(
                f"{self.folder}: the loss is {loss} after {self.progress.step} steps; "
                f"lower the rate or set optimizer.clip"
            )
        quality = self._validation_psnr()
        best = self.progress.best_psnr
        if quality is None or best is None or quality > best:
            self.progress.best_psnr = quality
            self._save_weights()
        lr = self.optimizers[0].param_groups[0]["lr"]
        row = [self.progress.step, round(self.progress.seconds / 60, 2), lr, loss, speed, quality]
        with (self.folder / "log.csv").open("a", newline="") as file:
            csv.writer(file).writerow(row)
        left = self.progress.seconds / 60 * (1 / self.fraction - 1)
        shown = "" if quality is None else f"  val {quality:.3f} dB"
        self.report(
            f"step {self.progress.step}  loss {loss:.5f}  lr {lr:.2e}  {speed:.1f} steps/s  "
            f"{left:.1f} min left{shown}"
        )

    @torch.no_grad()
    def _validation_psnr(self) -> float | None:
        """Mean PSNR of the averaged weights on what the network sees, 8-bit, border cut."""
        if not self.validation:
            return None
        values = []
        border = self.recipe.scale
        for pair in self.validation:
            lr = torch.from_numpy(to_unit(pair.lr)).permute(2, 0, 1)[None]
            sr = torch.func.functional_call(self.network, self.average, (lr,))
            sr8 = from_unit(sr[0].permute(1, 2, 0).numpy(), np.uint8).astype(np.float64)
            hr = to_unit(pair.hr).astype(np.float64) * 255
            inner = slice(border, -border)
            values.append(psnr(sr8[inner, inner], hr[inner, inner]))
        return float(np.mean(values))

    def _save_weights(self) -> None:
        recipe = self.recipe
        metadata = {
            "variant": recipe.variant,
            "scale": str(recipe.scale),
            "space": recipe.space,
            "recipe": msgspec.json.encode(recipe).decode(),
            "steps": str(self.progress.step),
            "minutes": f"{self.progress.seconds / 60:.1f}",
            "validation_psnr": json.dumps(self.progress.best_psnr),
            "training_data": self.origin.source,
            "training_data_licence": self.origin.licence,
            "torch": str(torch.__version__),
        }
        checkpoint.save_weights(self.folder / "weights.safetensors", self.average, metadata)

    def _save(self) -> None:
        state = {
            "recipe": msgspec.json.encode(self.recipe).decode(),
            "pictures": checkpoint.fingerprint(self.pairs),
            "progress": vars(self.progress),
            "network": self.network.state_dict(),
            "average": self.average,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }
        checkpoint.save_checkpoint(self.folder / "checkpoint.pt", state)

    def _begin(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        resolved = json.loads(msgspec.json.encode(self.recipe))
        (self.folder / "recipe.json").write_text(json.dumps(resolved, indent=2) + "\n")
        self._write_log([])

    def _resume(self) -> None:
        state = checkpoint.read_checkpoint(self.folder / "checkpoint.pt")
        if msgspec.json.decode(state["recipe"], type=Recipe) != self.recipe:
            raise UsageError(f"{self.folder}: is a run of another recipe; give a new folder")
        if state["pictures"] != checkpoint.fingerprint(self.pairs):
            raise UsageError(f"{self.folder}: is a run on other pictures; give a new folder")
        self.progress = Progress(**state["progress"])
        self.network.load_state_dict(state["network"])
        for name, tensor in state["average"].items():
            self.average[name].copy_(tensor)
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        # Rows after the checkpoint belong to steps that are now made again.
        with (self.folder / "log.csv").open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if int(row["step"]) <= self.progress.step]
        self._write_log(rows)
        self.report(f"going on from step {self.progress.step}")

    def _write_log(self, rows: Sequence[dict[str, Any]]) -> None:
        with (self.folder / "log.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, LOG_FIELDS)
            writer.writeheader()
            writer.writerows(rows)
