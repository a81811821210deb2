"""Readers for the ways in which Kaggle lays out its files: tables, folders of images, and what joins them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kaggle_ray.errors import DataError
from kaggle_ray.types import IntArray, StrArray

if TYPE_CHECKING:
    import pandas as pd

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})


def read_table(path: Path, *, columns: Sequence[str]) -> pd.DataFrame:
    """Return a CSV file with every cell as text, as it stands in the file.

    Raises:
        DataError: the file is missing or lacks one of ``columns``.
    """
    import pandas as pd

    if not path.is_file():
        raise DataError(f"{path}: no such file. Is the competition's download complete?")
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if missing := [column for column in columns if column not in table.columns]:
        raise DataError(f"{path}: expected the columns {', '.join(columns)}; missing {', '.join(missing)}.")
    return table


def list_images(folder: Path) -> dict[str, Path]:
    """Return stem -> path of the images directly in ``folder``, sorted by stem.

    Raises:
        DataError: the folder is missing, or two files share a stem.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder. Is the competition's download complete?")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    check_unique([path.stem for path in paths], where=str(folder))
    return {path.stem: path for path in sorted(paths, key=lambda path: path.stem)}


def join_images(ids: Sequence[str], folder: Path, *, table: Path) -> tuple[Path, ...]:
    """Return the image of each id, in the ids' order; the id is the file's name without its ending.

    Raises:
        DataError: an id is there twice, has no image, or an image has no id.
    """
    check_unique(ids, where=str(table))
    images = list_images(folder)
    if missing := [sample_id for sample_id in ids if sample_id not in images]:
        raise DataError(f"{table}: {len(missing)} ids have no image in {folder}: {_few(missing)}.")
    if extra := sorted(set(images) - set(ids)):
        raise DataError(f"{folder}: {len(extra)} images have no row in {table}: {_few(extra)}.")
    return tuple(images[sample_id] for sample_id in ids)


def encode_labels(labels: Sequence[str], classes: Sequence[str], *, ids: Sequence[str], where: str) -> IntArray:
    """Return (N,) the position of each label in ``classes``.

    Raises:
        DataError: a label is not among the classes; the sample is named.
    """
    positions = {name: number for number, name in enumerate(classes)}
    for sample_id, label in zip(ids, labels, strict=True):
        if label not in positions:
            raise DataError(f"{where}: sample {sample_id!r} has the label {label!r}, expected one of {list(classes)}.")
    return np.array([positions[label] for label in labels], dtype=np.int64)


def check_unique(ids: Sequence[str], *, where: str) -> None:
    """Raise DataError that names the first ids which are there more than once."""
    if repeated := [sample_id for sample_id, count in Counter(ids).items() if count > 1]:
        raise DataError(f"{where}: {len(repeated)} ids are there more than once: {_few(repeated)}.")


def as_ids(ids: Sequence[str]) -> StrArray:
    """Return (N,) ids as an array of text."""
    return np.array(list(ids), dtype=np.str_)


def _few(ids: Sequence[str]) -> str:
    return ", ".join(ids[:5]) + (", ..." if len(ids) > 5 else "")
