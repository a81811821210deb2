"""Two processes of one thread that train together (gloo), beside one process of two threads, at the same global batch.

    uv run --all-extras --group benchmarks python tests/benchmarks/processes.py     # on a machine that is quiet

Each configuration trains a trial as a run does, in a process of its own, one after the other in each round: a ratio is
of one round, so that what else the machine does falls on both. An epoch is timed by the fit itself; the first, in which
kernels are chosen, and the last, which is evaluated, are not counted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import click
import cv2
import numpy as np
from record import Measured, record_options
from rich.table import Table

from kaggle_ray.launch.local_peers import LocalRunner
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.plan import make_plan
from kaggle_ray.pipeline.prepare import prepare
from kaggle_ray.types import EpochMetrics, JsonValue, Trial

COMPETITION = Path(__file__).with_name("made_up_competition.py")
CONFIGURATIONS = {"1 process of 2 threads": (1, 2), "2 processes of 1 thread": (2, 1)}
NUM_TEST = 8


def write_images(folder: Path, *, size: int, number: int) -> None:
    """Write noise to train on, and a little to predict."""
    rng = np.random.default_rng(0)
    for part, num_images in (("train", number), ("test", NUM_TEST)):
        (folder / part).mkdir(parents=True)
        for image in range(num_images):
            cv2.imwrite(
                str(folder / part / f"{part}{image}.png"), rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
            )
    lines = ["id,label", *(f"test{image},0.5" for image in range(NUM_TEST))]
    (folder / "sample_submission.csv").write_text("\n".join(lines) + "\n")


def epoch_seconds(
    data: Path, experiment: dict[str, JsonValue], processes: int, threads: int
) -> tuple[int, list[float], float]:
    """Train one trial from this process; return rows, the seconds of the epochs that count, and the last loss."""
    with tempfile.TemporaryDirectory() as runs:
        plan = make_plan(
            RunOptions(
                competition=COMPETITION, experiments=[experiment], data=data, runs=runs, run_id="x",
                ignore_near_duplicates=True,
                device="cpu", dtype="float32", threads=threads, processes=processes,
            )
        )  # fmt: skip
        store, _ = prepare(plan, None)
        trial = Trial(experiment_id=plan.experiments[0].experiment_id, fold=0)
        with closing(LocalRunner(plan.trial_context())) as runner:
            history = [message for message in runner.run(trial) if isinstance(message, EpochMetrics)]
        result = store.result(trial)
        assert result is not None, "the trial failed: its error is above"
    return len(plan.folds.train_rows(0)), [m.duration_s for m in history[1:-1]], history[-1].train_loss


def in_own_process(arguments: list[str], processes: int, threads: int) -> tuple[float, float]:
    """Return images per second of a training in a new process, and its last loss."""
    command = [sys.executable, __file__, *arguments, "--only", f"{processes}x{threads}"]
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    rows, seconds, loss = json.loads(done.stdout.splitlines()[-1])
    return rows / float(np.median(seconds)), loss


def spread(values: list[float], digits: int) -> str:
    """Return the median, the least and the greatest."""
    return f"{np.median(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


@click.command()
@click.option("--model", default="small_resnet", show_default=True)
@click.option("--size", default=64, show_default=True, help="Side of an image in pixels.")
@click.option("--batch", default=64, show_default=True, help="Of all processes together.")
@click.option("--images", default=2560, show_default=True)
@click.option("--epochs", default=5, show_default=True, help="Of a round; the first and the last do not count.")
@click.option("--rounds", default=7, show_default=True)
@click.option("--augment", default="light", show_default=True)
@click.option("--data", type=click.Path(path_type=Path), hidden=True)
@click.option("--only", hidden=True)
@record_options
def main(
    model: str, size: int, batch: int, images: int, epochs: int, rounds: int, augment: str, data: Path | None,
    only: str | None, record: bool, note: str,
) -> None:  # fmt: skip
    """Print images per second of each, and the ratio."""
    experiment: dict[str, JsonValue] = {
        "model": model, "image_size": size, "batch_size": batch, "epochs": epochs, "evaluate_every": epochs,
        "augment": augment,
    }  # fmt: skip
    if only is not None:
        assert data is not None
        processes, threads = map(int, only.split("x"))
        click.echo(json.dumps(epoch_seconds(data, experiment, processes, threads)))
        return
    rates: dict[str, list[float]] = {name: [] for name in CONFIGURATIONS}
    losses: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["KAGGLE_RAY_CACHE"] = str(Path(folder, "cache"))
        write_images(Path(folder, "data"), size=size, number=images)
        arguments = [
            "--model", model, "--size", str(size), "--batch", str(batch), "--epochs", str(epochs),
            "--augment", augment, "--data", str(Path(folder, "data")),
        ]  # fmt: skip
        for _ in range(rounds):
            for name, (processes, threads) in CONFIGURATIONS.items():
                rate, losses[name] = in_own_process(arguments, processes, threads)
                rates[name].append(rate)
    table = Table(
        "", "images/s, median (least to most)", "last loss",
        title=f"{model}, {size} px, batches of {batch}, {rounds} rounds of {epochs} epochs",
    )  # fmt: skip
    for name, of_name in rates.items():
        table.add_row(name, spread(of_name, 0), f"{losses[name]:.4f}")
    one, two = rates.values()
    table.caption = f"two processes over one: {spread([b / a for a, b in zip(one, two, strict=True)], 2)}"
    measured = Measured(benchmark="processes", record=record, note=note)
    measured.show(table)
    measured.leave()


if __name__ == "__main__":
    main()
