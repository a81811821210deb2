"""What a competition reads by comes along: it predicts where pydicom, soundfile and the like are not installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Collection, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import kaggle_ray
from kaggle_ray.images.readers import MelSpectrogram, VolumeSlices
from kaggle_ray.images.readers.registry import extras_of
from kaggle_ray.packing.needs import needs_of
from kaggle_ray.packing.pack import pack
from kaggle_ray.packing.wheels import ASSUMED
from kaggle_ray.testing.toy import TINY

OFFLINE = """
import runpy, socket, sys

def refuse(*args, **kwargs):
    raise OSError("there is no network")

socket.socket.connect = socket.getaddrinfo = refuse
runpy.run_path(sys.argv[1], run_name="__main__")
"""
"""Runs a script in a process that reaches no server."""

CLINIC = '''
"""Half of the rows are DICOM files, half are sounds."""
import numpy as np

import kaggle_ray
from of_clinic import CLASSES, IDS, TEST_IDS, file_of

SPECTROGRAM = kaggle_ray.MelSpectrogram(sample_rate=8000, seconds=0.25, num_mels=16, window=512, hop=125)


def read(folder):
    return kaggle_ray.Samples(
        train_ids=kaggle_ray.as_ids(IDS),
        train_paths=tuple(file_of(folder, n, name) for n, name in enumerate(IDS)),
        target=kaggle_ray.encode_labels([CLASSES[n % 2] for n in range(len(IDS))], CLASSES, ids=IDS, where="here"),
        test_ids=kaggle_ray.as_ids(TEST_IDS),
        test_paths=tuple(file_of(folder, n, name) for n, name in enumerate(TEST_IDS)),
    )


def read_file(path):
    if path.suffix == ".wav":
        return SPECTROGRAM(path) + np.float32(100)
    import pydicom  # of whose readers this competition has none by name

    return pydicom.dcmread(path).pixel_array.astype(np.float32)


COMPETITION = kaggle_ray.Competition(
    name="clinic",
    heads=(kaggle_ray.Head(task="binary", classes=CLASSES, metric=kaggle_ray.metric_by_name("log_loss")),),
    read=read,
    reader=read_file,
    channels=1,
    folds=kaggle_ray.FoldScheme(num_folds=2),
    submission=kaggle_ray.SubmissionFormat(id_column="id", columns=("label",)),
    default_space=lambda settings: kaggle_ray.SearchSpace(base={}),
)
'''

OF_CLINIC = """
CLASSES = ("well", "ill")
IDS, TEST_IDS = [f"r{n:02}" for n in range(16)], [f"t{n:02}" for n in range(6)]


def file_of(folder, number, name):
    return folder / (f"{name}.dcm" if number // 2 % 2 else f"{name}.wav")
"""


def write_dicom(path: Path, pixels: npt.NDArray[np.uint16]) -> None:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, "1.2.3"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, "1.2.3"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PixelData = pixels.tobytes()
    dataset.save_as(path, enforce_file_format=True)


def write_clinic(folder: Path) -> None:
    import of_clinic  # type: ignore[import-not-found]
    import soundfile

    folder.mkdir()
    rows = ["id,label", *(f"{name},0.5" for name in of_clinic.TEST_IDS)]
    (folder / "sample_submission.csv").write_text("\n".join(rows))
    rng = np.random.default_rng(0)
    for ids in (of_clinic.IDS, of_clinic.TEST_IDS):
        for number, name in enumerate(ids):
            path = of_clinic.file_of(folder, number, name)
            if path.suffix == ".wav":
                tone = np.sin(2 * np.pi * (500 + 2000 * (number % 2)) * np.arange(2000) / 8000)
                soundfile.write(path, 0.5 * tone + rng.normal(0, 0.1, 2000), 8000)
            else:
                write_dicom(path, rng.integers(0, 100, (16, 16)).astype(np.uint16) + np.uint16(80 * (number % 2)))


def write_wheels(packages: Sequence[str], folder: Path, *, python: str) -> None:
    """Write wheels of packages as they are installed here, in the place of those that an index has."""
    for package in packages:
        name, _, version = package.partition("==")
        tag = f"cp{python.replace('.', '')}-none-any"
        with zipfile.ZipFile(folder / f"{name.replace('-', '_')}-{version}-{tag}.whl", "w") as wheel:
            for file in metadata.distribution(name).files or ():
                if ".." not in file.parts and "__pycache__" not in file.parts:
                    wheel.write(str(file.locate()), str(file))


def without(packages: Collection[str], folder: Path) -> Path:
    """Return a folder of what is installed here but for packages, which Python may take for its site-packages."""
    site = Path(str(metadata.distribution("pytest").locate_file("")))
    hidden = {file.parts[0] for each in packages for file in metadata.distribution(each).files or ()}
    folder.mkdir(parents=True)
    for entry in site.iterdir():
        if entry.name not in hidden | {"__pycache__"} and entry.suffix != ".pth":
            (folder / entry.name).symlink_to(entry)
    return folder


@pytest.mark.slow
def test_a_package_of_dicom_files_and_sounds_predicts_where_their_readers_are_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clinic.py").write_text(CLINIC)
    (tmp_path / "of_clinic.py").write_text(OF_CLINIC)
    monkeypatch.syspath_prepend(tmp_path)
    write_clinic(tmp_path / "data")
    result = kaggle_ray.run(
        tmp_path / "clinic.py", experiments=[{**TINY, "epochs": 1, "augment": "none"}], data=tmp_path / "data",
        runs=tmp_path / "runs", launcher="local", reporters=[], device="cpu",
    )  # fmt: skip
    submitted = result.submission.read_bytes()
    monkeypatch.setattr("kaggle_ray.packing.pack.download", write_wheels)
    lacking = {"pydicom", "nibabel", "soundfile", "cffi", "pycparser"}
    there = {f"{each.name}=={each.version}" for each in metadata.distributions() if each.name not in lacking}
    (tmp_path / "installed.txt").write_text("\n".join(there))
    packed = pack(
        result.run_dir,
        tmp_path / "packed",
        competition=tmp_path / "clinic.py",
        installed=tmp_path / "installed.txt",
    )
    assert {each.partition("==")[0] for each in packed.needed.lacking} == lacking - {"nibabel"}
    assert (tmp_path / "packed" / "competition" / "of_clinic.py").is_file()
    shutil.rmtree(result.run_dir)
    moved = (tmp_path / "packed").rename(tmp_path / "elsewhere")

    bare = without(lacking, tmp_path / "bare" / "site-packages")
    (tmp_path / "empty").mkdir()
    known = {name: os.environ[name] for name in ("OMP_NUM_THREADS", "HOME", "PATH") if name in os.environ}
    places = {"PACKAGE": str(moved), "DATA": str(tmp_path / "data"), "OUT": str(tmp_path / "out.csv")}

    def python(*words: str) -> subprocess.CompletedProcess[str]:
        env = {**known, **places, "PYTHONPATH": str(bare)}
        command = [sys.executable, "-S", "-c", *words]
        return subprocess.run(command, cwd=tmp_path / "empty", env=env, capture_output=True, text=True, timeout=300)

    assert "No module named 'pydicom'" in python("import pydicom").stderr
    done = python(OFFLINE, str(moved / "inference.py"))
    assert done.returncode == 0, done.stderr
    assert "is not what run" not in done.stderr, "what came from wheels is no code of the user's"
    assert (tmp_path / "out.csv").read_bytes() == submitted
    where = done.stdout.splitlines()[-1].partition("by kaggle_ray of ")[2]
    assert where.endswith("/site-packages/kaggle_ray"), "the packed wheel is imported, and not this checkout"
    assert not list(moved.rglob("*.npy"))


@pytest.mark.parametrize(
    ("reader", "extras"),
    [
        (None, set()),
        ("npy", set()),
        ("tiff", {"tiff"}),
        (VolumeSlices(reader="nifti", num=2), {"medical"}),
        (MelSpectrogram(), {"audio"}),
        (VolumeSlices(reader=MelSpectrogram(), num=2), {"audio"}),
        (lambda path: path, set()),
    ],
)
def test_the_extras_of_a_reader_are_those_of_what_it_reads_by(reader: object, extras: set[str]) -> None:
    assert extras_of(reader) == extras  # type: ignore[arg-type]


def test_what_a_file_imports_anywhere_or_mentions_is_needed_and_what_is_not_installed_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "packages_distributions", lambda: {"skimage": ["scikit-image"]})  # read in seconds
    (tmp_path / "own.py").write_text(
        "import json, numpy, beside, kaggle_ray\n\ndef read(path):\n    from skimage import io\n    return io"
    )
    (tmp_path / "beside.py").write_text(
        "try:\n    import not_there\nexcept ImportError:\n    pass\nR = kaggle_ray.VolumeSlices(reader='dicom')"
    )
    extras, others = needs_of(tmp_path / "own.py", None, [])
    assert extras == {"medical"}
    assert others == {"numpy", "scikit-image"}


def test_decoders_that_a_reader_finds_by_itself_come_along_where_they_are_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.py").write_text("import pydicom\n")
    assert needs_of(tmp_path / "own.py", "tiff", []) == ({"tiff"}, {"pydicom"})
    there = {"pydicom", "tifffile", "imagecodecs", "pylibjpeg", "pyjpegls"}
    monkeypatch.setattr("kaggle_ray.packing.needs._is_installed", there.__contains__)
    _, others = needs_of(tmp_path / "own.py", "tiff", [])
    assert others == {"pydicom", "imagecodecs", "pylibjpeg", "pyjpegls"}
    assert not others & ASSUMED.keys()
