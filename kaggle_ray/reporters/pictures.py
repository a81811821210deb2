"""The pictures that an event names by their keys, for services that show them."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from kaggle_ray.reporters.events import SamplesDrawn
from kaggle_ray.reporters.sink import ReadArtifact


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplePicture:
    """A few samples, drawn with what is predicted of them."""

    name: str
    """Name that a file or a window has of it, without a suffix."""
    title: str
    """What it shows, in words."""
    jpeg: bytes
    width: int
    height: int
    """Sides in pixels."""


def pictures_of(drawn: SamplesDrawn, read_artifact: ReadArtifact) -> list[SamplePicture]:
    """Return the pictures that were drawn, out-of-fold samples first; none that is gone, or is no JPEG."""
    named = (("oof-samples", "out-of-fold samples", drawn.oof), ("test-samples", "test samples", drawn.test))
    read = ((name, title, read_artifact(key)) for name, title, key in named)
    sized = ((name, title, jpeg, _sides(jpeg)) for name, title, jpeg in read if jpeg is not None)
    return [
        SamplePicture(name=name, title=title, jpeg=jpeg, width=sides[0], height=sides[1])
        for name, title, jpeg, sides in sized
        if sides is not None
    ]


@contextmanager
def picture_files(pictures: Sequence[SamplePicture]) -> Iterator[list[tuple[SamplePicture, Path]]]:
    """Yield each picture with a file of it, for a client that takes no bytes; the files are gone afterwards."""
    with TemporaryDirectory(prefix="kaggle-ray-") as folder:
        files = [(picture, Path(folder, f"{picture.name}.jpg")) for picture in pictures]
        for picture, file in files:
            file.write_bytes(picture.jpeg)
        yield files


def _sides(jpeg: bytes) -> tuple[int, int] | None:
    """Return width and height, None of what is no JPEG: what a shared run has in its place must not stop a service."""
    try:
        with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
            return image.size
    except (OSError, SyntaxError, Image.DecompressionBombError):
        return None
