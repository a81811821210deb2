"""What an epoch costs beside its steps: checkpoints, and the evaluation of the rows that are scored.

    uv run --all-extras --group benchmarks python tests/benchmarks/epoch_costs.py

A checkpoint is written as a run writes it: all of a fit's state with AdamW's moments, synced to the disk that
``--folder`` is on. The share of a training that packing and writing take is that of its CPU time, and of its wall time,
which other work on the machine stretches. What the first checkpoint costs is not known before it is written: a training
of half a minute may spend more on it than the half percent that the cadence keeps to from then on.

Evaluation is what an epoch takes longer with it than without, in fits that take turns; a row is scored for every four
that are trained on, as in five folds. Beside it stands a bare loop that predicts the same rows in the same batches, and
scores them by scikit-learn.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import numpy as np
import torch
from record import Measured, record_options
from rich.table import Table
from sklearn.metrics import log_loss
from torch import nn

from kaggle_ray.config import Hyperparameters
from kaggle_ray.config.settings import Settings
from kaggle_ray.data.head import Head
from kaggle_ray.images.augment import id_hashes
from kaggle_ray.images.cache import Images
from kaggle_ray.metrics import LOG_LOSS
from kaggle_ray.models import register_model
from kaggle_ray.store.opening import open_run
from kaggle_ray.train.checkpoint import Cadence, StoredCheckpoints
from kaggle_ray.train.inputs import FitData, Inputs
from kaggle_ray.train.loop import Fit
from kaggle_ray.types import Trial

BATCH = 32
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


def made_up_data(size: int, *, steps: int, num_scored: int = 0) -> FitData:
    """Return noise in ten classes: rows for so many steps, then those that are scored."""
    rng = np.random.default_rng(0)
    rows = np.arange(BATCH * steps + num_scored)
    return FitData(
        inputs=Inputs(images=Images.of_array(rng.integers(0, 256, (len(rows), size, size, 3), dtype=np.uint8))),
        target=rng.integers(0, 10, len(rows)),
        heads=(Head(task="multiclass", classes=tuple("0123456789"), metric=LOG_LOSS),),
        metric=LOG_LOSS,
        train_rows=rows[: BATCH * steps],
        valid_rows=rows[BATCH * steps :],
        fold=0,
        id_hashes=id_hashes(map(str, rows)),
        sample_ids=np.array([f"s{row}" for row in rows]),
    )


def hyperparameters_of(model: str, size: int, *, evaluate_every: int = 10**6) -> Hyperparameters:
    """Return what trains for ever, by AdamW."""
    return Hyperparameters(
        model=model, image_size=size, batch_size=BATCH, epochs=10**6, evaluate_every=evaluate_every,
        schedule="constant", lr=1e-4,
    )  # fmt: skip


def made_up_fit(model: str, size: int, *, steps: int, folder: Path, cadence: Cadence, threads: int) -> Fit:
    """Return a fit whose checkpoints are written."""
    settings = Settings(device="cpu", threads_per_trial=threads, dtype="float32")
    checkpoints = StoredCheckpoints(open_run(folder), TRIAL)
    data = made_up_data(size, steps=steps)
    return Fit(data, hyperparameters_of(model, size), settings, checkpoints=checkpoints, cadence=cadence)


def cost_of_one(model: str, folder: Path, *, times: int, threads: int) -> tuple[float, list[float]]:
    """Return the MB of a checkpoint, and the seconds of each of several."""
    cadence = Timed(0.0)
    fit = made_up_fit(model, 32, steps=1, folder=folder, cadence=cadence, threads=threads)
    next(fit.epochs())  # so that there are moments
    cadence.costs_s.clear()
    for _ in range(times):
        fit.save()
    data = open_run(folder).checkpoint(TRIAL)
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


def bare_evaluation(fit: Fit, data: FitData) -> float:
    """Return the log loss of the rows that are scored, as one writes it by hand."""
    model, values = fit.predictor.model.eval(), []
    with torch.inference_mode():
        for start in range(0, len(data.valid_rows), BATCH):
            pixels = torch.from_numpy(data.inputs.read(data.valid_rows[start : start + BATCH]))
            logits = model(pixels.permute(0, 3, 1, 2).float() / 255)
            values.append(torch.softmax(logits.float(), dim=1).numpy())
    return float(log_loss(data.target[data.valid_rows], np.concatenate(values), labels=list(range(10))))


def evaluation_of(model: str, size: int, *, threads: int, rounds: int, steps: int = 40) -> tuple[float, float, float]:
    """Return the seconds, medians over rounds, of an epoch's steps, of its evaluation, and of the bare evaluation."""
    settings = Settings(device="cpu", threads_per_trial=threads, dtype="float32")
    data = made_up_data(size, steps=steps, num_scored=BATCH * steps // 4)
    with_it, without = (
        Fit(data, hyperparameters_of(model, size, evaluate_every=every), settings) for every in (1, 10**6)
    )
    epochs = with_it.epochs(), without.epochs()
    took = np.zeros((rounds + 1, 3))
    for of_round in took:
        for number, what in enumerate(
            (partial(next, epochs[0]), partial(next, epochs[1]), partial(bare_evaluation, with_it, data))
        ):
            started = time.perf_counter()
            what()
            of_round[number] = time.perf_counter() - started
    took = took[1:]  # the first warms up
    return float(np.median(took[:, 1])), float(np.median(took[:, 0] - took[:, 1])), float(np.median(took[:, 2]))


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), help="Where checkpoints go. [a temporary one]")
@click.option("--times", default=9, show_default=True, help="Checkpoints of a size.")
@click.option("--seconds", default=120.0, show_default=True, help="Of each training, at least.")
@click.option("--threads", default=1, show_default=True)
@click.option("--rounds", default=15, show_default=True, help="Of epochs with and without evaluation.")
@record_options
def main(folder: Path | None, times: int, seconds: float, threads: int, rounds: int, record: bool, note: str) -> None:
    """Print three tables."""
    measured = Measured(benchmark="epoch_costs", record=record, note=note)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        one = Table("model", "MB", "seconds, median (least to most)", title="a checkpoint with AdamW's moments")
        for model in ("micro", "resnet18", "resnet50"):
            size_mb, costs_s = cost_of_one(model, Path(temporary, model), times=times, threads=threads)
            spread = f"{np.median(costs_s):.3f} ({min(costs_s):.3f} to {max(costs_s):.3f})"
            one.add_row(model, f"{size_mb:,.1f}", spread)
        measured.show(one)
        shares = Table(
            "model", "s an epoch", "checkpoints", "of the CPU time", "of the wall time",
            title=f"one every {DEFAULT_EVERY_S:.0f} s, batches of 32, {threads} threads, {seconds:.0f} s each",
        )  # fmt: skip
        for model, size in (("micro", 32), ("resnet18", 64)):
            of_cpu, of_wall, number, epoch_s = shares_of(
                model, size, Path(temporary, f"{model}-training"), seconds=seconds, threads=threads
            )
            shares.add_row(f"{model}, {size} px", f"{epoch_s:.2f}", str(number), f"{of_cpu:.2%}", f"{of_wall:.2%}")
        measured.show(shares)
    evaluations = Table(
        "model", "ms of the steps", "ms of evaluation", "of the epoch", "over a bare one",
        title=f"evaluation, a row for every four that are trained on, medians of {rounds} rounds",
    )  # fmt: skip
    for model, size in (("micro", 32), ("resnet18", 64)):
        steps_s, ours_s, bare_s = evaluation_of(model, size, threads=threads, rounds=rounds)
        evaluations.add_row(
            f"{model}, {size} px", f"{1e3 * steps_s:.0f}", f"{1e3 * ours_s:.1f}", f"{ours_s / (steps_s + ours_s):.1%}",
            f"{ours_s / bare_s:.2f}",
        )  # fmt: skip
    measured.show(evaluations)
    measured.leave()


if __name__ == "__main__":
    main()
