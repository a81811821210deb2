"""Our loader against torchvision's and timm's: CPU seconds and wall seconds of an epoch, side by side in one process.

    python tests/benchmarks/loaders.py PHOTOGRAPHS [MORE ...] --size 64 --workers 0 --workers 2 --rounds 5

Each loader gives float32 batches of the same size: a random crop of 60 to 100% of the area and an aspect of 3/4 to
4/3, resampled linearly, mirrored every other time, normalised. A round runs each loader once, in turn, and every second
round turns the order around. Files are in the page cache, and listed before; what is imported lazily is imported
before. The first epoch of ours hashes, decodes and writes an empty cache; later ones open it as a new process would.
Every epoch of the others is like their first. A ratio is theirs over ours, the median of the rounds with its spread;
CPU seconds are those of the process and its workers.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
import torch
from record import Measured, record_options
from rich.table import Table
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from kaggle_ray.config import Hyperparameters
from kaggle_ray.config.settings import Settings
from kaggle_ray.data.head import Head
from kaggle_ray.data.image_files import list_images
from kaggle_ray.images.augment import id_hashes
from kaggle_ray.images.cache import open_images
from kaggle_ray.images.color import normalize
from kaggle_ray.metrics import LOG_LOSS
from kaggle_ray.models.network import IMAGENET_MEAN, IMAGENET_STD
from kaggle_ray.train.batches import EpochBatches
from kaggle_ray.train.inputs import FitData, Inputs
from kaggle_ray.train.loading import load
from kaggle_ray.train.losses.objective import Objective
from kaggle_ray.train.on_device import Finisher

BATCH_SIZE = 32
AREA, ASPECT = (0.6, 1.0), (3 / 4, 4 / 3)
CPU = torch.device("cpu")
SETTINGS = Settings(device="cpu", threads_per_trial=1, dtype="float32")

Epoch = Callable[[int], Iterator[Tensor]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Seconds of an epoch."""

    wall_s: float
    cpu_s: float
    """Of this process and of its workers."""


def measured(batches: Iterator[Tensor], expected: int) -> Cost:
    """Return what all batches cost, for ``expected`` images: timm's loader drops an incomplete last batch."""
    wall, cpu = time.perf_counter(), _cpu_seconds()
    num_images = sum(len(batch) for batch in batches)
    assert expected - BATCH_SIZE < num_images <= expected, (num_images, expected)
    share = expected / num_images
    return Cost(wall_s=share * (time.perf_counter() - wall), cpu_s=share * (_cpu_seconds() - cpu))


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


class Ours:
    """The decode-once cache and the batches of the training loop."""

    def __init__(self, paths: list[Path], size: int, num_workers: int, cache_dir: Path) -> None:
        """Decode nothing before the first epoch."""
        self._paths, self._cache_dir = paths, cache_dir
        self._settings = replace(SETTINGS, loader_workers=num_workers)
        self._hyperparameters = Hyperparameters(
            image_size=size * 5 // 4, train_size=size, batch_size=BATCH_SIZE, augment="light"
        )
        self._id_hashes = id_hashes([path.stem for path in paths])
        self._std = torch.tensor(IMAGENET_STD).view(1, 3, 1, 1)
        self._mean = torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1)

    def epoch(self, number: int) -> Iterator[Tensor]:
        """Yield the batches of an epoch, opening the cache first as a new process would."""
        decoded = self._hyperparameters.images.image_size
        images = open_images(self._paths, height=decoded, width=decoded, cache_dir=self._cache_dir)
        rows = np.arange(len(self._paths))
        head = Head(task="binary", classes=("no", "yes"), metric=LOG_LOSS)
        data = FitData(
            inputs=Inputs(images=images),
            target=rows % 2,
            heads=(head,),
            metric=LOG_LOSS,
            train_rows=rows,
            valid_rows=rows[:0],
            fold=0,
            id_hashes=self._id_hashes,
        )
        objective = Objective(data, self._hyperparameters.loss)
        finish = Finisher(data, objective, self._hyperparameters.images.augment, CPU)
        for batch in load(EpochBatches(data, self._hyperparameters, number, uses_images=True), self._settings):
            (images_NCHW, *_), _ = finish(batch)
            assert images_NCHW is not None
            yield normalize(images_NCHW, self._mean, self._std)


def torchvision_epoch(folder: Path, size: int, num_workers: int) -> Epoch:
    """Return ImageFolder behind a DataLoader."""
    transform = v2.Compose(
        [
            v2.RandomResizedCrop(size, scale=AREA, ratio=ASPECT, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )
    dataset = ImageFolder(str(folder), transform)
    return lambda _: (images for images, _ in DataLoader(dataset, BATCH_SIZE, shuffle=True, num_workers=num_workers))


def timm_epoch(folder: Path, size: int, num_workers: int) -> Epoch:
    """Return timm's own loader over its own data set."""
    from timm.data import create_dataset, create_loader

    dataset = create_dataset("", root=str(folder))

    def epoch(_: int) -> Iterator[Tensor]:
        loader = create_loader(
            dataset, input_size=(3, size, size), batch_size=BATCH_SIZE, is_training=True, scale=AREA, ratio=ASPECT,
            hflip=0.5, color_jitter=None, interpolation="bilinear", mean=IMAGENET_MEAN, std=IMAGENET_STD,
            num_workers=num_workers, use_prefetcher=False, persistent_workers=False, device=CPU,
        )  # fmt: skip
        loader_batches = iter(loader)
        yield from (images for images, _ in loader_batches)

    return epoch


OURS = ("ours, first epoch", "ours, later epochs")
OTHERS: dict[str, Callable[[Path, int, int], Epoch]] = {"torchvision": torchvision_epoch, "timm": timm_epoch}


def compare(folder: Path, size: int, num_workers: int, rounds: int) -> dict[str, list[Cost]]:
    """Return what an epoch of one folder of images costs in each round, by loader."""
    paths = list(list_images(folder).values())
    costs: dict[str, list[Cost]] = {name: [] for name in (*OURS, *OTHERS)}
    with tempfile.TemporaryDirectory() as scratch:
        as_class = Path(scratch) / "images" / "all"
        as_class.mkdir(parents=True)
        for path in paths:
            (as_class / path.name).symlink_to(path.resolve())
        others = {name: epoch_of(as_class.parent, size, num_workers) for name, epoch_of in OTHERS.items()}
        for epoch in (Ours(paths, size, num_workers, Path(scratch) / "warm").epoch, *others.values()):
            next(epoch(0))  # lazy imports
        for number in range(1, rounds + 1):
            ours = Ours(paths, size, num_workers, Path(scratch) / f"cache{number}")
            turns: list[tuple[str, Epoch]] = [*((name, ours.epoch) for name in OURS), *others.items()]
            if number % 2 == 0:
                turns = turns[2:][::-1] + turns[:2]  # ours stay in their order: the second needs the first one's cache
            for name, epoch in turns:
                costs[name].append(measured(epoch(number), len(paths)))
    return costs


def add_rows(table: Table, costs: dict[str, list[Cost]], num_workers: int) -> None:
    """Add a row for each loader."""
    for name, rounds in costs.items():
        wall, cpu = (float(np.median([getattr(cost, field) for cost in rounds])) for field in ("wall_s", "cpu_s"))
        ratios = ("",) * 4 if name in OURS else (
            _ratio(rounds, costs[of], field) for field in ("cpu_s", "wall_s") for of in OURS
        )  # fmt: skip
        table.add_row(str(num_workers), name, f"{wall:.3f}", f"{cpu:.3f}", *ratios)
    table.add_section()


def _ratio(theirs: list[Cost], ours: list[Cost], field: str) -> str:
    ratios = sorted(getattr(their, field) / getattr(our, field) for their, our in zip(theirs, ours, strict=True))
    return f"{np.median(ratios):.1f}x ({ratios[0]:.1f}-{ratios[-1]:.1f})"


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--size", default=64, show_default=True, help="Side in pixels of a batch's images.")
@click.option(
    "--workers", default=[0], show_default=True, multiple=True, help="Worker processes of every loader; give several."
)
@click.option("--rounds", default=5, show_default=True)
@record_options
def main(folders: tuple[Path, ...], size: int, workers: tuple[int, ...], rounds: int, record: bool, note: str) -> None:
    """Print a table for each of FOLDERS, which hold images."""
    torch.set_num_threads(1)
    measured = Measured(benchmark="loaders", record=record, note=note, width=130)
    columns = ("workers", "loader", "wall s", "CPU s", "CPU: first", "CPU: later", "wall: first", "wall: later")
    for folder in folders:
        title = f"{folder.parent.name}/{folder.name}: {len(list_images(folder))} images to {size} px, {rounds} rounds"
        table = Table(*columns, title=title)
        for num_workers in workers:
            add_rows(table, compare(folder, size, num_workers, rounds), num_workers)
        load = f"load {os.getloadavg()[1]:.1f} on {len(os.sched_getaffinity(0))} cores"
        table.caption = f"ratios are theirs over ours; {load}"
        measured.show(table)
    measured.leave()


if __name__ == "__main__":
    main()
