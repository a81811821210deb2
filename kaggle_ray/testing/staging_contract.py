"""The contract of a source that files are staged from: call ``check_staging_source`` in a test of each."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pytest

from kaggle_ray.data.staging_source import Source
from kaggle_ray.errors import DataError

FILES = {
    "train.csv": b"id,label\n1,cat\n",
    "train/1.jpg": b"\xff\xd8" * 500,
    "deep/er/2 é.jpg": b"x",
    "empty.txt": b"",
}


class Place(Protocol):
    """Somewhere that files can be put, as whoever shares a competition's data does."""

    def put(self, name: str, content: bytes) -> None:
        """Create a file, or replace it."""

    def source(self) -> Source:
        """Return the source to check, of this place."""
        ...


def check_staging_source(place: Place, absent: Source, folder: Path) -> None:
    """Check what staging relies on.

    Args:
        place: empty.
        absent: a source of a place that does not exist.
        folder: an empty one, for what is fetched.

    Raises:
        Exception: whatever the source raised, or an AssertionError.
    """
    for name, content in FILES.items():
        place.put(name, content)
    source = place.source()
    _check_listing(source)
    _check_fetched(source, folder)
    _check_stamps(place)
    with pytest.raises(DataError):
        absent.list()


def _check_listing(source: Source) -> None:
    listed = source.list()
    assert len({file.name for file in listed}) == len(listed), "a file is listed twice"
    sizes = {name: len(content) for name, content in FILES.items()}
    assert {file.name: file.num_bytes for file in listed} == sizes, "the names or sizes listed are not those put there"


def _check_fetched(source: Source, folder: Path) -> None:
    for number, file in enumerate(source.list()):
        path = folder / str(number)
        source.fetch(file, path)
        assert path.read_bytes() == FILES[file.name], f"{file.name}: other bytes arrived than were put there"
        source.fetch(file, path)
        assert path.read_bytes() == FILES[file.name], f"{file.name}: a second fetch does not replace the first"


def _check_stamps(place: Place) -> None:
    stamps = {file.name: file.stamp for file in place.source().list()}
    again = {file.name: file.stamp for file in place.source().list()}
    assert again == stamps, "a stamp changes although the file does not"
    place.put("train.csv", b"id,label\n1,dog\n")  # of the same length
    changed = {file.name for file in place.source().list() if file.stamp != stamps[file.name]}
    assert changed == {"train.csv"}, "stamps do not tell which file has changed"
