"""What checkpoints cost: the seconds that one takes to write, and their share of a training's time.

    uv run --all-extras --group benchmarks python tests/benchmarks/checkpoints.py

A checkpoint is written as a run writes it: all of a fit's state with AdamW's moments, synced to the disk that
``--folder`` is on. The share of a training that packing and writing take is that of its CPU time, and of its wall time,
which other work on the machine stretches. What the first checkpoint costs is not known before it is written: a training
of half a minute may spend more on it than the half percent that the cadence keeps to from then on.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table
from torch import nn

from kaggle_ray.config import Hyperparameters
from kaggle_ray.data.head import Head
from kaggle_ray.images.augment import id_hashes
from kaggle_ray.images.cache import Images
from kaggle_ray.metrics import LOG_LOSS
from kaggle_ray.models import register_model
from kaggle_ray.settings import Settings
from kaggle_ray.store.run import RunStore
from kaggle_ray.train.checkpoint import Cadence
from kaggle_ray.train.inputs import FitData, Inputs
from kaggle_ray.train.loop import Fit
from kaggle_ray.train.trial import StoredCheckpoints
from kaggle_ray.types import Trial

DEFAULT_EVERY_S = 30.0
TRIAL = Trial(experiment_id="measured", fold=0)


@register_model("micro")
def micro(num_outputs: int, width: int = 8) -> nn.Module:
    """Return a CNN that is so small that what surrounds it shows."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, 2, 1, bias=False), nn.BatchNorm2d(2 * width), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2 * width, num_outputs),
    )  # fmt: skip


class Timed(Cadence):
    """A cadence that adds up what it lets happen: packing and writing."""

    def __init__(self, every_s: float) -> None:
        super().__init__(every_s)
        self.costs_s: list[float] = []
        self.cpu_s = 0.0

    def save(self, write: Callable[[], None]) -> None:
        started, cpu_started = time.perf_counter(), time.process_time()
        super().save(write)
        self.costs_s.append(time.perf_counter() - started)
        self.cpu_s += time.process_time() - cpu_started


def made_up_fit(model: str, size: int, *, steps: int, folder: Path, cadence: Cadence, threads: int) -> Fit:
    """Return a fit of noise in ten classes, by AdamW, in batches of 32."""
    rng = np.random.default_rng(0)
    rows = np.arange(32 * steps)
    data = FitData(
        inputs=Inputs(images=Images.of_array(rng.integers(0, 256, (len(rows), size, size, 3), dtype=np.uint8))),
        target=rng.integers(0, 10, len(rows)),
        heads=(Head(task="multiclass", classes=tuple("0123456789"), metric=LOG_LOSS),),
        metric=LOG_LOSS,
        train_rows=rows,
        valid_rows=rows[:0],
        fold=0,
        id_hashes=id_hashes(map(str, rows)),
        sample_ids=np.array([f"s{row}" for row in rows]),
    )
    point = Hyperparameters(
        model=model, image_size=size, batch_size=32, epochs=10**6, evaluate_every=10**6, schedule="constant", lr=1e-4
    )
    settings = Settings(device="cpu", threads_per_trial=threads, dtype="float32")
    checkpoints = StoredCheckpoints(RunStore(folder), TRIAL)
    return Fit(data, point, settings, checkpoints=checkpoints, cadence=cadence)


def cost_of_one(model: str, folder: Path, *, times: int, threads: int) -> tuple[float, list[float]]:
    """Return the MB of a checkpoint, and the seconds of each of several."""
    cadence = Timed(0.0)
    fit = made_up_fit(model, 32, steps=1, folder=folder, cadence=cadence, threads=threads)
    next(fit.epochs())  # so that there are moments
    cadence.costs_s.clear()
    for _ in range(times):
        fit.save()
    data = RunStore(folder).checkpoint(TRIAL)
    assert data is not None
    return len(data) / 1e6, cadence.costs_s


def shares_of(model: str, size: int, folder: Path, *, seconds: float, threads: int) -> tuple[float, float, int, float]:
    """Train for about ``seconds``.

    Returns:
        the share of checkpoints in the CPU time and in the wall time, their number, and the wall time of an epoch.
    """
    cadence = Timed(DEFAULT_EVERY_S)
    fit = made_up_fit(model, size, steps=20, folder=folder, cadence=cadence, threads=threads)
    wall, cpu, num_epochs = time.perf_counter(), time.process_time(), 0
    for _ in fit.epochs():
        num_epochs += 1
        if time.perf_counter() - wall >= seconds:
            break
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return cadence.cpu_s / cpu, sum(cadence.costs_s) / wall, len(cadence.costs_s), wall / num_epochs


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), help="Where checkpoints go. [a temporary one]")
@click.option("--times", default=9, show_default=True, help="Checkpoints of a size.")
@click.option("--seconds", default=120.0, show_default=True, help="Of each training, at least.")
@click.option("--threads", default=1, show_default=True)
def main(folder: Path | None, times: int, seconds: float, threads: int) -> None:
    """Print both tables."""
    console = Console(width=120)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        one = Table("model", "MB", "seconds, median (least to most)", title="a checkpoint with AdamW's moments")
        for model in ("micro", "resnet18", "resnet50"):
            size_mb, costs_s = cost_of_one(model, Path(temporary, model), times=times, threads=threads)
            spread = f"{np.median(costs_s):.3f} ({min(costs_s):.3f} to {max(costs_s):.3f})"
            one.add_row(model, f"{size_mb:,.1f}", spread)
        console.print(one)
        shares = Table(
            "model", "s an epoch", "checkpoints", "of the CPU time", "of the wall time",
            title=f"one every {DEFAULT_EVERY_S:.0f} s, batches of 32, {threads} threads, {seconds:.0f} s each",
        )  # fmt: skip
        for model, size in (("micro", 32), ("resnet18", 64)):
            of_cpu, of_wall, number, epoch_s = shares_of(
                model, size, Path(temporary, f"{model}-training"), seconds=seconds, threads=threads
            )
            shares.add_row(f"{model}, {size} px", f"{epoch_s:.2f}", str(number), f"{of_cpu:.2%}", f"{of_wall:.2%}")
        console.print(shares)


if __name__ == "__main__":
    main()
