"""Recall, precision and speed of the search for near-duplicates, with near-duplicates planted among real photographs.

    python tests/benchmarks/near_duplicates.py --data DATA

DATA holds competitions' folders, as Kaggle lays them out; those that are not there are passed over. The pairs that were
not planted are named, and drawn side by side to near-duplicates-DATASET.png with --sheets: duplicates that the data
really has are no mistakes, and only an eye can tell.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import click
import cv2
import numpy as np
from record import Measured, record_options
from rich.table import Table

from kaggle_ray.images.near_duplicates import find_near_duplicates
from kaggle_ray.images.perceptual_hash import near_hashes
from kaggle_ray.testing.planted import judge, plant

IMAGES = {
    "dogs-vs-cats-redux-kernels-edition": "t*/*.jpg",
    "natural-scenes-multilabel": "t*-jpg/*.jpg",
    "tgs-salt-identification-challenge": "t*/images/*.png",
    "leaf-classification": "images/*.jpg",
    "carvana-image-masking-challenge": "t*/*.jpg",
    "cifar-10": "t*/*.jpg",
}
_NUM_NAMED = 10


@click.command()
@click.option(
    "--data", type=click.Path(path_type=Path, exists=True), required=True, help="Folder of competitions' folders."
)
@click.option("--near-duplicates", "number", default=600, show_default=True, help="To plant in each data set.")
@click.option("--seed", default=0, show_default=True)
@click.option("--hashes", default=100_000, show_default=True, help="Made-up hashes to search; 0: none.")
@click.option("--sheets", type=click.Path(path_type=Path), help="Folder to draw the pairs to that were not planted.")
@record_options
def main(data: Path, number: int, seed: int, hashes: int, sheets: Path | None, record: bool, note: str) -> None:
    """Print recall, precision and speed on each data set of DATA, and the speed of the search among hashes."""
    measured = Measured(benchmark="near_duplicates", record=record, note=note)
    table = Table("data set", "images", "recall", "precision", "seconds", "images/s", "again, s", "near-duplicates")
    for name, pattern in IMAGES.items():
        if originals := sorted((data / name).glob(pattern)):
            table.add_row(*measure(name, originals, number, seed, sheets))
    if hashes:
        table.caption = search(hashes, seed)
    measured.show(table)
    measured.leave()


def measure(name: str, originals: list[Path], number: int, seed: int, sheets: Path | None) -> list[str]:
    """Return a row of the table; name the pairs that were missed, or found without having been planted."""
    with tempfile.TemporaryDirectory() as folder:
        planted = plant(originals, Path(folder), num_near_duplicates=number, rng=np.random.default_rng(seed))
        seconds = []
        for _ in range(2):
            started = time.perf_counter()
            found = find_near_duplicates(planted.samples, channels=3, cache_dir=Path(folder) / "cache")
            seconds.append(time.perf_counter() - started)
        judged = judge(planted, found)
        for what, pairs in (("missed", judged.missed), ("not planted", judged.wrong)):
            for first, second in pairs[:_NUM_NAMED]:
                click.echo(f"{name}: {what}: {first.name} {second.name}")
        if sheets and judged.wrong:
            rows = [
                np.hstack([cv2.resize(cv2.imread(str(path)), (256, 256)) for path in pair]) for pair in judged.wrong
            ]
            cv2.imwrite(str(sheets / f"near-duplicates-{name}.png"), np.vstack(rows))
    num_images = len(originals) + number
    return [
        name, str(num_images), f"{judged.recall:.4f}", f"{judged.precision:.4f}", f"{seconds[0]:.2f}",
        f"{num_images / seconds[0]:.0f}", f"{seconds[1]:.2f}", str(judged.num_near_duplicates),
    ]  # fmt: skip


def search(num_hashes: int, seed: int) -> str:
    """Return how long a search among made-up hashes takes."""
    hashes = np.random.default_rng(seed).integers(0, 2**64, (num_hashes, 2), dtype=np.uint64)
    started = time.perf_counter()
    near_hashes(hashes, hashes, at_most=17)
    return f"{num_hashes:,} hashes against as many: {time.perf_counter() - started:.1f} s"


if __name__ == "__main__":
    main()
