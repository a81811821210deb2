from __future__ import annotations

import hashlib
from pathlib import Path
from unittest.mock import patch

import pytest

from kaggle_ray.images.fingerprints import content_digests


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    return tmp_path / "files"


def written(folder: Path, number: int) -> list[Path]:
    paths = [folder / f"{n}.bin" for n in range(number)]
    for path in paths:
        path.write_bytes(path.name.encode())
    return paths


def test_more_files_than_one_question_names_are_all_remembered(tmp_path: Path, folder: Path) -> None:
    paths = written(folder, 1201)
    digests = content_digests(paths, tmp_path)
    assert digests == [hashlib.sha256(path.name.encode()).hexdigest() for path in paths]
    with patch("kaggle_ray.images.fingerprints.read_content", side_effect=AssertionError("read again")):
        assert content_digests(paths[::-1], tmp_path) == digests[::-1]


def test_links_to_files_and_to_folders_are_known_by_what_they_lead_to(tmp_path: Path, folder: Path) -> None:
    (path,) = written(folder, 1)
    (tmp_path / "file").symlink_to(path)
    (tmp_path / "folder").symlink_to(folder)
    digests = content_digests([path], tmp_path)
    with patch("kaggle_ray.images.fingerprints.read_content", side_effect=AssertionError("read again")):
        assert content_digests([tmp_path / "file", tmp_path / "folder" / path.name], tmp_path) == digests * 2


def test_a_link_is_not_taken_for_what_it_led_to_before(tmp_path: Path, folder: Path) -> None:
    first, second = written(folder, 2)
    (tmp_path / "file").symlink_to(first)
    before = content_digests([tmp_path / "file"], tmp_path)
    (tmp_path / "file").unlink()
    (tmp_path / "file").symlink_to(second)
    assert content_digests([tmp_path / "file"], tmp_path) != before
