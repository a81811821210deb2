"""Stacks of pages in TIFF files, which an image decoder reads the first of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kaggle_ray.errors import DataError
from kaggle_ray.images.readers.registry import check_values, extra_module, register_reader


@register_reader("tiff")
def read_tiff(path: Path) -> npt.NDArray[Any]:
    """Return all pages of a TIFF file: (H, W, pages) of grey ones, (pages, H, W, samples) of coloured ones."""
    tifffile = extra_module("tifffile", reader="tiff")
    with tifffile.TiffFile(path) as file:
        stack = file.series[0]
        axes, shape = str(stack.axes), tuple(stack.shape)
        check_values(path, shape)
        array = np.asarray(stack.asarray())
    if "Y" not in axes or "X" not in axes:
        raise DataError(f"{path}: expected pages with rows and columns, got the axes {axes}.")
    has_samples = "S" in axes
    last = [axes.index(axis) for axis in ("YXS" if has_samples else "YX")]
    pages = [axis for axis in range(len(axes)) if axis not in last]
    sides = tuple(shape[axis] for axis in last)
    stacked = array.transpose(*pages, *last).reshape(-1, *sides)
    return stacked if has_samples else np.moveaxis(stacked, 0, -1)
