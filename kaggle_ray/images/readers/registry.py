"""Which readers there are by name, and what they share: bounds, and the extras that they need."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kaggle_ray.data.reading import Reader
from kaggle_ray.errors import ConfigError, DataError
from kaggle_ray.registry import Registry

MAX_VALUES = 2**29
"""Numbers in one file's array that is read: half a billion, 2 GB of float32."""

READERS: Registry[Reader] = Registry("reader")
"""Readers of ours, and those that a competition's file registers."""

EXTRAS: Mapping[str, str] = {"dicom": "medical", "nifti": "medical", "tiff": "tiff", "MelSpectrogram": "audio"}
"""Readers of ours that need more than kaggle_ray does -> the extra that brings it."""


def extras_of(reader: str | Reader | None) -> set[str]:
    """Return the extras that a competition's reader needs, that which it reads by included.

    >>> extras_of("dicom")
    {'medical'}
    """
    if reader is None:
        return set()
    found = EXTRAS.get(reader if isinstance(reader, str) else type(reader).__name__)
    inner = getattr(reader, "reader", None)  # of one that reads by another
    return ({found} if found else set()) | (extras_of(inner) if isinstance(inner, str) or callable(inner) else set())


def register_reader(name: str) -> Callable[[Reader], Reader]:
    """Register a function ``path -> array`` as the reader ``name``, for ``Competition(reader=name)``.

    The array is (H, W) or (H, W, C), of uint8, uint16, or other numbers, which become float32; of a file that holds
    several images (V, H, W, C), or (H, W, V * C) where the last axis counts them. The function is called once for each
    file, from several threads at once, and what it raises is reported with the file's name.

    >>> import numpy as np
    >>> from kaggle_ray import register_reader
    >>> @register_reader("raw_32x32")
    ... def raw_32x32(path):
    ...     return np.fromfile(path, dtype=np.uint8).reshape(32, 32)

    Raises:
        ConfigError: the name is built in, or another reader has it.
    """
    return READERS.register(name)


def extra_module(name: str, *, reader: str) -> Any:
    """Return the module ``name`` that one of ``EXTRAS`` needs. Raises ConfigError, with the extra, without it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise ConfigError(f"a reader needs {package}: pip install 'kaggle-ray[{EXTRAS[reader]}]'.") from error


def check_values(path: Path, shape: Sequence[int]) -> None:
    """Raise DataError for an array of more than ``MAX_VALUES`` numbers, before any memory is taken for them."""
    if math.prod(shape) > MAX_VALUES:
        sides = " x ".join(map(str, shape))
        raise DataError(f"{path}: has {sides} numbers, and at most {MAX_VALUES:,} are read at once. Cut it into parts.")
