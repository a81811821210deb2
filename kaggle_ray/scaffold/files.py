"""What lies in a download: tables, and folders with images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from kaggle_ray.counted import counted
from kaggle_ray.data.csv_files import read_table
from kaggle_ray.data.image_files import IMAGE_SUFFIXES
from kaggle_ray.errors import DataError

_MAX_DEPTH = 5
_SAMPLE = "sample"
_UNREAD = frozenset(
    {".zip", ".7z", ".tar", ".gz", ".tgz", ".rar", ".parquet", ".feather", ".json", ".jsonl", ".tsv", ".xlsx", ".pkl"}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Download:
    """The files of a competition, by their paths relative to its folder."""

    folder: Path
    tables: Mapping[str, pd.DataFrame]
    """Path -> a CSV file, every cell a text; without samples of submissions."""
    samples: Mapping[str, pd.DataFrame]
    """Path -> a CSV file whose name says that it is a sample of a submission."""
    images: Mapping[str, frozenset[str]]
    """Path of a folder -> the names of the images directly in it, without their endings."""

    unread: tuple[str, ...] = ()
    """Archives, and tables that are no CSV files."""

    def folders_with(self, ids: Sequence[str]) -> list[str]:
        """Return the folders that have an image of every id."""
        names = {without_ending(sample_id) for sample_id in ids}
        return [folder for folder, stems in self.images.items() if names <= stems]


def look_into(folder: Path) -> Download:
    """Return what lies in a folder.

    Raises:
        DataError: there is no such folder, or it has no images.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder. Name that of the competition's files with --data.")
    tables: dict[str, pd.DataFrame] = {}
    images: dict[str, set[str]] = {}
    unread: list[str] = []
    num_without_ending = 0
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if len(relative.parts) > _MAX_DEPTH or not path.is_file():
            continue
        if path.suffix.lower() in IMAGE_SUFFIXES:
            images.setdefault(relative.parent.as_posix(), set()).add(path.stem)
        elif path.suffix.lower() == ".csv":
            tables[relative.as_posix()] = read_table(path, columns=[])
        elif path.suffix.lower() in _UNREAD:
            unread.append(relative.as_posix())
        else:
            num_without_ending += not path.suffix
    if not images:
        without = (
            f" {counted(num_without_ending, 'file has', 'files have')} no ending: images need one, such as .jpg."
            if num_without_ending
            else ""
        )
        packed = f" There are {', '.join(unread[:5])}." if unread else ""
        raise DataError(f"{folder}: has no images. Unpack the archives of the download first.{packed}{without}")
    is_sample = {name: _SAMPLE in Path(name).name.lower() for name in tables}
    return Download(
        folder=folder,
        tables={name: table for name, table in tables.items() if not is_sample[name]},
        samples={name: table for name, table in tables.items() if is_sample[name]},
        images={name: frozenset(stems) for name, stems in images.items()},
        unread=tuple(unread),
    )


def without_ending(sample_id: str) -> str:
    """Return an id without the ending of an image's name, where it has one."""
    stem, dot, ending = sample_id.rpartition(".")
    return stem if f"{dot}{ending}".lower() in IMAGE_SUFFIXES else sample_id
