"""What decoding once saves a cross-validated run, and what memory the shared pixels take.

    python tests/benchmarks/decode_once.py PHOTOGRAPHS --size 64 --epochs 3

Reads what 4 experiments x 5 folds x some epochs read (training rows augmented, scored rows resized), without training:
with the decode-once cache, and decoding on the fly each time. The saving is extrapolated to no other number of epochs.
Then 1 and 4 processes read the same cached pixels in random order, and the memory that each takes is told: resident and
proportional (a page that four processes share counts a quarter for each).
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from kaggle_ray.data.files import list_images
from kaggle_ray.images.augment import augment_batch, id_hashes, sample_keys
from kaggle_ray.images.cache import Images, open_images

NUM_EXPERIMENTS, NUM_FOLDS, BATCH_SIZE = 4, 5, 32
MIB = 2**20


def read_run(images: Images, size: int, num_epochs: int) -> None:
    """Read what a run reads: for every experiment and fold, every epoch's training rows, and the scored rows."""
    rows = np.arange(images.shape[0])
    hashes = id_hashes([str(row) for row in rows])
    for experiment in range(NUM_EXPERIMENTS):
        for fold in range(NUM_FOLDS):
            scored = rows % NUM_FOLDS == fold
            for epoch in range(num_epochs):
                keys = sample_keys(experiment, fold, epoch, hashes)
                for batch in np.array_split(
                    np.random.default_rng(epoch).permutation(rows[~scored]), _num_batches(rows)
                ):
                    augment_batch(images.read(batch), None, keys[batch], "light", size, size)
                for batch in np.array_split(rows[scored], _num_batches(rows[scored])):
                    images.read(batch)


def _num_batches(rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> int:
    return -(-len(rows) // BATCH_SIZE)


def _timed(images: Images, size: int, num_epochs: int) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    read_run(images, size, num_epochs)
    return time.perf_counter() - wall, time.process_time() - cpu


def memory_of_readers(
    paths: list[Path], decoded: int, cache_dir: Path, num_processes: int
) -> list[tuple[float, float]]:
    """Return each process's resident and proportional growth in MiB while all hold every page."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(num_processes), context.Queue()
    processes = [
        context.Process(target=_hold, args=(paths, decoded, cache_dir, barrier, results)) for _ in range(num_processes)
    ]
    for process in processes:
        process.start()
    found = [results.get() for _ in processes]
    for process in processes:
        process.join()
    return found


def _hold(paths, decoded, cache_dir, barrier, results) -> None:  # type: ignore[no-untyped-def]
    before = _memory()
    images = open_images(paths, height=decoded, width=decoded, cache_dir=cache_dir)
    for batch in np.array_split(np.random.default_rng(0).permutation(len(paths)), _num_batches(np.arange(len(paths)))):
        images.read(batch)
    barrier.wait()
    after = _memory()
    barrier.wait()
    results.put(tuple((now - then) / MIB for now, then in zip(after, before, strict=True)))


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
def main(folder: Path, size: int, epochs: int) -> None:
    """Print what decoding once saves on the images of FOLDER."""
    paths = list(list_images(folder).values())
    decoded = size * 5 // 4
    console = Console(width=120)
    with tempfile.TemporaryDirectory() as scratch:
        table = Table(
            "", "wall s", "CPU s", "images decoded", title=f"{folder.name}: 4 experiments x 5 folds x {epochs} epochs"
        )
        for name, budget in (("with the cache", None), ("on the fly", 0)):
            wall, cpu = time.perf_counter(), time.process_time()
            cache = Path(scratch) / name
            images = open_images(paths, height=decoded, width=decoded, cache_dir=cache, budget_bytes=budget)
            build = time.perf_counter() - wall, time.process_time() - cpu
            seconds = _timed(images, size, epochs)
            table.add_row(name, *(f"{a + b:.1f}" for a, b in zip(build, seconds, strict=True)), str(images.num_decoded))
        console.print(table)
        table = Table("processes", "resident MiB each", "proportional MiB each", title="memory that the pixels take")
        for num_processes in (1, 4):
            found = memory_of_readers(paths, decoded, Path(scratch) / "with the cache", num_processes)
            table.add_row(str(num_processes), *(f"{np.mean(column):.0f}" for column in zip(*found, strict=True)))
        console.print(table)


if __name__ == "__main__":
    main()
