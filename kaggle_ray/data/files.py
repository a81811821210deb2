"""Readers for the ways in which Kaggle lays out its files: tables, folders of images, and what joins them."""

from __future__ import annotations

import csv
import unicodedata
import warnings
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kaggle_ray.counted import counted
from kaggle_ray.data.user_files import text_encoding
from kaggle_ray.errors import DataError
from kaggle_ray.types import Float64Array, IntArray, StrArray

if TYPE_CHECKING:
    import pandas as pd

_ABSENT_NAMED: ContextVar[bool] = ContextVar("absent_named", default=False)

# The run lengths of a large mask are longer than the 128 KiB that the csv module allows by default.
csv.field_size_limit(2**31 - 1)

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"})


def read_table(path: Path, *, columns: Sequence[str]) -> pd.DataFrame:
    r"""Return a CSV file with every cell as text, as it stands in the file.

    >>> from pathlib import Path
    >>> from kaggle_ray import read_table
    >>> _ = Path("train.csv").write_text("id,label\n007,dog\n")
    >>> read_table(Path("train.csv"), columns=["id", "label"])["id"].tolist()
    ['007']

    Raises:
        DataError: the file is missing, no CSV in UTF-8 or UTF-16, or lacks one of ``columns``.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file. Is the competition's download complete?")
    encoding = text_encoding(path)
    try:
        table = _parsed(path, encoding)
        _check_widths(path, encoding, table)
    except (OSError, ValueError) as error:
        reason = str(error).strip().removeprefix("Error tokenizing data. C error: ").removesuffix(".")
        raise DataError(
            f"{path}: expected a CSV file: {reason}. A field with a comma or a line end stands in double quotes, "
            f"one on either side."
        ) from error
    if missing := [column for column in columns if column not in table.columns]:
        raise DataError(
            f"{path}: expected the columns {', '.join(columns)}; missing {', '.join(missing)} among "
            f"{', '.join(repr(column) for column in table.columns[:20])}.{_other_separator(list(table.columns))}"
        )
    return table


def _parsed(path: Path, encoding: str) -> pd.DataFrame:
    import pandas as pd

    table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding=encoding)
    if isinstance(table.index, pd.RangeIndex) or _numbers_rows(table.index.tolist()):
        return table
    if (table.iloc[:, -1] != "").any():
        raise ValueError("the first row has more fields than the header")
    # Each row ends in a comma that the header lacks: pandas takes the first column for row names, and shifts all.
    with warnings.catch_warnings(action="ignore", category=pd.errors.ParserWarning):
        return pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False, encoding=encoding)


def _check_widths(path: Path, encoding: str, table: pd.DataFrame) -> None:
    """Raise ValueError where a row has fewer fields than the header, which pandas reads as empty ones."""
    if not table.shape[1] or not (table.iloc[:, -1] == "").any():
        return
    with path.open(encoding=encoding, newline="") as file:
        rows = csv.reader(file)
        width = len(next(rows))
        for row in rows:
            if row and len(row) < width:
                raise ValueError(
                    f"line {rows.line_num} has {len(row)} of {counted(width, 'field')}. Is the file cut off there?"
                )


def _numbers_rows(names: Sequence[object]) -> bool:
    """Return whether names of rows, which stand before the columns of the header as R writes them, are numbers."""
    return any(list(names) == [str(number) for number in range(start, start + len(names))] for start in (0, 1))


def _other_separator(header: Sequence[str]) -> str:
    """Return what to do about a header that is one column, separated by something else than commas."""
    separator = next((mark for mark in ";\t|" if len(header) == 1 and mark in header[0]), None)
    return f" Save it with commas in place of each {separator!r}." if separator else ""


def read_header(path: Path) -> list[str]:
    """Return the column names of a CSV file as they stand there, spaces and names that repeat included.

    Raises:
        DataError: the file cannot be read, or is empty.
    """
    encoding = text_encoding(path)
    try:
        with path.open(newline="", encoding=encoding) as file:
            header = next(csv.reader(file), [])
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: expected a CSV file: {error}.") from error
    if not header:
        raise DataError(f"{path}: expected a CSV file with a header, got an empty line.")
    return header


@contextmanager
def absent_images_named() -> Iterator[None]:
    """Let ``list_images`` and ``join_images`` name images that are not there, for who needs no training images.

    A competition reads its training rows beside those to predict. Which of them have to exist is for the caller to see.
    """
    token = _ABSENT_NAMED.set(True)
    try:
        yield
    finally:
        _ABSENT_NAMED.reset(token)


def list_images(folder: Path, *, suffixes: Collection[str] = IMAGE_SUFFIXES) -> dict[str, Path]:
    """Return stem -> path of the images directly in ``folder``, sorted by stem.

    Files for a ``reader`` of the competition's have other ``suffixes``, such as ``(".npy",)`` or ``(".wav", ".ogg")``.

    >>> from pathlib import Path
    >>> from kaggle_ray import list_images
    >>> folder = Path("listed")
    >>> folder.mkdir()
    >>> for name in ("b.png", "a.jpg", "notes.txt"):
    ...     (folder / name).touch()
    >>> [path.name for path in list_images(folder).values()]
    ['a.jpg', 'b.png']

    Raises:
        DataError: the folder is missing, or two files share a stem.
    """
    if not folder.is_dir():
        if _ABSENT_NAMED.get():
            return {}
        raise DataError(f"{folder}: no such folder. Is the competition's download complete?")
    stems = ((_stem(path.name, suffixes), path) for path in folder.iterdir())
    found = sorted((stem, path) for stem, path in stems if stem is not None)
    check_unique([stem for stem, _ in found], where=str(folder))
    return dict(found)


def _stem(name: str, suffixes: Collection[str]) -> str | None:
    """Return a file's name without the longest of ``suffixes`` that it ends in; None where it ends in none.

    macOS puts ``._dog.jpg`` beside ``dog.jpg``, which holds no pixels.
    """
    ends = [suffix for suffix in suffixes if name.lower().endswith(suffix.lower())]
    return _composed(name[: -max(map(len, ends))]) if ends and not name.startswith(".") else None


def _composed(text: str) -> str:
    """Return a text with each accented letter as one character: macOS writes file names with the accents apart."""
    return unicodedata.normalize("NFC", text)


def join_images(
    ids: Sequence[str],
    folder: Path,
    *,
    table: Path,
    name: str = "{}",
    shared: bool = False,
    suffixes: Collection[str] = IMAGE_SUFFIXES,
) -> tuple[Path, ...]:
    """Return the image of each id, in the ids' order.

    >>> from pathlib import Path
    >>> from kaggle_ray import join_images
    >>> folder = Path("joined")
    >>> folder.mkdir()
    >>> for name in ("a.png", "b.png"):
    ...     (folder / name).touch()
    >>> [path.name for path in join_images(["b", "a"], folder, table=Path("train.csv"))]
    ['b.png', 'a.png']

    Args:
        ids: as the table has them.
        folder: of the images.
        table: where the ids are from, for messages.
        name: an image's name without its ending, where {} is the id without its ending, such as ``{}_mask``.
        shared: whether the folder may hold images of other tables, too.
        suffixes: endings of the images' names, of files for a ``reader`` of the competition's, such as ``(".wav",)``.

    Raises:
        DataError: an id is there twice, has no image, or an image has no id.
    """
    check_unique(ids, where=str(table))
    images = list_images(folder, suffixes=suffixes)
    stems = [_composed(name.format(_without_ending(sample_id, suffixes))) for sample_id in ids]
    missing = [sample_id for sample_id, stem in zip(ids, stems, strict=True) if stem not in images]
    if missing and not _ABSENT_NAMED.get():
        others = _others(folder, images, suffixes)
        raise DataError(
            f"{table}: {counted(len(missing), 'id has', 'ids have')} no image in {folder}: {_few(missing)}.{others}"
        )
    if not shared and (extra := sorted(set(images) - set(stems))):
        raise DataError(
            f"{folder}: {counted(len(extra), 'image has', 'images have')} no row in {table}: {_few(extra)}."
        )
    return tuple(images.get(stem, folder / stem) for stem in stems)


def _without_ending(sample_id: str, suffixes: Collection[str]) -> str:
    """Return an id without the ending of an image's name, where it has one."""
    stem = _stem(sample_id, suffixes)
    return sample_id if stem is None else stem


def _others(folder: Path, images: Mapping[str, Path], suffixes: Collection[str]) -> str:
    """Return what a folder without any image holds instead, as a hint; empty where it has images, or nothing."""
    if images or not (paths := [path for path in folder.glob("*.*") if not path.name.startswith(".")]):
        return ""
    ends = sorted({"".join(path.suffixes[-2 if path.suffix.lower() == ".gz" else -1 :]).lower() for path in paths})
    return (
        f" There are files that end in {_few(ends)}, and none in {_few(sorted(suffixes))}: for those of a reader say "
        f"suffixes=({ends[0]!r},)."
    )


def encode_tags(texts: Sequence[str], classes: Sequence[str], *, ids: Sequence[str], where: str) -> IntArray:
    """Return (N, L) 1 where a row's text, names separated by spaces, has the label.

    >>> from kaggle_ray import encode_tags
    >>> encode_tags(["clear road", "cloudy"], ("clear", "cloudy", "road"), ids=["a", "b"], where="train.csv").tolist()
    [[1, 0, 1], [0, 1, 0]]

    Raises:
        DataError: a name is not among the classes; the sample is named.
    """
    positions = {_composed(name): number for number, name in enumerate(classes)}
    target = np.zeros((len(texts), len(classes)), dtype=np.int64)
    for row, (sample_id, text) in enumerate(zip(ids, map(_composed, texts), strict=True)):
        if unknown := sorted(set(text.split()) - positions.keys()):
            raise DataError(
                f"{where}: sample {sample_id!r} has the tag {unknown[0]!r}, expected some of {list(classes)}."
            )
        target[row, [positions[name] for name in text.split()]] = 1
    return target


def rle_coverage(texts: Sequence[str], num_pixels: int) -> Float64Array:
    """Return (N,) the share of foreground of masks that are given as run lengths, ``start length start length ...``.

    >>> from kaggle_ray import rle_coverage
    >>> rle_coverage(["1 2 9 2", ""], num_pixels=16).tolist()
    [0.25, 0.0]
    """
    lengths = [sum(int(length) for length in text.split()[1::2]) for text in texts]
    return np.array(lengths, dtype=np.float64) / num_pixels


def encode_labels(labels: Sequence[str], classes: Sequence[str], *, ids: Sequence[str], where: str) -> IntArray:
    """Return (N,) the position of each label in ``classes``.

    >>> from kaggle_ray import encode_labels
    >>> encode_labels(["dog", "cat"], ("cat", "dog"), ids=["a", "b"], where="train.csv").tolist()
    [1, 0]

    Raises:
        DataError: a label is not among the classes; the sample is named.
    """
    positions = {_composed(name): number for number, name in enumerate(classes)}
    composed = [_composed(label) for label in labels]
    for sample_id, label in zip(ids, composed, strict=True):
        if label not in positions:
            raise DataError(f"{where}: sample {sample_id!r} has the label {label!r}, expected one of {list(classes)}.")
    return np.array([positions[label] for label in composed], dtype=np.int64)


def check_unique(ids: Sequence[str], *, where: str) -> None:
    """Raise DataError that names the first ids which are there more than once."""
    if repeated := [sample_id for sample_id, count in Counter(ids).items() if count > 1]:
        raise DataError(
            f"{where}: {counted(len(repeated), 'id is', 'ids are')} there more than once: {_few(repeated)}."
        )


def as_ids(ids: Sequence[str]) -> StrArray:
    """Return (N,) ids as an array of text.

    >>> from kaggle_ray import as_ids
    >>> as_ids(["a", "b"]).tolist()
    ['a', 'b']

    Raises:
        DataError: an id is no text: 0012 that was read as a number is 12.
    """
    listed = list(ids)
    if others := [each for each in listed if not isinstance(each, str)]:
        raise DataError(
            f"ids: expected texts, got {others[0]!r} ({type(others[0]).__name__}). Read the table by read_table, or by "
            f"pandas with dtype=str: 0012 that is read as a number becomes 12."
        )
    return np.array(listed, dtype=np.str_)


def _few(ids: Sequence[str]) -> str:
    return ", ".join(ids[:5]) + (", ..." if len(ids) > 5 else "")
