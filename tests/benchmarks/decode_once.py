"""What decoding once saves a cross-validated run, and what memory the shared pixels take.

    python tests/benchmarks/decode_once.py PHOTOGRAPHS --size 64 --epochs 3

Trains 4 experiments x 5 folds of a small network on the photographs, in this process: with the decode-once cache, and
decoding on the fly each time. The saving is extrapolated to no other number of epochs. Then 1 and 4 processes read the
same cached pixels of made-up images in random order, and the memory that this takes is told: resident and proportional
(a page that four processes share counts a quarter for each, so the sum counts it once).
"""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.queues
import multiprocessing.synchronize
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
import cv2
import numpy as np
from record import Measured, record_options
from rich.table import Table

import kaggle_ray
from kaggle_ray.data.image_files import list_images
from kaggle_ray.images import datasets
from kaggle_ray.images.cache import Images, open_images

NUM_EXPERIMENTS, NUM_FOLDS, BATCH_SIZE = 4, 5, 32
MIB = 2**20
COMPETITION_FILE = Path(__file__).with_name("made_up_competition.py")


# What a run costs ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class RunCost:
    """Seconds of a run."""

    wall_s: float
    cpu_s: float
    reading_cpu_s: float
    """Of opening the cache, decoding and reading; augmentation counts as training."""
    num_decoded: int


@dataclass(kw_only=True, slots=True)
class Reading:
    """What opening and reading images has cost so far."""

    cpu_s: float = 0.0
    num_decoded: int = 0


@contextmanager
def watch_reading() -> Iterator[Reading]:
    """Yield what every opening and reading of images is added to."""
    reading = Reading()

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            started = time.process_time()
            result = function(*args, **options)
            reading.cpu_s += time.process_time() - started
            if isinstance(result, Images):
                reading.num_decoded += result.num_built
            elif args[0].pixels is None:
                reading.num_decoded += len(result)
            return result

        return call

    with (
        patch.object(datasets, "open_images", timed(open_images)),
        patch.object(Images, "read", timed(Images.read)),
    ):
        yield reading


def write_competition(folder: Path, images: list[Path]) -> None:
    """Lay links to ``images`` out as made_up_competition.py reads them; the first is the test set, too."""
    for part, paths in (("train", images), ("test", images[:1])):
        (folder / part).mkdir(parents=True)
        for number, path in enumerate(paths):
            (folder / part / f"{part}{number}{path.suffix}").symlink_to(path.resolve())
    (folder / "sample_submission.csv").write_text("id,label\ntest0,0.5\n")


def cost_of_run(data: Path, scratch: Path, size: int, epochs: int, *, cached: bool) -> RunCost:
    """Run the made-up competition's four experiments with an empty cache, or with none."""
    environment = {"KAGGLE_RAY_CACHE": str(scratch / "cache"), **({} if cached else {"KAGGLE_RAY_CACHE_GIB": "0"})}
    wall, cpu = time.perf_counter(), time.process_time()
    with patch.dict(os.environ, environment), watch_reading() as reading:
        result = kaggle_ray.run(
            COMPETITION_FILE, data=data, runs=scratch, launcher="local", device="cpu", threads=1, reporters=[],
            overrides={"image_size": size * 5 // 4, "train_size": size, "epochs": epochs},
        )  # fmt: skip
    assert len(result.experiments) == NUM_EXPERIMENTS
    return RunCost(
        wall_s=time.perf_counter() - wall,
        cpu_s=time.process_time() - cpu,
        reading_cpu_s=reading.cpu_s,
        num_decoded=reading.num_decoded,
    )


def compare_runs(images: list[Path], scratch: Path, size: int, epochs: int) -> Table:
    """Return the table of the run with the cache and without; a small run before them imports what is lazy."""
    data = scratch / "data"
    write_competition(data, images)
    cost_of_run(data, scratch / "warm", 16, 1, cached=True)
    columns = ("", "wall s", "CPU s", "of it reading", "of it training", "images decoded")
    table = Table(
        *columns, title=f"{len(images)} images: {NUM_EXPERIMENTS} experiments x {NUM_FOLDS} folds x {epochs} epochs"
    )
    costs = {}
    for name, cached in (("with the cache", True), ("on the fly", False)):
        cost = costs[name] = cost_of_run(data, scratch / name, size, epochs, cached=cached)
        seconds = (cost.wall_s, cost.cpu_s, cost.reading_cpu_s, cost.cpu_s - cost.reading_cpu_s)
        table.add_row(name, *(f"{value:.1f}" for value in seconds), str(cost.num_decoded))
    cache, fly = costs.values()
    ratios = (fly.wall_s / cache.wall_s, fly.cpu_s / cache.cpu_s, fly.reading_cpu_s / cache.reading_cpu_s)
    table.add_row("ratio", *(f"{ratio:.1f}x" for ratio in ratios), "", "")
    return table


# What memory the pixels take -----------------------------------------------------------------------------------------


def write_made_up(folder: Path, num_images: int, side: int) -> list[Path]:
    """Write JPEG files of noise, all different."""
    folder.mkdir()
    paths = [folder / f"{number}.jpg" for number in range(num_images)]
    rng = np.random.default_rng(0)
    for path in paths:
        coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        cv2.imwrite(str(path), cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC))
    return paths


def memory_table(scratch: Path, num_images: int, side: int) -> Table:
    """Return the table of the memory that 1 and 4 readers of the same pixels take together."""
    paths = write_made_up(scratch / "made_up", num_images, side)
    open_images(paths, height=side, width=side, cache_dir=scratch / "pixels")  # decoded here; nothing is kept open
    num_mib = num_images * side * side * 3 / MIB
    table = Table(
        "processes", "resident MiB, sum", "proportional MiB, sum",
        title=f"memory for {num_images} images of {side} px, {num_mib:.0f} MiB of pixels",
    )  # fmt: skip
    for num_processes in (1, 4):
        found = memory_of_readers(paths, side, scratch / "pixels", num_processes)
        table.add_row(str(num_processes), *(f"{sum(column):.0f}" for column in zip(*found, strict=True)))
    return table


def memory_of_readers(paths: list[Path], side: int, cache_dir: Path, num_processes: int) -> list[tuple[float, float]]:
    """Return each process's resident and proportional growth in MiB while all hold every page."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(num_processes), context.Queue()
    processes = [
        context.Process(target=_hold, args=(paths, side, cache_dir, barrier, results)) for _ in range(num_processes)
    ]
    for process in processes:
        process.start()
    found = [results.get() for _ in processes]
    for process in processes:
        process.join()
    return found


def _hold(
    paths: list[Path],
    side: int,
    cache_dir: Path,
    barrier: multiprocessing.synchronize.Barrier,
    results: multiprocessing.queues.Queue[tuple[float, float]],
) -> None:
    barrier.wait()  # all have imported what they share
    before = _memory()
    images = open_images(paths, height=side, width=side, cache_dir=cache_dir)
    assert images.num_decoded == 0
    order = np.random.default_rng(os.getpid()).permutation(len(paths))
    for batch in np.array_split(order, -(-len(order) // BATCH_SIZE)):
        images.read(batch)
    barrier.wait()
    after = _memory()
    barrier.wait()
    results.put(((after[0] - before[0]) / MIB, (after[1] - before[1]) / MIB))


def _memory() -> tuple[int, int]:
    """Return resident and proportional bytes of this process."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    sizes = {
        name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines) if "kB" in rest
    }
    return sizes["Rss"], sizes["Pss"]


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--size", default=64, show_default=True, help="Side in pixels of a batch's images.")
@click.option("--epochs", default=3, show_default=True)
@click.option("--made-up", default=4000, show_default=True, help="Images for the memory's table.")
@click.option("--made-up-side", default=160, show_default=True, help="Their side in pixels.")
@record_options
def main(folder: Path, size: int, epochs: int, made_up: int, made_up_side: int, record: bool, note: str) -> None:
    """Print what decoding once saves on the images of FOLDER, and what memory shared pixels take."""
    logging.getLogger("kaggle_ray").setLevel(logging.ERROR)  # that there is no cache is meant
    measured = Measured(benchmark="decode_once", record=record, note=note)
    with tempfile.TemporaryDirectory() as name:
        measured.show(compare_runs(list(list_images(folder).values()), Path(name), size, epochs))
        measured.show(memory_table(Path(name), made_up, made_up_side))
    measured.leave()


if __name__ == "__main__":
    main()
