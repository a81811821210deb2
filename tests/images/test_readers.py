"""Readers of what is no photograph: values and their type are kept, and what is wrong with a file is told by name."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from kaggle_ray.config.loading import load_attribute
from kaggle_ray.data.ids import as_ids
from kaggle_ray.data.normalization import Normalization
from kaggle_ray.data.reading import ImageReading, Reading
from kaggle_ray.errors import ConfigError, DataError
from kaggle_ray.images.cache import open_images
from kaggle_ray.images.readers import READERS, NamedReader, reader_of
from kaggle_ray.images.unreadable import unreadable_files, without_unreadable
from kaggle_ray.testing.samples import samples_of
from kaggle_ray.testing.toy import COMPETITION

Array = npt.NDArray[Any]
RNG = np.random.default_rng(0)
PLANES = RNG.integers(0, 4096, (6, 8, 5)).astype(np.uint16)
"""(H, W, planes)."""


def write_npy(path: Path, planes: Array) -> None:
    np.save(path, planes)


def write_npz(path: Path, planes: Array) -> None:
    np.savez_compressed(path, scan=planes)


def write_pt(path: Path, planes: Array) -> None:
    import torch

    torch.save(torch.from_numpy(planes.astype(np.float32)), path)


def write_tiff(path: Path, planes: Array) -> None:
    import tifffile

    tifffile.imwrite(path, np.moveaxis(planes, -1, 0), photometric="minisblack")


def write_nifti(path: Path, planes: Array) -> None:
    import nibabel

    nibabel.save(nibabel.Nifti1Image(planes.swapaxes(0, 1).astype(np.int16), np.eye(4)), path)


def write_dicom(path: Path, planes: Array, **told: object) -> None:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = *planes.shape[:2], planes.shape[2]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    for name, value in told.items():
        setattr(dataset, name, value)
    dataset.PixelData = np.moveaxis(planes, -1, 0).tobytes()
    dataset.save_as(path, enforce_file_format=True)


def with_reader(reader: str | Callable[[Path], Array], **named: Any) -> NamedReader:
    found = reader_of(replace(COMPETITION, reader=reader, **named))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "write", "dtype"),
    [
        ("npy", write_npy, np.uint16),
        ("npz", write_npz, np.uint16),
        ("pt", write_pt, np.float32),
        ("tiff", write_tiff, np.uint16),
        ("nii.gz", write_nifti, np.float32),
        ("dcm", write_dicom, np.uint16),
    ],
)
def test_the_values_of_a_file_are_decoded_once_as_they_are(
    name: str, write: Callable[[Path, Array], None], dtype: type, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{number}.{name}" for number in range(2)]
    for number, path in enumerate(paths):
        write(path, PLANES + np.uint16(number))
    reader = with_reader({"nii.gz": "nifti", "dcm": "dicom"}.get(name, name))
    for num_built in (2, 0):
        images = open_images(paths, height=6, width=8, channels=5, reader=reader, cache_dir=tmp_path / "cache")
        assert (images.num_built, images.shape) == (num_built, (2, 6, 8, 5))
        pixels = images.read(np.arange(2))
        assert pixels.dtype == dtype
        np.testing.assert_array_equal(pixels, np.stack([PLANES, PLANES + 1]))


def test_a_file_of_several_images_has_a_row_for_each(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.npy" for number in range(2)]
    for number, path in enumerate(paths):
        np.save(path, PLANES + np.uint16(number))
    reader = with_reader("npy", images_per_file=5)
    asked = np.array([7, 2, 5])
    for budget_bytes in (None, 1):  # kept decoded, and decoded on the fly
        images = open_images(
            paths, height=6, width=8, channels=1, reader=reader, cache_dir=tmp_path / "cache", budget_bytes=budget_bytes
        )
        assert images.shape == (10, 6, 8, 1)
        np.testing.assert_array_equal(
            images.read(asked)[..., 0], np.stack([PLANES[..., row % 5] + row // 5 for row in asked])
        )


def test_a_dicom_file_is_read_in_the_units_of_its_modality_and_with_white_as_bright(tmp_path: Path) -> None:
    path = tmp_path / "scan.dcm"
    write_dicom(path, PLANES, RescaleSlope="2", RescaleIntercept="-1024")
    np.testing.assert_array_equal(READERS["dicom"](path), PLANES * np.float32(2) - 1024)
    write_dicom(path, PLANES, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(READERS["dicom"](path), 4095 - PLANES)


class Opened:
    """Pickled, it would write a file as it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("name", ["npy", "npz", "pt", "tiff", "nifti", "dicom"])
@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"PK\x03\x04", b"II*\0", bytes(300)])
def test_a_damaged_file_is_named(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "damaged.nii"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged\.nii: "):
        with_reader(name).pixels(path, 4, 4, 1)


@pytest.mark.parametrize("name", ["npy", "pt"])
def test_nothing_in_a_file_is_executed(name: str, tmp_path: Path) -> None:
    path, sign = tmp_path / "scan", tmp_path / "executed"
    if name == "npy":
        np.save(path.with_suffix(".npy"), np.array([Opened(sign)], dtype=object), allow_pickle=True)
        path.with_suffix(".npy").rename(path)
    else:
        path.write_bytes(pickle.dumps(Opened(sign)))
    with pytest.raises(DataError, match="scan: "):
        with_reader(name).pixels(path, 4, 4, 1)
    assert not sign.exists()


@pytest.mark.parametrize("name", ["npy", "npz", "pt", "tiff", "nifti", "dicom"])
def test_a_file_of_more_numbers_than_are_read_at_once_is_told_before_they_are(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"large.{'nii' if name == 'nifti' else name}"
    write = {"npy": write_npy, "npz": write_npz, "pt": write_pt, "tiff": write_tiff, "nifti": write_nifti}
    write.get(name, write_dicom)(path, PLANES)
    monkeypatch.setattr("kaggle_ray.images.readers.registry.MAX_VALUES", 200)
    with pytest.raises(DataError, match=r"large\.\w+: has .* numbers, and at most 200 are read at once"):
        READERS[name](path)


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.zeros((3, 8, 8)), r"expected 1 channels, got \(3, 8, 8\)\. Channels come last"),
        (np.array([[0.0, np.nan]]), "expected finite numbers"),
        (np.array([["a"]]), "expected numbers, got <U1"),
        (np.zeros(4), r"expected \(H, W\) or \(H, W, C\), got \(4,\)"),
    ],
)
def test_what_a_reader_returns_is_checked(array: Array, told: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=told):
        with_reader(lambda path: array).pixels(tmp_path / "x", 4, 4, 1)


def test_what_a_reader_raises_names_the_file_and_the_error(tmp_path: Path) -> None:
    def read(path: Path) -> Array:
        raise KeyError("pixels")

    (tmp_path / "a.bin").write_bytes(b"a")
    told = unreadable_files([tmp_path / "a.bin"], channels=1, reader=with_reader(read))[tmp_path / "a.bin"]
    assert "a.bin: the reader" in told
    assert "raises KeyError: 'pixels'" in told


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [("dicom", "pydicom", "medical"), ("nifti", "nibabel", "medical"), ("tiff", "tifffile", "tiff")],
)
def test_a_missing_library_is_told_with_the_extra_that_brings_it(
    name: str, module: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=rf"needs {module}: pip install 'kaggle-ray\[{extra}\]'"):
        with_reader(name).pixels(tmp_path / "x", 4, 4, 1)


def test_a_reader_that_there_is_not_is_told_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown reader 'dicon'\. Did you mean 'dicom'"):
        with_reader("dicon")


def test_what_a_reader_made_is_not_found_again_once_a_function_that_it_calls_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    own = tmp_path / "own.py"
    own.write_text("import numpy as np\nimport scaling\n\ndef read(path):\n    return scaling.scaled(np.load(path))\n")
    keys = []
    for factor in (1, 2, 1):
        (tmp_path / "scaling.py").write_text(f"def scaled(array):\n    return array * {factor}\n")
        keys.append(with_reader(load_attribute(own, "read", FunctionType)).key)
    assert keys[0] == keys[2] != keys[1]


def test_a_row_whose_file_a_reader_refuses_is_left_out_and_a_test_file_is_not(tmp_path: Path) -> None:
    samples = samples_of(as_ids(["a", "b", "c"]), np.array([0, 1, 0]), test_ids=as_ids(["d"]))
    competition = replace(COMPETITION, reader="npy")
    kept = without_unreadable(competition, samples, [samples.train_files[1]], tmp_path)
    assert len(kept.train_ids) == 2
    with pytest.raises(DataError, match=r"1 test file cannot be read, such as .* nothing stands in"):
        without_unreadable(competition, samples, [samples.test_files[0]], tmp_path)


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ({"reader": "npy", "reading": Reading(images=ImageReading(bits=16))}, "reader and reading.images"),
        ({"images_per_file": 3}, "images_per_file: expected 1, or a reader"),
        ({"normalization": "all"}, "normalization: expected 'train'"),
    ],
)
def test_a_competition_that_contradicts_itself_is_refused(named: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        replace(COMPETITION, **named)


@pytest.mark.parametrize(("mean", "std"), [((0.5,), (0.0,)), ((0.5, 0.5), (0.1,)), ((), ())])
def test_a_normalisation_has_a_positive_deviation_for_each_mean(mean: Any, std: Any) -> None:
    with pytest.raises(ConfigError, match="a normalisation: expected a mean and a positive deviation"):
        Normalization(mean=mean, std=std)
