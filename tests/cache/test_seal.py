from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from kaggle_ray.cache import seal as module
from kaggle_ray.cache.seal import read_seal, seal_of, unbroken, write_seal


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "derived.bin"
    path.write_bytes(bytes(range(256)) * 40)
    return path


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK_BYTES", 1000)


def test_the_seal_of_a_file_that_is_as_it_was_holds_without_its_being_read(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal = seal_of(file)
    monkeypatch.setattr(module, "_digest_of", lambda path: pytest.fail("it is read"))
    assert unbroken(file, seal) is seal


@pytest.mark.parametrize("place", [0, 999, 1000, 5000, 10_239])
def test_a_flipped_bit_breaks_the_seal_though_length_and_time_are_as_before(file: Path, place: int) -> None:
    seal, status = seal_of(file), file.stat()
    with file.open("r+b") as opened:
        opened.seek(place)
        byte = opened.read(1)[0]
        opened.seek(place)
        opened.write(bytes([byte ^ 1]))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert unbroken(file, seal) is None


def test_zeros_a_lost_end_other_order_and_no_file_break_the_seal(file: Path) -> None:
    content, seal = file.read_bytes(), seal_of(file)
    for damaged in (bytes(len(content)), content[:-1], content[1000:2000] + content[:1000] + content[2000:], b""):
        file.write_bytes(damaged)
        assert unbroken(file, seal) is None
    file.unlink()
    assert unbroken(file, seal) is None


def test_a_file_that_was_touched_or_copied_with_its_seal_is_read_once_and_has_a_new_stamp(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal, copy = seal_of(file), tmp_path / "copy.bin"
    shutil.copyfile(file, copy)
    restamped = unbroken(copy, seal)
    assert restamped is not None
    assert (restamped.digest, restamped.stamp != seal.stamp) == (seal.digest, True)
    monkeypatch.setattr(module, "_digest_of", lambda path: pytest.fail("it is read again"))
    assert unbroken(copy, restamped) == restamped


def test_a_seal_is_read_as_it_was_written_and_what_is_none_is_no_seal(file: Path, tmp_path: Path) -> None:
    written, seal = tmp_path / "seal.json", seal_of(file)
    assert read_seal(written) is None
    write_seal(written, seal)
    assert read_seal(written) == seal
    assert sorted(path.name for path in tmp_path.iterdir()) == ["derived.bin", "seal.json"]
    for text in ("", "{", "[]", '{"digest": "a"}', '{"digest": "a", "stamp": [1, 2]}'):
        written.write_text(text)
        assert read_seal(written) is None


def test_an_empty_file_has_a_seal_too(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert unbroken(tmp_path / "empty", seal_of(tmp_path / "empty"))
