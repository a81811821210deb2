"""Decoders of JPEG files side by side: images per second of one core, and how far each is from averaging all pixels.

    python tests/benchmarks/decoders.py PHOTOGRAPHS [MORE ...] --size 80

Each decodes to red, green and blue and shrinks to a square; simplejpeg and turbojpeg take part where they are
installed. The files' bytes are read before, but for ours, which reads the file. The error is the mean distance, in grey
levels of 255, from OpenCV's full decode averaged over areas.
"""

from __future__ import annotations

import importlib.util
import io
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import torch
from PIL import Image
from record import Measured, record_options
from rich.table import Table
from torchvision.io import ImageReadMode, decode_jpeg

from kaggle_ray.data.image_files import list_images
from kaggle_ray.images.decode import Pixels, decode_image

Decoder = Callable[[Path, bytes, int], Pixels]


def averaged(pixels: Pixels, size: int) -> Pixels:
    """Return a square, averaged over areas."""
    shrinks = min(pixels.shape[:2]) >= size
    return np.asarray(cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))


def ours(path: Path, content: bytes, size: int) -> Pixels:
    """``decode_image``, which reads the file itself."""
    return decode_image(path, size, size)


def opencv(path: Path, content: bytes, size: int) -> Pixels:
    """Decode in full."""
    pixels = averaged(np.asarray(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)), size)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))


def pillow(path: Path, content: bytes, size: int) -> Pixels:
    """Decode in full."""
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB").resize((size, size), Image.Resampling.BOX))


def pillow_draft(path: Path, content: bytes, size: int) -> Pixels:
    """Decode at the smallest fraction that is no smaller than the result."""
    image = Image.open(io.BytesIO(content))
    image.draft("RGB", (size, size))
    return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BOX))


def torchvision_io(path: Path, content: bytes, size: int) -> Pixels:
    """Decode in full."""
    image_CHW = decode_jpeg(torch.frombuffer(bytearray(content), dtype=torch.uint8), mode=ImageReadMode.RGB)
    return averaged(np.ascontiguousarray(image_CHW.permute(1, 2, 0).numpy()), size)


def simplejpeg(path: Path, content: bytes, size: int) -> Pixels:
    """Decode at the smallest fraction that is no smaller than the result."""
    module: Any = importlib.import_module("simplejpeg")
    return averaged(module.decode_jpeg(content, colorspace="RGB", min_height=size, min_width=size), size)


def turbojpeg(path: Path, content: bytes, size: int) -> Pixels:
    """Decode in full."""
    module: Any = importlib.import_module("turbojpeg")
    return averaged(module.TurboJPEG().decode(content, pixel_format=module.TJPF_RGB), size)


DECODERS: dict[str, Decoder] = {
    "ours (OpenCV, at a fraction where it pays)": ours,
    "OpenCV": opencv,
    "Pillow": pillow,
    "Pillow, draft": pillow_draft,
    "torchvision.io": torchvision_io,
    **{f.__name__: f for f in (simplejpeg, turbojpeg) if importlib.util.find_spec(f.__name__)},
}


def compare(paths: list[Path], size: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Return images per CPU second, the median of interleaved rounds, and the mean error of each decoder."""
    contents = [path.read_bytes() for path in paths]
    seconds: dict[str, list[float]] = {name: [] for name in DECODERS}
    decoded: dict[str, list[Pixels]] = {}
    for _ in range(rounds):
        for name, decode in DECODERS.items():
            started = time.process_time()
            decoded[name] = [decode(path, content, size) for path, content in zip(paths, contents, strict=True)]
            seconds[name].append(time.process_time() - started)
    expected = np.stack(decoded["OpenCV"]).astype(np.int64)
    return {
        name: (len(paths) / float(np.median(times)), float(np.abs(np.stack(decoded[name]) - expected).mean()))
        for name, times in seconds.items()
    }


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--size", default=80, show_default=True, help="Side in pixels.")
@click.option("--most", default=200, show_default=True, help="Images of each folder.")
@click.option("--rounds", default=5, show_default=True)
@record_options
def main(folders: tuple[Path, ...], size: int, most: int, rounds: int, record: bool, note: str) -> None:
    """Print a table for each of FOLDERS, which hold JPEG files."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    measured = Measured(benchmark="decoders", record=record, note=note)
    for folder in folders:
        paths = list(list_images(folder).values())[:most]
        load = f"load {os.getloadavg()[1]:.1f} on {len(os.sched_getaffinity(0))} cores"
        table = Table(
            "decoder", "images/s per core", "error", title=f"{folder.parent.name}/{folder.name} to {size} px; {load}"
        )
        for name, (rate, error) in compare(paths, size, rounds).items():
            table.add_row(name, f"{rate:,.0f}", f"{error:.2f}")
        measured.show(table)
    measured.leave()


if __name__ == "__main__":
    main()
