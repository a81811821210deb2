"""The sections of gpu.py that train inside the training loop: its steps, how it is fed, two trials on one card."""

from __future__ import annotations

import gc
import itertools
import multiprocessing
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import torch
from gpu_rows import GIB, CardWatch, LeftOut, Options, Row
from steps import Round, Work, bare, ours
from torch import Tensor

import kaggle_ray
from kaggle_ray.config import Hyperparameters
from kaggle_ray.config.settings import Dtype, Settings
from kaggle_ray.data.head import Head
from kaggle_ray.data.image_files import list_images
from kaggle_ray.images.augment import id_hashes
from kaggle_ray.images.cache import Images, open_images
from kaggle_ray.metrics import LOG_LOSS
from kaggle_ray.train import loop
from kaggle_ray.train.batches import EpochBatches
from kaggle_ray.train.inputs import FitData, Inputs
from kaggle_ray.train.loading import load
from kaggle_ray.train.loop import Fit
from kaggle_ray.types import JsonValue

IntArray = np.ndarray[Any, np.dtype[np.int64]]
PACKAGE = str(Path(kaggle_ray.__file__).parent)
AIM = 0.98


@dataclass(frozen=True, kw_only=True, slots=True)
class Net:
    """What is trained."""

    model: str
    size: int
    batch: int
    steps: int

    @property
    def name(self) -> str:
        """For the table."""
        return f"{self.model}, {self.size} px, batches of {self.batch}"


def nets(options: Options) -> tuple[Net, Net]:
    """Return a network that fills the card, and one whose steps are too short for it."""
    if options.quick:
        return Net(model="micro", size=32, batch=32, steps=4), Net(model="micro", size=16, batch=8, steps=4)
    return (
        Net(model="resnet50", size=224, batch=256, steps=12),
        Net(model="resnet9", size=32, batch=64, steps=60),
    )


def settings_of(options: Options, **changes: Any) -> Settings:
    """Return the settings of all sections, but for ``changes``."""
    dtype: Dtype = "bfloat16" if options.device == "cuda" else "float32"
    return replace(Settings(device=options.device, threads_per_trial=options.threads, dtype=dtype), **changes)


def forget() -> None:
    """Give the card's memory back, and begin to measure it."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


# Steps ---------------------------------------------------------------------------------------------------------------


class OnDevice:
    """All images on the device before the first round: what a loop could do that need not be fed."""

    def __init__(self, work: Work) -> None:
        rows = np.arange(len(work.data.target))
        self._pixels = torch.from_numpy(work.data.inputs.read(rows)).to(work.device)
        self._target = torch.from_numpy(np.asarray(work.data.target[rows])).to(work.device)

    def __call__(self, rows: IntArray) -> tuple[Tensor, Tensor]:
        """Return images (N, C, H, W) 0..1 and classes (N,)."""
        at = torch.from_numpy(rows).to(self._pixels.device, non_blocking=True)
        return self._pixels[at].permute(0, 3, 1, 2).float() / 255, self._target[at]


def steps(options: Options) -> Iterator[Row]:
    """Compare our loop's steps with a bare one's, as they are."""
    for net in nets(options)[: 1 if options.quick else 2]:
        yield from paired(net, settings_of(options), options)


def compiled(options: Options) -> Iterator[Row]:
    """Compare them compiled."""
    yield from paired(nets(options)[0], settings_of(options, compile=True), options, of_first=True)


def paired(net: Net, settings: Settings, options: Options, *, of_first: bool = False) -> Iterator[Row]:
    """Let the loops take turns, each round the other way around; a ratio is of one round."""
    forget()
    work = Work.made_up(net.model, net.size, net.batch, net.steps, settings, options.rounds)
    loops: dict[str, Round] = {
        "ours": ours(work),
        "bare, the host's batches": bare(work),
        "bare, images on the device": bare(work, OnDevice(work)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for number in range(options.rounds + 1):
        for name in list(loops)[:: 1 if number % 2 else -1]:
            took = loops[name]()
            if number:
                seconds[name].append(took)
            elif of_first:
                yield Row(what=f"first epoch, compiling: {name}", value=took, unit="s")
        if not number:
            started = time.perf_counter()
        if number >= 3 and time.perf_counter() - started > options.soft_limit_s:
            break
    note = f"of {net.steps} steps, {settings.dtype}"
    yield Row(what=net.name, value=f"{len(seconds['ours'])} rounds", note=note)
    for name, of_loop in seconds.items():
        rates = [net.batch * net.steps / each for each in of_loop]
        yield Row.spread(name, rates, "images/s", note=f"{1e3 * float(np.median(of_loop)) / net.steps:.2f} ms a step")
    for name in list(loops)[1:]:
        ratios = [of_bare / own for own, of_bare in zip(seconds["ours"], seconds[name], strict=True)]
        verdict = f"aim {AIM}: {'met' if np.median(ratios) >= AIM else 'MISSED'}" if net == nets(options)[0] else ""
        yield Row.spread(f"ours over {name}", ratios, note=verdict)


# What waits for the card ---------------------------------------------------------------------------------------------

VARIANTS: dict[str, tuple[dict[str, JsonValue], dict[str, JsonValue]]] = {
    "plain": ({}, {}),
    "augment heavy": ({"augment": "heavy"}, {}),
    "ema_decay": ({"ema_decay": 0.99}, {}),
    "mixup": ({"mixup": 0.2}, {}),
    "clip_norm": ({"clip_norm": 1.0}, {}),
    "class_weights": ({"loss": "cross_entropy", "loss_args": {"class_weights": "balanced"}}, {}),
    "l1": ({"l1": 1e-6}, {}),
    "float16": ({}, {"dtype": "float16"}),
}
"""Changes of hyperparameters and of settings."""


def waits(options: Options) -> Iterator[Row]:
    """Count the calls of a step that wait until the card has done all that it was given."""
    if options.device != "cuda":
        raise LeftOut("needs a GPU")
    net = replace(nets(options)[1], steps=20)
    for name, (of_hyperparameters, of_settings) in VARIANTS.items():
        work = Work.made_up(net.model, net.size, net.batch, net.steps, settings_of(options, **of_settings), 1)
        epochs = Fit(work.data, work.hyperparameters.replace(**of_hyperparameters), work.settings).epochs()
        next(epochs)
        with waits_counted() as places:
            next(epochs)
        frequent = [f"{place} {count}" for place, count in places.most_common(3) if count >= net.steps / 2]
        yield Row(what=f"{name}: calls that wait, per step", value=places.total() / net.steps, note=", ".join(frequent))


@contextmanager
def waits_counted() -> Iterator[Counter[str]]:
    """Yield the places of ours, by file and line, from which torch was made to wait for the card."""
    places: Counter[str] = Counter()

    def count(message: Warning | str, *_: Any) -> None:
        if "synchronizing CUDA operation" in str(message):
            own = [frame for frame in traceback.extract_stack() if frame.filename.startswith(PACKAGE)]
            places[f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else "elsewhere"] += 1

    with warnings.catch_warnings(), patch.object(warnings, "showwarning", count):
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield places
        finally:
            torch.cuda.set_sync_debug_mode("default")


# Feeding -------------------------------------------------------------------------------------------------------------


def feeding(options: Options) -> Iterator[Row]:
    """Train from the decode-once cache, for each number of loader workers."""
    net = replace(nets(options)[0], steps=4 if options.quick else 24)
    decoded = net.size * 8 // 7
    with tempfile.TemporaryDirectory() as scratch:
        paths = photographs(options, Path(scratch), decoded)
        rows = list(itertools.islice(itertools.cycle(paths), net.batch * net.steps))
        started = time.perf_counter()
        images = open_images(rows, height=decoded, width=decoded, cache_dir=Path(scratch, "cache"))
        note = f"{len(paths)} files, each used {len(rows) / len(paths):.1f} times an epoch"
        yield Row(what=f"decode to {decoded} px", value=time.perf_counter() - started, unit="s", note=note)
        hyperparameters = Hyperparameters(
            model=net.model, image_size=decoded, train_size=net.size, batch_size=net.batch, augment="light",
            epochs=100, evaluate_every=100, schedule="constant", lr=1e-4,
        )  # fmt: skip
        data = labelled(images, len(rows), net.batch)
        for num_workers in options.workers:
            settings = settings_of(options, loader_workers=num_workers)
            name = f"{num_workers} loader workers"
            started = time.perf_counter()
            for _ in load(EpochBatches(data, hyperparameters, 1, uses_images=True), settings):
                pass
            rate = len(rows) / (time.perf_counter() - started)
            yield Row(what=f"{name}: the loader alone", value=rate, unit="images/s", note="no model, an epoch")
            yield from fed(data, hyperparameters, settings, name, len(rows))


def fed(
    data: FitData, hyperparameters: Hyperparameters, settings: Settings, name: str, num_images: int
) -> Iterator[Row]:
    """Train for three epochs of which the first warms up."""
    forget()
    waited_s = 0.0

    def timed(*arguments: Any, **options: Any) -> Iterator[Any]:
        nonlocal waited_s
        batches = load(*arguments, **options)
        while True:
            began = time.perf_counter()
            batch = next(batches, None)
            waited_s += time.perf_counter() - began
            if batch is None:
                return
            yield batch

    with patch.object(loop, "load", timed):
        epochs = Fit(data, hyperparameters, settings).epochs()
        next(epochs)
        waited_s, seconds = 0.0, []
        with CardWatch() as watch:
            for _ in range(2):
                started = time.perf_counter()
                next(epochs)
                if settings.device == "cuda":
                    torch.cuda.synchronize()
                seconds.append(time.perf_counter() - started)
    yield Row.spread(
        f"{name}: training", [num_images / each for each in seconds], "images/s", note=hyperparameters.model.name
    )
    share = 100 * waited_s / sum(seconds)
    yield Row(what=f"{name}: time in the loader", value=share, unit="%", note="of the loop's; the card may work on")
    yield from watch.rows(name)[:1]
    if settings.device == "cuda":
        peak = torch.cuda.max_memory_allocated() / GIB
        yield Row(what=f"{name}: peak memory of tensors", value=peak, unit="GiB")


def photographs(options: Options, scratch: Path, side: int) -> list[Path]:
    """Return the user's files, or some that are made up."""
    if options.photographs is not None:
        folder = Path(options.photographs)
        return list(list_images(folder / "train" if (folder / "train").is_dir() else folder).values())
    rng = np.random.default_rng(0)
    paths = [scratch / f"{number}.jpg" for number in range(64 if options.quick else 512)]
    for path in paths:
        coarse = rng.integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
        cv2.imwrite(str(path), cv2.resize(coarse, (side * 5 // 4, side), interpolation=cv2.INTER_CUBIC))
    return paths


def labelled(images: Images, num_rows: int, num_scored: int) -> FitData:
    """Return rows that are called cats and dogs in turn."""
    rows = np.arange(num_rows)
    head = Head(task="binary", classes=("cat", "dog"), metric=LOG_LOSS)
    return FitData(
        inputs=Inputs(images=images), target=rows % 2, heads=(head,), metric=LOG_LOSS, train_rows=rows,
        valid_rows=rows[:num_scored], fold=0, id_hashes=id_hashes(map(str, rows)),
    )  # fmt: skip


# Two trials at once --------------------------------------------------------------------------------------------------


def train_nothing() -> float:
    """Return no images per second."""
    return 0.0


_epoch: Callable[[], float] = train_nothing
"""Of a process that shares the card: trains for an epoch, and returns images per second."""


def sharing(options: Options) -> Iterator[Row]:
    """Train one trial alone, then two at once in processes of their own."""
    context, seconds = multiprocessing.get_context("spawn"), 0.5 if options.quick else 4.0
    settings = settings_of(options, threads_per_trial=max(1, options.threads // 2))
    with ProcessPoolExecutor(1, context) as one, ProcessPoolExecutor(1, context) as other:
        for net in nets(options)[::-1][: 1 if options.quick else 2]:
            results([pool.submit(warm_up, net, settings) for pool in (one, other)])
            (alone,) = results([one.submit(train_for, seconds)])
            yield Row(what=f"{net.name}: alone", value=alone, unit="images/s")
            with CardWatch() as watch:
                at_once = results([pool.submit(train_for, seconds) for pool in (one, other)])
            note = " and ".join(f"{rate:,.0f}" for rate in at_once)
            yield Row(what="two at once, together", value=sum(at_once), unit="images/s", note=note)
            yield Row(what="two at once over one after the other", value=sum(at_once) / alone)
            yield from watch.rows("two at once")
            if options.device == "cuda":
                peak = max(results([pool.submit(peak_gib) for pool in (one, other)]))
                yield Row(what="a process's peak memory of tensors", value=peak, unit="GiB")


def results(futures: list[Future[float]]) -> list[float]:
    """Return all of them."""
    return [future.result() for future in futures]


def warm_up(net: Net, settings: Settings) -> float:
    """Make this process's fit, train it for an epoch, and return the images per second."""
    global _epoch
    _epoch = train_nothing
    forget()
    work = Work.made_up(net.model, net.size, net.batch, net.steps, settings, 10**4)
    epoch = ours(work)

    def train() -> float:
        return net.batch * net.steps / epoch()

    _epoch = train
    return train()


def train_for(seconds: float) -> float:
    """Return the images per second of this process's fit."""
    started, rates = time.perf_counter(), []
    while time.perf_counter() - started < seconds:
        rates.append(_epoch())
    return float(len(rates) / np.sum(1 / np.array(rates)))


def peak_gib() -> float:
    """Return what this process's tensors took at most."""
    return torch.cuda.max_memory_allocated() / GIB
