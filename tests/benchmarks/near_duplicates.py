"""Recall, precision and speed of the search for near-duplicates, with near-duplicates planted among real photographs.

    python tests/benchmarks/near_duplicates.py --data DATA

DATA holds competitions' folders, as Kaggle lays them out; those that are not there are passed over. The pairs that were
not planted are named, and drawn side by side to near-duplicates-DATASET.png with --sheets: duplicates that the data
really has are no mistakes, and only an eye can tell.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--near-duplicates", type=int, default=600, help="to plant in each data set")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hashes", type=int, default=100_000, help="made-up hashes to search; 0: none")
    parser.add_argument("--sheets", type=Path, help="folder to draw the pairs to that were not planted")
    arguments = parser.parse_args()
    print(f"{'data set':40s} images  recall  precision  seconds  images/s  again  near-duplicates")
    for name, pattern in IMAGES.items():
        originals = sorted((arguments.data / name).glob(pattern))
        if originals:
            measure(name, originals, arguments)
    if arguments.hashes:
        search(arguments.hashes, arguments.seed)


def measure(name: str, originals: list[Path], arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(arguments.seed)
        planted = plant(originals, Path(folder), num_near_duplicates=arguments.near_duplicates, rng=rng)
        seconds = []
        for _ in range(2):
            started = time.perf_counter()
            found = find_near_duplicates(planted.samples, channels=3, cache_dir=Path(folder) / "cache")
            seconds.append(time.perf_counter() - started)
        judged = judge(planted, found)
        num_images = len(originals) + arguments.near_duplicates
        print(
            f"{name:40s} {num_images:6d}  {judged.recall:.4f}     {judged.precision:.4f} {seconds[0]:8.2f} "
            f"{num_images / seconds[0]:9.0f} {seconds[1]:6.2f}  {judged.num_near_duplicates}",
            flush=True,
        )
        for what, pairs in (("missed", judged.missed), ("not planted", judged.wrong)):
            for first, second in pairs[:_NUM_NAMED]:
                print(f"    {what}: {first.name} {second.name}")
        if arguments.sheets and judged.wrong:
            rows = [
                np.hstack([cv2.resize(cv2.imread(str(path)), (256, 256)) for path in pair]) for pair in judged.wrong
            ]
            cv2.imwrite(str(arguments.sheets / f"near-duplicates-{name}.png"), np.vstack(rows))


def search(num_hashes: int, seed: int) -> None:
    hashes = np.random.default_rng(seed).integers(0, 2**64, (num_hashes, 2), dtype=np.uint64)
    started = time.perf_counter()
    near_hashes(hashes, hashes, at_most=17)
    print(f"{num_hashes:,} hashes against as many: {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
