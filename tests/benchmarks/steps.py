"""What our training loop adds to a step: held against a bare PyTorch loop, accelerate, Lightning and fastai.

    uv run --all-extras --group benchmarks python tests/benchmarks/steps.py     # a micro CNN on the CPU
    ... steps.py --model resnet50 --size 224 --dtype bfloat16 --device cuda --batch 128     # where there is a GPU

All train the same model with the same optimizer on the same batches, which are made from bytes in memory by the same
function. A round is an epoch of each, in turn; a ratio is of one round, theirs over the bare loop's, so that what else
the machine does falls on both. Peers that are not installed are left out.
"""

from __future__ import annotations

import importlib.util
import logging
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import click
import numpy as np
import torch
from record import Measured, record_options
from rich.table import Table
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from kaggle_ray.config import Hyperparameters
from kaggle_ray.config.settings import Settings
from kaggle_ray.data.head import Head
from kaggle_ray.images.augment import id_hashes
from kaggle_ray.images.cache import Images
from kaggle_ray.metrics import LOG_LOSS
from kaggle_ray.models import Model, Shapes, build_model, register_model
from kaggle_ray.train.inputs import FitData, Inputs
from kaggle_ray.train.loop import Fit
from kaggle_ray.train.optim import make_optimizer

Round = Callable[[], float]
"""Trains for an epoch, and returns its seconds."""
ReadBatch = Callable[[np.ndarray[Any, np.dtype[np.int64]]], tuple[Tensor, Tensor]]
"""Returns images (N, C, H, W) 0..1 and classes (N,) of rows, on the device."""


@register_model("micro")
def micro(num_outputs: int, width: int = 8) -> nn.Module:
    """Return a CNN that is so small that what surrounds it shows."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, 2, 1, bias=False), nn.BatchNorm2d(2 * width), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2 * width, num_outputs),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What every contender has to do."""

    data: FitData
    hyperparameters: Hyperparameters
    settings: Settings

    @staticmethod
    def made_up(model: str, size: int, batch: int, steps: int, settings: Settings, rounds: int) -> Work:
        """Return noise to learn, in ten classes."""
        rng = np.random.default_rng(0)
        rows = np.arange(batch * steps)
        head = Head(task="multiclass", classes=tuple("0123456789"), metric=LOG_LOSS)
        data = FitData(
            inputs=Inputs(images=Images.of_array(rng.integers(0, 256, (len(rows), size, size, 3), dtype=np.uint8))),
            target=rng.integers(0, 10, len(rows)),
            heads=(head,),
            metric=LOG_LOSS,
            train_rows=rows,
            valid_rows=rows[:batch],
            fold=0,
            id_hashes=id_hashes(map(str, rows)),
        )
        hyperparameters = Hyperparameters(
            model=model, image_size=size, batch_size=batch, epochs=rounds + 3, evaluate_every=rounds + 3,
            schedule="constant", lr=1e-4,
        )  # fmt: skip
        return Work(data=data, hyperparameters=hyperparameters, settings=settings)

    @property
    def device(self) -> torch.device:
        """Where it is done."""
        return torch.device(self.settings.device)

    def model(self) -> Model:
        """Return the model that all train, channels last."""
        torch.manual_seed(0)
        model = build_model(self.hyperparameters.model.name, Shapes(num_outputs=10))
        return model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def batches(self, epoch: int) -> list[np.ndarray[Any, np.dtype[np.int64]]]:
        """Return the rows of an epoch's batches."""
        order = np.random.default_rng(epoch).permutation(self.data.train_rows)
        return np.array_split(order, len(order) // self.hyperparameters.training.batch_size)

    def batch(self, rows: np.ndarray[Any, np.dtype[np.int64]]) -> tuple[Tensor, Tensor]:
        """Return images (N, C, H, W) 0..1 and classes (N,) on the device."""
        pixels = torch.from_numpy(self.data.inputs.read(rows)).to(self.device, non_blocking=True)
        target = torch.from_numpy(self.data.target[rows]).to(self.device, non_blocking=True)
        return pixels.permute(0, 3, 1, 2).float() / 255, target

    def autocast(self) -> torch.autocast:
        """Return the context of the forward pass."""
        dtype = getattr(torch, self.settings.dtype)
        return torch.autocast(self.settings.device, dtype=dtype, enabled=dtype != torch.float32)

    def wait(self) -> None:
        """Let the GPU finish."""
        if self.settings.device == "cuda":
            torch.cuda.synchronize()


class Batches(Dataset[tuple[Tensor, Tensor]]):
    """An epoch's whole batches, for loops that want a DataLoader."""

    def __init__(self, work: Work, epoch: int) -> None:
        self._work = work
        self._rows = work.batches(epoch)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        if number >= len(self):
            raise IndexError(number)
        return self._work.batch(self._rows[number])

    def loader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        """Return a loader that hands them over as they are."""
        return DataLoader(self, batch_size=None, shuffle=False)


def bare(work: Work, read: ReadBatch | None = None) -> Round:
    """Return a loop as one writes it by hand; its batches are ``work.batch``'s, or those of ``read``."""
    read, model = read or work.batch, work.model()
    forward = torch.compile(model) if work.settings.compile else model
    optimizer, epochs = make_optimizer(model, work.hyperparameters.optimizer), iter(range(10**6))

    def epoch() -> float:
        model.train()
        started = time.perf_counter()
        for rows in work.batches(next(epochs)):
            images, target = read(rows)
            with work.autocast():
                logits = forward(images)
            loss = nn.functional.cross_entropy(logits.float(), target)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        work.wait()
        return time.perf_counter() - started

    return epoch


def ours(work: Work) -> Round:
    """Return kaggle_ray's loop."""
    epochs = Fit(work.data, work.hyperparameters, work.settings).epochs()

    def epoch() -> float:
        started = time.perf_counter()
        next(epochs)
        work.wait()
        return time.perf_counter() - started

    return epoch


def accelerated(work: Work) -> Round:
    """Return accelerate's loop."""
    from accelerate import Accelerator

    precision = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}[work.settings.dtype]
    accelerator = Accelerator(cpu=work.settings.device == "cpu", mixed_precision=precision)
    model = work.model()
    model, optimizer = accelerator.prepare(model, make_optimizer(model, work.hyperparameters.optimizer))
    epochs = iter(range(10**6))

    def epoch() -> float:
        loader = accelerator.prepare(Batches(work, next(epochs)).loader())
        model.train()
        started = time.perf_counter()
        for images, target in loader:
            with accelerator.autocast():
                logits = model(images)
            loss = nn.functional.cross_entropy(logits.float(), target)
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
        work.wait()
        return time.perf_counter() - started

    return epoch


def lightning(work: Work) -> Round:
    """Return Lightning's loop: no logger, no checkpoints, no progress bar."""
    import lightning as pl

    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)

    class Module(pl.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = work.model()

        def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
            return nn.functional.cross_entropy(self.model(batch[0]).float(), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return make_optimizer(self.model, work.hyperparameters.optimizer)

    class Clock(pl.Callback):  # type: ignore[misc]
        started = seconds = 0.0

        def on_train_epoch_start(self, *_: object) -> None:
            self.started = time.perf_counter()

        def on_train_epoch_end(self, *_: object) -> None:
            work.wait()
            self.seconds = time.perf_counter() - self.started

    module, epochs, clock = Module(), iter(range(10**6)), Clock()
    precision: Any = {"float32": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}[work.settings.dtype]

    def epoch() -> float:
        trainer = pl.Trainer(
            max_epochs=1, accelerator="gpu" if work.settings.device == "cuda" else "cpu", devices=1,
            precision=precision, logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, callbacks=[clock], barebones=False,
        )  # fmt: skip
        trainer.fit(module, Batches(work, next(epochs)).loader())
        return clock.seconds

    return epoch


def fastai(work: Work) -> Round:
    """Return fastai's loop, without a progress bar and validation."""
    from fastai.callback.core import Callback
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner
    from fastai.optimizer import OptimWrapper

    class Clock(Callback):  # type: ignore[misc]
        started = seconds = 0.0

        def before_train(self) -> None:
            self.started = time.perf_counter()

        def after_train(self) -> None:
            work.wait()
            self.seconds = time.perf_counter() - self.started

    model, epochs, clock = work.model(), iter(range(10**6)), Clock()
    optimizer = make_optimizer(model, work.hyperparameters.optimizer)

    def epoch() -> float:
        loader = Batches(work, next(epochs)).loader()
        learner = Learner(
            DataLoaders(loader, loader, device=work.device), model, loss_func=nn.CrossEntropyLoss(),
            opt_func=lambda *_, **__: OptimWrapper(opt=optimizer), cbs=[clock],
        )  # fmt: skip
        if work.settings.dtype != "float32":
            learner = learner.to_bf16() if work.settings.dtype == "bfloat16" else learner.to_fp16()
        learner.logger = lambda *_: None
        learner._do_epoch_validate = lambda *_, **__: None
        learner.fit(1, lr=work.hyperparameters.optimizer.lr)
        return clock.seconds

    return epoch


PEERS: dict[str, tuple[str, Callable[[Work], Round]]] = {
    "bare PyTorch": ("torch", bare),
    "kaggle_ray": ("kaggle_ray", ours),
    "accelerate": ("accelerate", accelerated),
    "Lightning": ("lightning", lightning),
    "fastai": ("fastai", fastai),
}


def contenders(work: Work, only: tuple[str, ...]) -> Iterator[tuple[str, Round]]:
    """Yield those that are installed, the bare loop first."""
    for name, (package, make) in PEERS.items():
        if importlib.util.find_spec(package) is not None and (not only or name in only or name == "bare PyTorch"):
            yield name, partial(make(work))


def quartiles(values: list[float]) -> str:
    """Return median and quartiles."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


@click.command()
@click.option("--model", default="micro", show_default=True)
@click.option("--size", default=32, show_default=True, help="Side of an image in pixels.")
@click.option("--batch", default=64, show_default=True)
@click.option("--steps", default=40, show_default=True, help="Of a round.")
@click.option("--rounds", default=21, show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--dtype", type=click.Choice(["float32", "bfloat16", "float16"]), default="float32", show_default=True)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--compile", is_flag=True, help="Ours and the bare loop by torch.compile.")
@click.option("--only", multiple=True, type=click.Choice(list(PEERS)))
@record_options
def main(
    model: str, size: int, batch: int, steps: int, rounds: int, threads: int, dtype: Any, device: Any, compile: bool,
    only: tuple[str, ...], record: bool, note: str,
) -> None:  # fmt: skip
    """Print the time of a step of each loop, and its ratio to the bare loop's."""
    warnings.filterwarnings("ignore")
    settings = Settings(device=device, threads_per_trial=threads, dtype=dtype, compile=compile)
    work = Work.made_up(model, size, batch, steps, settings, rounds)
    loops = dict(contenders(work, only))
    torch.set_num_threads(threads)
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for number in range(rounds + 1):
        for name, epoch in loops.items():
            took = epoch()
            if number:  # the first warms up
                seconds[name].append(took)
    table = Table(
        "loop", "ms a step", "images/s", "over the bare loop",
        title=f"{model}, {size} px, batches of {batch}, {dtype}, {device}: {rounds} rounds of {steps} steps",
    )  # fmt: skip
    for name, of_loop in seconds.items():
        ratios = [own / of_bare for own, of_bare in zip(of_loop, seconds["bare PyTorch"], strict=True)]
        per_step = float(np.median(of_loop)) / steps
        table.add_row(name, f"{1e3 * per_step:.2f}", f"{batch / per_step:,.0f}", quartiles(ratios))
    if device == "cuda":
        table.caption = f"peak GPU memory: {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB"
    measured = Measured(benchmark="steps", record=record, note=note)
    measured.show(table)
    measured.leave()


if __name__ == "__main__":
    main()
