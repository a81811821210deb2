from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from kaggle_ray.data.image_files import join_images, list_images
from kaggle_ray.data.label_encoding import encode_labels, encode_tags
from kaggle_ray.errors import DataError


def test_names_with_accents_are_found_whether_these_are_letters_of_their_own_or_not(tmp_path: Path) -> None:
    composed, apart = unicodedata.normalize("NFC", "h\u00f6he"), unicodedata.normalize("NFD", "h\u00f6he")
    (tmp_path / f"{apart}.png").touch()
    for written in (composed, apart):
        (found,) = join_images([written], tmp_path, table=Path("train.csv"))
        assert found.exists()
        assert encode_labels([written], (composed,), ids=["a"], where="train.csv").tolist() == [0]
        assert encode_tags([written], (apart,), ids=["a"], where="train.csv").tolist() == [[1]]


def test_the_files_that_macos_puts_beside_images_are_no_images(tmp_path: Path) -> None:
    for name in ("a.png", "._a.png", ".hidden.jpg"):
        (tmp_path / name).touch()
    assert [path.name for path in list_images(tmp_path).values()] == ["a.png"]


def test_files_of_a_reader_are_joined_by_the_endings_that_they_have(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "b.NII.GZ", "notes.txt"):
        (tmp_path / name).touch()
    joined = join_images(["b", "a.nii.gz"], tmp_path, table=Path("train.csv"), suffixes=(".nii", ".nii.gz"))
    assert [path.name for path in joined] == ["b.NII.GZ", "a.nii.gz"]
    with pytest.raises(
        DataError, match=r"2 ids have no image .* end in \.nii\.gz, \.txt, .* suffixes=\('\.nii\.gz',\)"
    ):
        join_images(["a", "b"], tmp_path, table=Path("train.csv"))
