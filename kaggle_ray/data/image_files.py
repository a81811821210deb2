"""Folders of images, whose names are the ids of a table's rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from kaggle_ray.counted import counted
from kaggle_ray.data.ids import check_unique, composed, few
from kaggle_ray.errors import DataError

_ABSENT_NAMED: ContextVar[bool] = ContextVar("absent_named", default=False)

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"})


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
    return composed(name[: -max(map(len, ends))]) if ends and not name.startswith(".") else None


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
    stems = [composed(name.format(_without_ending(sample_id, suffixes))) for sample_id in ids]
    missing = [sample_id for sample_id, stem in zip(ids, stems, strict=True) if stem not in images]
    if missing and not _ABSENT_NAMED.get():
        others = _others(folder, images, suffixes)
        raise DataError(
            f"{table}: {counted(len(missing), 'id has', 'ids have')} no image in {folder}: {few(missing)}.{others}"
        )
    if not shared and (extra := sorted(set(images) - set(stems))):
        raise DataError(f"{folder}: {counted(len(extra), 'image has', 'images have')} no row in {table}: {few(extra)}.")
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
        f" There are files that end in {few(ends)}, and none in {few(sorted(suffixes))}: for those of a reader say "
        f"suffixes=({ends[0]!r},)."
    )
