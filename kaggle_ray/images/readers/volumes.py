"""Volumes as a fixed number of slices, each with its neighbours as channels: what is called 2.5D."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kaggle_ray.data.reading import Reader
from kaggle_ray.errors import ConfigError, DataError
from kaggle_ray.images.readers.registry import READERS


@dataclass(frozen=True, kw_only=True, slots=True)
class VolumeSlices:
    """A reader of volumes: evenly spaced slices of each, and beside each slice its neighbours as channels.

    With ``num`` 16 and ``neighbours`` 1 a volume of any depth becomes 16 images of 3 channels: the competition has
    ``images_per_file=16`` and ``channels=3``. Beyond the first and the last slice these are repeated.

    >>> import numpy as np
    >>> from kaggle_ray import VolumeSlices
    >>> slices = VolumeSlices(reader=lambda path: np.arange(40).reshape(2, 2, 10), num=4, neighbours=1)
    >>> slices("a volume of 10 slices").shape
    (4, 2, 2, 3)
    """

    reader: str | Reader
    """What reads a volume (H, W, D): a reader of ours by its name, or a function."""
    num: int
    """Slices of a volume that are taken: the middle ones of as many parts."""
    neighbours: int = 0
    """Slices before and after each that are its further channels."""

    def __post_init__(self) -> None:
        """Raise ConfigError for a number that is none of slices, or a name that is none of our readers."""
        if self.num < 1 or self.neighbours < 0:
            raise ConfigError(
                f"volume slices: expected num of at least 1 and neighbours of at least 0, got {self.num} and "
                f"{self.neighbours}."
            )
        if isinstance(self.reader, str) and not READERS.is_built_in(self.reader):
            raise ConfigError(f"volume slices: expected a reader of ours or a function, got {self.reader!r}.")

    def __call__(self, path: Path) -> npt.NDArray[Any]:
        """Return (num, H, W, 1 + 2 * neighbours) the slices of a file's volume."""
        read = READERS[self.reader] if isinstance(self.reader, str) else self.reader
        volume = np.asarray(read(path))
        if volume.ndim != 3:
            raise DataError(f"{path}: expected a volume (H, W, slices), got {volume.shape}.")
        depth = volume.shape[2]
        middle = np.floor((np.arange(self.num) + 0.5) * depth / self.num).astype(int)
        around = middle[:, np.newaxis] + np.arange(-self.neighbours, self.neighbours + 1)
        return np.moveaxis(volume[:, :, around.clip(0, depth - 1)], 2, 0)
