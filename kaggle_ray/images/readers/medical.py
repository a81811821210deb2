"""Medical images and volumes: DICOM by pydicom, NIfTI by nibabel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kaggle_ray.errors import DataError
from kaggle_ray.images.readers.registry import check_values, extra_module, register_reader


@register_reader("dicom")
def read_dicom(path: Path) -> npt.NDArray[Any]:
    """Return the pixels of a DICOM file: (H, W), of several frames (H, W, frames), of coloured ones (frames, H, W, 3).

    Where the file tells a slope and an intercept the values are those of its modality, such as Hounsfield units, as
    float32. What is stored with white as its lowest value is turned round. Compressed pixels need the packages that
    pydicom names.
    """
    pydicom, pixels = (extra_module(name, reader="dicom") for name in ("pydicom", "pydicom.pixels"))
    dataset = pydicom.dcmread(path)
    num_frames = int(dataset.get("NumberOfFrames") or 1)
    num_samples = int(dataset.get("SamplesPerPixel", 1))
    check_values(path, (num_frames, int(dataset.Rows), int(dataset.Columns), num_samples))
    array = np.asarray(pixels.pixel_array(dataset))
    if num_samples > 1:
        return array
    if "RescaleSlope" in dataset or "ModalityLUTSequence" in dataset:
        array = np.asarray(pixels.apply_rescale(array, dataset), dtype=np.float32)
    if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
        array = array.max() - array if array.dtype.kind == "f" else _white_first(array, int(dataset.BitsStored))
    return np.moveaxis(array, 0, -1) if num_frames > 1 else array


def _white_first(array: npt.NDArray[Any], bits: int) -> npt.NDArray[Any]:
    return np.asarray((2**bits - 1) - array, dtype=array.dtype)


@register_reader("nifti")
def read_nifti(path: Path) -> npt.NDArray[Any]:
    """Return (H, W, slices) the volume of a NIfTI file, ``.nii`` or ``.nii.gz``, in the order that it is stored in.

    Values are scaled as the file says. Rows are the file's second axis and columns its first, as viewers show them.

    Raises:
        DataError: it has other than two or three axes.
    """
    nibabel = extra_module("nibabel", reader="nifti")
    image = nibabel.load(path)
    shape = tuple(side for axis, side in enumerate(image.shape) if axis < 2 or side > 1)
    check_values(path, shape)
    if len(shape) not in (2, 3):
        raise DataError(
            f"{path}: expected a volume of three axes, got {image.shape}. Let the competition's reader pick."
        )
    is_scaled = (image.dataobj.slope, image.dataobj.inter) != (1, 0)
    array = np.asarray(image.dataobj, dtype=np.float32 if is_scaled else None)
    return array.reshape(shape).swapaxes(0, 1)
