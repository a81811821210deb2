"""Run lengths: masks per second beside a naive loop and pycocotools, and a whole submission streamed.

    uv run --with pycocotools python tests/benchmarks/run_lengths.py TRAIN_MASKS

The masks are those of FOLDER, enlarged to 1280 x 1918 where they are smaller. The naive loop walks over the pixels in
Python, as kernels on Kaggle do; pycocotools takes part where it is installed: its own compressed text, from and to an
array in its order of columns. Each is the median of interleaved rounds, in CPU time of one core.

Then a submission of ``--rows`` such masks is made of predictions at 320 x 480, as a run makes it: enlarged, decided,
encoded and written, by one thread and by more, and once more where nothing is left to make, as after a kill. It is
packed by gzip and read back. The memory that is added and the time of a row tell what Carvana's 100,064 take; of
several rounds, taken in turns, the fastest counts.
"""

from __future__ import annotations

import gzip
import importlib.util
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from record import Measured, record_options
from rich.table import Table

from kaggle_ray.data.opening import load_competition
from kaggle_ray.decide import Decision
from kaggle_ray.images.decode import decode_image
from kaggle_ray.rows import LazyRows
from kaggle_ray.submission.draft import records_of
from kaggle_ray.submission.mask_rows import write_masks
from kaggle_ray.submission.rle import decode_rle, encode_rle
from kaggle_ray.submission.table import digest_of_cells
from kaggle_ray.types import BoolArray

HEIGHT, WIDTH = 1280, 1918
CARVANA_ROWS = 100_064
Codec = tuple[Callable[[BoolArray], Any], Callable[[Any], Any]]


def naive_encode(mask_HW: BoolArray) -> str:
    """Walk over the pixels in Python."""
    runs: list[int] = []
    last = 0
    for position, pixel in enumerate(mask_HW.ravel().tolist(), start=1):
        if pixel:
            if last:
                runs[-1] += 1
            else:
                runs += [position, 1]
        last = pixel
    return " ".join(map(str, runs))


def naive_decode(text: str) -> BoolArray:
    """Fill one run after the other."""
    mask = np.zeros(HEIGHT * WIDTH, dtype=np.bool_)
    words = text.split()
    for start, length in zip(words[::2], words[1::2], strict=True):
        for position in range(int(start) - 1, int(start) - 1 + int(length)):
            mask[position] = True
    return mask.reshape(HEIGHT, WIDTH)


def codecs() -> dict[str, Codec]:
    """Return name -> encode and decode."""
    found: dict[str, Codec] = {
        "ours": (lambda mask: encode_rle(mask, "rows"), lambda text: decode_rle(text, HEIGHT, WIDTH, "rows")),
        "naive loop": (naive_encode, naive_decode),
    }
    if importlib.util.find_spec("pycocotools"):
        coco: Any = importlib.import_module("pycocotools.mask")
        found["pycocotools"] = (lambda mask: coco.encode(np.asfortranarray(mask.view(np.uint8))), coco.decode)
    return found


def compare(masks: list[BoolArray], rounds: int) -> dict[str, tuple[float, float]]:
    """Return name -> masks per CPU second, encoded and decoded; the naive loop takes a few of the masks."""
    seconds: dict[str, tuple[list[float], list[float]]] = {}
    for _ in range(rounds):
        for name, (encode, decode) in codecs().items():
            some = masks[:2] if name == "naive loop" else masks
            encoded, started = [], time.process_time()
            for mask in some:
                encoded.append(encode(mask))
            between = time.process_time()
            decoded = [decode(each) for each in encoded]
            ended = time.process_time()
            assert all(np.array_equal(mask, each.astype(np.bool_)) for mask, each in zip(some, decoded, strict=True))
            of_encode, of_decode = seconds.setdefault(name, ([], []))
            of_encode.append((between - started) / len(some))
            of_decode.append((ended - between) / len(some))
    return {name: (1 / float(np.median(first)), 1 / float(np.median(then))) for name, (first, then) in seconds.items()}


class Memory:
    """The most memory of this process in RAM while it is watched."""

    def __init__(self) -> None:
        """Watch from now on, every few milliseconds."""
        self.first = self.most = self._resident()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def added_mib(self) -> float:
        """Stop, and return how much came to what there was, in MiB."""
        self._over.set()
        self._thread.join()
        return (self.most - self.first) / 2**20

    def _watch(self) -> None:
        while not self._over.wait(0.005):
            self.most = max(self.most, self._resident())

    @staticmethod
    def _resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def streamed(
    masks: list[BoolArray], num_rows: int, folder: Path, threads: list[int], rounds: int
) -> tuple[dict[str, float], float]:
    """Return the seconds of each step of a submission, and the MiB that writing it added."""
    competition, _ = load_competition("carvana")
    assert competition.mask is not None, "Carvana's are masks"
    sides = competition.mask.width, competition.mask.height
    small = [cv2.resize(mask.astype(np.float32), sides, interpolation=cv2.INTER_AREA).ravel() for mask in masks]
    predicted = np.stack(small)
    values = LazyRows((num_rows, predicted.shape[1]), lambda rows: predicted[rows % len(predicted)])
    ids = np.array([f"{number:06d}.jpg" for number in range(num_rows)])
    rule = Decision(kind="mask", parameters={"threshold": 0.5, "min_pixels": 0})
    path, seconds, added = folder / "submission.csv", dict[str, float](), 0.0

    def timed(what: str, step: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        found = step()
        seconds[what] = min(seconds.get(what, np.inf), time.perf_counter() - started)
        return found

    digests = set[str]()
    for _ in range(rounds):
        for number in threads:
            for file in (path, records_of(path)):
                file.unlink(missing_ok=True)
            memory = Memory()
            write = partial(write_masks, path, ids, values, competition, rule, num_threads=number)
            digests.add(timed(f"made and written, {number} thread{'s' * (number > 1)}", write))
            added = max(added, memory.added_mib())
        digests.add(timed("gone over, all of it there", write))
    (written,) = digests
    packed = path.with_suffix(".csv.gz")
    timed("gzip", partial(_pack, path, packed))
    assert timed("read back and compared", partial(digest_of_cells, packed)) == written
    return seconds, added


def _pack(path: Path, packed: Path) -> None:
    with path.open("rb") as plain, gzip.open(packed, "wb", compresslevel=6) as opened:
        shutil.copyfileobj(plain, opened, 1 << 20)


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--most", default=32, show_default=True, help="Masks that are read.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--rows", default=200, show_default=True, help="Rows of the submission that is streamed.")
@click.option("--threads", default=[1, 2], show_default=True, multiple=True, help="Threads that make its rows.")
@record_options
def main(folder: Path, most: int, rounds: int, rows: int, threads: tuple[int, ...], record: bool, note: str) -> None:
    """Print what the masks of FOLDER take."""
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".png", ".gif"))[:most]
    masks = [_mask(path) for path in paths]
    measured = Measured(benchmark="run_lengths", record=record, note=note)
    load = f"load {os.getloadavg()[1]:.1f} on {len(os.sched_getaffinity(0))} cores"
    runs = np.mean([len(encode_rle(mask, "rows").split()) / 2 for mask in masks])
    title = f"{len(masks)} masks of {HEIGHT} x {WIDTH}, {runs:,.0f} runs each; {load}"
    table = Table("codec", "encoded/s per core", "decoded/s per core", title=title)
    for name, (encoded, decoded) in compare(masks, rounds).items():
        table.add_row(name, f"{encoded:,.1f}", f"{decoded:,.1f}")
    measured.show(table)
    with tempfile.TemporaryDirectory() as scratch:
        seconds, added = streamed(masks, rows, Path(scratch), list(threads), rounds)
        sizes = [path.stat().st_size / 2**20 for path in sorted(Path(scratch).glob("*.*[vz]"))]
    title = f"a submission of {rows:,} rows, the fastest of {rounds} rounds; {load}"
    table = Table("what", "rows/s", f"of {CARVANA_ROWS:,}", title=title)
    for what, taken in seconds.items():
        table.add_row(what, f"{rows / taken:,.1f}", f"{taken / rows * CARVANA_ROWS / 60:.1f} min (extrapolated)")
    table.add_row("memory added", f"{added:.0f} MiB", "the same: some rows at a time are in memory")
    of_rows, of_all = (
        " and ".join(f"{size * factor:,.1f} MiB" for size in sizes) for factor in (1, CARVANA_ROWS / rows)
    )
    table.add_row("size, plain and packed", of_rows, of_all)
    measured.show(table)
    measured.leave()


def _mask(path: Path) -> BoolArray:
    pixels = decode_image(path, HEIGHT, WIDTH, kind="mask")[..., 0]
    return np.asarray(pixels > 127)


if __name__ == "__main__":
    main()
