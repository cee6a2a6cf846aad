"""The training loop: crops in, an average of weights out, and a run that can always go on."""

import hashlib
import json
import math
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leansr import zoo
from leansr.errors import UsageError
from leansr.image.codecs import beside
from leansr.lab.nets import build, network_class
from leansr.lab.train import checkpoint, crops, pictures
from leansr.lab.train.log import Log, Row
from leansr.lab.train.optimizers import optimizers
from leansr.lab.train.pictures import Pair
from leansr.lab.train.recipe import Recipe
from leansr.lab.train.schedule import rate
from leansr.lab.train.validation import mean_psnr
from leansr.lab.weights import Trained, load_strictly, read_tensors, save_weights

Report = Callable[[str], None]
LossOf = Callable[[Tensor, Tensor], Tensor]


@dataclass
class Progress:
    """Where a run stands."""

    step: int = 0
    seconds: float = 0.0
    best_psnr: float | None = None


class Run:
    """One training run, and its folder of recipe, log, checkpoint and weights.

    Continues from the checkpoint if the folder has one; pictures and recipe must then be the same,
    but for a budget that may have grown. `weights.safetensors` is the average that did best on the
    validation pictures, or the newest where there are none. On CUDA where there is a device.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        data: Path,
        validation: Path | None = None,
        report: Report = print,
        threads: int | None = None,
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self.recipe, self.folder, self.report = recipe, folder, report
        self.variant = zoo.find(recipe.variant, recipe.scale)
        self.progress = Progress()
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(recipe.seed)
        self.space = recipe.space or next(iter(network_class(self.variant).spaces), None)
        self.network = build(self.variant, recipe.scale, self.space).to(self.device)
        self.start_sha256 = ""
        is_new = not (folder / "checkpoint.pt").exists()
        if is_new:
            self._start()
        for parameter in self.network.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.to(memory_format=torch.channels_last)
        # Buffers too: batch normalisation's running statistics are as much of the network.
        self.current = self.network.state_dict()
        self.average = {name: tensor.clone() for name, tensor in self.current.items()}
        self.optimizers = optimizers(self.network, recipe.optimizer)
        self.pairs = self._load(data, recipe.data.lr_crop)
        self.origin = pictures.provenance(data)
        # Two pixels are left of the smallest picture when its border is cut.
        self.validation = self._load(validation, 4) if validation else []
        if not is_new:
            self._resume()
        folder.mkdir(parents=True, exist_ok=True)
        with beside(folder / "recipe.json") as part:
            part.write_text(json.dumps(json.loads(msgspec.json.encode(recipe)), indent=2) + "\n")
        self.log = Log(folder / "log.csv", self.progress.step)

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
        loss_of = self._compiled_loss()
        began = clock = saved = shown = time.monotonic()
        shown_step, losses = self.progress.step, torch.zeros((), device=self.device)
        with stop_signals() as is_stopped:
            while self.fraction < 1 and not is_stopped():
                if max_minutes is not None and clock - began >= max_minutes * 60:
                    break
                losses += self._step(loss_of)
                now = time.monotonic()
                self.progress.seconds += now - clock
                clock = now
                if self.progress.step % self.recipe.validate_every == 0 or self.fraction >= 1:
                    count = self.progress.step - shown_step
                    self._validate(float(losses) / count, count / (now - shown))
                    losses.zero_()
                    shown_step, shown = self.progress.step, time.monotonic()
                    # Validating is not training: it must not use up a budget of minutes.
                    clock = shown
                if now - saved >= checkpoint_minutes * 60:
                    self._check(float(losses))
                    self._save()
                    saved = now
        self._check(float(losses))
        self._save()
        if self.fraction < 1:
            self.report(f"step {self.progress.step} is saved; the same command goes on from there")

    def _compiled_loss(self) -> LossOf:
        if not self.recipe.compile:
            return self._loss
        if self.device.type == "cpu" and not has_compiler():
            self.report("no C++ compiler (g++ or CXX): training goes on without torch.compile")
            return self._loss
        return torch.compile(self._loss)

    def _step(self, loss_of: LossOf) -> Tensor:
        recipe, step = self.recipe, self.progress.step
        lr, hr = crops.batch(self.pairs, recipe.scale, recipe.data, recipe.seed, step)
        loss = loss_of(lr.to(self.device), hr.to(self.device))
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
        is_bf16 = self.recipe.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=is_bf16):
            sr = self.network(lr)
        return F.l1_loss(sr.float(), hr)

    @torch.no_grad()
    def _update_average(self) -> None:
        # Ramped, so that the random start does not linger in the average.
        decay = min(self.recipe.ema, (1 + self.progress.step) / (10 + self.progress.step))
        for name, tensor in self.current.items():
            if not tensor.is_floating_point():
                self.average[name].copy_(tensor)
        names = [name for name, tensor in self.current.items() if tensor.is_floating_point()]
        averages = [self.average[name] for name in names]
        torch._foreach_lerp_(averages, [self.current[name] for name in names], 1 - decay)

    def _validate(self, loss: float, speed: float) -> None:
        self._check(loss)
        psnr: float | None = None
        if self.validation:
            psnr = mean_psnr(self.network, self.average, self.validation, self.recipe.scale)
        best = self.progress.best_psnr
        if psnr is None or best is None or psnr > best:
            self.progress.best_psnr = psnr
            self._save_weights()
        lr = self.optimizers[0].param_groups[0]["lr"]
        minutes = self.progress.seconds / 60
        self.log.append(Row(self.progress.step, round(minutes, 2), lr, loss, speed, psnr))
        left = minutes * max(0.0, 1 / self.fraction - 1)
        shown = "" if psnr is None else f"  val {psnr:.3f} dB"
        self.report(
            f"step {self.progress.step}  loss {loss:.5f}  lr {lr:.2e}  {speed:.1f} steps/s  "
            f"{left:.1f} min left{shown}"
        )

    def _check(self, loss: float) -> None:
        """Before anything is written: weights that are lost must not replace those that are not."""
        if not math.isfinite(loss):
            raise UsageError(
                f"{self.folder}: the loss is {loss} at step {self.progress.step}; "
                f"lower the rate or set optimizer.clip"
            )

    def _load(self, data: Path, smallest_lr: int) -> Sequence[Pair]:
        return pictures.load(data, self.recipe.scale, self.variant.colour, smallest_lr)

    def _start(self) -> None:
        start = self.recipe.start
        if start is None:
            return
        path = start.path()
        load_strictly(self.network, read_tensors(path), start.weights, start.fresh)
        self.start_sha256 = hashlib.sha256(path.read_bytes()).hexdigest()

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
        )
        save_weights(self.folder / "weights.safetensors", self.average, facts)

    def _save(self) -> None:
        state = {
            "recipe": msgspec.json.encode(self.recipe).decode(),
            "start_sha256": self.start_sha256,
            "pictures": checkpoint.fingerprint(self.pairs),
            "validation": checkpoint.fingerprint(self.validation),
            "progress": vars(self.progress),
            "network": self.network.state_dict(),
            "average": self.average,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }
        checkpoint.save_checkpoint(self.folder / "checkpoint.pt", state)

    def _resume(self) -> None:
        state = checkpoint.read_checkpoint(self.folder / "checkpoint.pt", self.device)
        before = msgspec.json.decode(state["recipe"], type=Recipe)
        # A longer schedule is the same run, given more.
        if msgspec.structs.replace(before, schedule=self.recipe.schedule) != self.recipe:
            raise UsageError(f"{self.folder}: is a run of another recipe; give a new folder")
        if state["pictures"] != checkpoint.fingerprint(self.pairs):
            raise UsageError(f"{self.folder}: is a run on other pictures; give a new folder")
        if state["validation"] != checkpoint.fingerprint(self.validation):
            raise UsageError(
                f"{self.folder}: is a run with other validation pictures; give it the same ones"
            )
        self.start_sha256 = state["start_sha256"]
        self.progress = Progress(**state["progress"])
        self.network.load_state_dict(state["network"])
        for name, tensor in state["average"].items():
            self.average[name].copy_(tensor)
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.report(f"going on from step {self.progress.step}")


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
