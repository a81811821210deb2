"""A competition's reader, and what it makes of a file: pixels of the wanted size, or an error with the file's name.

Shape legend: V images of a file, H and W pixels, C channels.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kaggle_ray.config.described import described
from kaggle_ray.config.sources import is_installed, source_digests
from kaggle_ray.config.users_code import users_line
from kaggle_ray.counted import counted
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.reading import Reader
from kaggle_ray.errors import DataError, KaggleRayError
from kaggle_ray.images.geometry import resize_pixels
from kaggle_ray.images.readers.registry import READERS, check_values
from kaggle_ray.types import JsonValue

_PACKAGE = Path(__file__).resolve().parents[2]
_KEPT = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32))
"""Types that pixels keep; what is of another type of number becomes float32."""
_CHANNELS_FIRST = 4
"""Sides up to which a first axis may be that of channels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedReader:
    """What reads the files of a competition, and how it is told from any other reader."""

    name: str
    """Name by which messages tell it."""
    key: str
    """Digest of name and source: what the reader made of a file is found again by it."""
    num_images: int = 1
    """V, images of each file."""
    read: Reader = field(compare=False)

    def pixels(self, path: Path, height: int, width: int, channels: int) -> npt.NDArray[Any]:
        """Return (V, height, width, C) the images of a file.

        Raises:
            DataError: the reader raises, or what it returns are not ``num_images`` images of ``channels``.
        """
        return self._fitted(self._read(path), path, height, width, channels)

    def fitted(self, array: npt.NDArray[Any], height: int, width: int, channels: int) -> npt.NDArray[Any]:
        """Return (V, height, width, C) the images of what the reader would return of a file.

        Raises:
            DataError: they are not ``num_images`` images of ``channels``.
        """
        return self._fitted(array, Path(f"an array {array.shape} of {array.dtype}"), height, width, channels)

    def _fitted(self, array: npt.NDArray[Any], path: Path, height: int, width: int, channels: int) -> npt.NDArray[Any]:
        images = self._shaped(self._checked(array, path), path, channels)
        try:
            return resize_pixels(np.ascontiguousarray(images), height, width)
        except Exception as error:
            raise DataError(f"{path}: {images.shape} {images.dtype} cannot be resized: {error}.") from error

    def sides(self, path: Path) -> tuple[int, int, np.dtype[Any]]:
        """Return height and width of a file's images as they are stored, and the type of their values."""
        array = self._checked(self._read(path), path)
        height, width = array.shape[1:3] if array.ndim == 4 else array.shape[:2]
        return height, width, array.dtype

    def _read(self, path: Path) -> npt.NDArray[Any]:
        with self._named(path):
            return np.asarray(self.read(path))

    @contextmanager
    def _named(self, path: Path) -> Iterator[None]:
        """Raise DataError for whatever a reader raises of a file: a library may raise anything of a damaged one."""
        try:
            yield
        except KaggleRayError:
            raise
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from error
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:
            line = users_line(error)
            raise DataError(
                f"{path}: the reader {self.name!r} raises {type(error).__name__}: {error}{line}."
            ) from error

    def _checked(self, array: npt.NDArray[Any], path: Path) -> npt.NDArray[Any]:
        """Return the array with values of a type that is kept."""
        if array.ndim not in (2, 3, 4) or not array.size:
            raise DataError(f"{path}: the reader {self.name!r}: expected (H, W) or (H, W, C), got {array.shape}.")
        if array.dtype.kind not in "biuf":
            raise DataError(f"{path}: the reader {self.name!r}: expected numbers, got {array.dtype}.")
        check_values(path, array.shape)
        values = array if array.dtype in _KEPT else array.astype(np.float32)
        if values.dtype == np.float32 and not np.isfinite(values).all():
            raise DataError(f"{path}: the reader {self.name!r}: expected finite numbers, got NaN or infinity.")
        return values

    def _shaped(self, array: npt.NDArray[Any], path: Path, channels: int) -> npt.NDArray[Any]:
        """Return (V, H, W, C); the last axis of (H, W, V * C) counts images, each with its channels."""
        if array.ndim == 2:
            array = array[:, :, np.newaxis]
        if array.ndim == 3:
            height, width, planes = array.shape
            if planes == self.num_images * channels:
                array = np.moveaxis(array.reshape(height, width, self.num_images, channels), 2, 0)
        if array.ndim != 4 or (array.shape[0], array.shape[3]) != (self.num_images, channels):
            several = f" x {counted(self.num_images, 'image')}" if self.num_images > 1 else ""
            first = " Channels come last: transpose it." if array.shape[0] <= _CHANNELS_FIRST < array.shape[-1] else ""
            raise DataError(
                f"{path}: the reader {self.name!r}: expected {channels} channels{several}, got {array.shape}.{first}"
            )
        return array


def reader_of(competition: Competition) -> NamedReader | None:
    """Return what reads the competition's images, None where they are photographs.

    Raises:
        ConfigError: it names a reader that there is not, with the nearest name.
    """
    given = competition.reader
    return None if given is None else named_reader(given, competition.images_per_file)


def named_reader(given: str | Reader, images_per_file: int) -> NamedReader:
    """Return the reader that a competition names, or its function, of files of so many images.

    Raises:
        ConfigError: there is no reader of that name, with the nearest one.
    """
    is_name = isinstance(given, str)
    read: Reader = READERS[given] if isinstance(given, str) else given
    told = _told(read)
    name = given if isinstance(given, str) else getattr(given, "__qualname__", type(given).__qualname__)
    text = json.dumps([name if is_name else None, images_per_file, told], sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    return NamedReader(name=name, key=key, num_images=images_per_file, read=read)


def _told(read: Reader) -> JsonValue:
    """Return what a reader is told from others by: what it is, and the source of the file that has it.

    The whole file, and what that imports: the functions that a reader calls change what it returns, too.
    """
    maker: Any = read
    while isinstance(maker, partial):
        maker = maker.func
    maker = maker if inspect.isfunction(maker) else type(maker)
    told = [getattr(maker, "__module__", ""), getattr(maker, "__qualname__", ""), described(read)]
    inner = getattr(read, "reader", None)  # of one that reads by another
    return [*told, *_sources(maker), *([_told(inner)] if callable(inner) else [])]


def _sources(maker: Callable[..., object]) -> list[JsonValue]:
    try:
        file = Path(inspect.getsourcefile(maker) or "").resolve()
    except TypeError:
        return []
    if not file.is_file() or file.is_relative_to(_PACKAGE) or is_installed(file):
        return []
    return [dict(source_digests(file))]
