from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import pytest

from kaggle_ray.images.fingerprints import content_digests, forget

DAY_S = 86_400


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path in paths:
        path.write_bytes(path.name.encode())
    return paths


def known(folder: Path) -> dict[str, int]:
    """Return the names of the files that are known, and when they were last asked for."""
    with closing(sqlite3.connect(folder / "fingerprints.sqlite")) as connection:
        return {Path(path).name: used for path, used in connection.execute("SELECT path, used FROM files")}


def asked_on(day: int, paths: list[Path], folder: Path) -> list[str]:
    with patch("time.time", return_value=float(1_000_000 + day * DAY_S)):
        return content_digests(paths, folder)


def test_what_nobody_asked_for_in_ninety_days_is_forgotten(paths: list[Path], tmp_path: Path) -> None:
    first = asked_on(0, paths, tmp_path)
    asked_on(60, paths[:1], tmp_path)
    asked_on(100, paths[1:2], tmp_path)
    assert known(tmp_path).keys() == {"0.png", "1.png"}
    assert asked_on(101, paths, tmp_path) == first


def test_the_use_of_what_is_known_is_noted_once_a_day(paths: list[Path], tmp_path: Path) -> None:
    asked_on(0, paths, tmp_path)
    before = known(tmp_path)
    with patch("kaggle_ray.images.fingerprints.read_content", side_effect=AssertionError("read again")):
        asked_on(1, paths, tmp_path)
        assert known(tmp_path) == before
        asked_on(2, paths, tmp_path)
    assert all(used == before[name] + 2 * DAY_S for name, used in known(tmp_path).items())


def test_all_can_be_forgotten(paths: list[Path], tmp_path: Path) -> None:
    forget(tmp_path / "nowhere")
    first = content_digests(paths, tmp_path)
    forget(tmp_path)
    assert known(tmp_path) == {}
    assert content_digests(paths, tmp_path) == first


def test_a_file_that_was_written_over_is_read_again_though_size_and_time_are_as_before(
    paths: list[Path], tmp_path: Path
) -> None:
    first, status = content_digests(paths, tmp_path), paths[0].stat()
    paths[0].write_bytes(b"9.png")
    os.utime(paths[0], ns=(status.st_atime_ns, status.st_mtime_ns))
    assert content_digests(paths[1:], tmp_path) == first[1:]
    assert content_digests(paths, tmp_path) != first


def test_a_file_that_took_the_place_of_another_is_read_again_though_its_time_is_the_same(
    paths: list[Path], tmp_path: Path
) -> None:
    status = paths[0].stat()
    other = tmp_path / "other"
    other.write_bytes(b"9.png")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    first = content_digests(paths, tmp_path)
    other.rename(paths[0])
    assert content_digests(paths, tmp_path) != first


def test_what_an_earlier_version_knew_of_files_is_forgotten(paths: list[Path], tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "fingerprints.sqlite")) as connection, connection:
        connection.execute(
            "CREATE TABLE contents (path TEXT PRIMARY KEY, size INT, changed INT, digest TEXT, used INT)"
        )
    assert len(content_digests(paths, tmp_path)) == 3
    with closing(sqlite3.connect(tmp_path / "fingerprints.sqlite")) as connection:
        tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    assert tables == [("files",), ("facts",)]


@pytest.mark.parametrize(
    "damage", [lambda data: bytes(len(data)), lambda data: data[: len(data) // 2], lambda _: b"no"]
)
def test_what_was_damaged_is_made_anew(
    paths: list[Path], tmp_path: Path, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    before = content_digests(paths, tmp_path)
    database = tmp_path / "fingerprints.sqlite"
    database.write_bytes(damage(database.read_bytes()))
    assert content_digests(paths, tmp_path) == before
    assert "fingerprints.sqlite: " in caplog.text
    assert known(tmp_path).keys() == {path.name for path in paths}
