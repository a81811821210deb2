"""Arrays that numpy or torch saved: nothing in them is executed, and no more memory is taken than their bytes allow."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kaggle_ray.data.user_files import read_content
from kaggle_ray.errors import DataError
from kaggle_ray.images.readers.registry import check_values, register_reader


@register_reader("npy")
def read_npy(path: Path) -> npt.NDArray[Any]:
    """Return the array of a ``.npy`` file."""
    array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)  # a map: its header is only a claim
    check_values(path, array.shape)
    return np.array(array)


@register_reader("npz")
def read_npz(path: Path) -> npt.NDArray[Any]:
    """Return the only array of a ``.npz`` file.

    Raises:
        DataError: it holds several, or a larger one than is read at once.
    """
    with zipfile.ZipFile(path) as members:
        sizes = {member.filename: member.file_size for member in members.infolist()}
    if len(sizes) != 1:
        names = ", ".join(name.removesuffix(".npy") for name in sizes)
        raise DataError(f"{path}: expected one array, got {names or 'none'}. Let the competition's reader pick one.")
    check_values(path, list(sizes.values()))
    with np.load(path, allow_pickle=False) as arrays:
        array: npt.NDArray[Any] = arrays[arrays.files[0]]
    return array


@register_reader("pt")
def read_pt(path: Path) -> npt.NDArray[Any]:
    """Return the tensor of a file of ``torch.save``, of which weights alone are loaded, no code.

    Raises:
        DataError: it holds no tensor, or a larger one than is read at once.
    """
    import io

    import torch

    tensor = torch.load(io.BytesIO(read_content(path)), map_location="cpu", weights_only=True)
    if not isinstance(tensor, torch.Tensor):
        raise DataError(
            f"{path}: expected a tensor, got {type(tensor).__name__}. Let the competition's reader pick one."
        )
    check_values(path, tensor.shape)  # one of strides 0 is larger than its file
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    array: npt.NDArray[Any] = tensor.detach().numpy()
    return array
