"""``kaggle-ray cache``: what there is, and making room."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from kaggle_ray.cache.entries import list_entries
from kaggle_ray.cache.seal import SEAL_FILE, file_stamp, read_seal, write_seal
from kaggle_ray.cli import commands
from kaggle_ray.data.staging import StagedData, stage_data
from kaggle_ray.images.cache import open_images


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KAGGLE_RAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "cache"


def stage(cache: Path, name: str, num_mib: int) -> StagedData:
    shared = cache.parent / name
    shared.mkdir()
    (shared / "large.bin").write_bytes(bytes(num_mib * 2**20))
    return stage_data(shared.as_uri(), cache_dir=cache)


def decode(cache: Path) -> None:
    path = cache.parent / "1.png"
    cv2.imwrite(str(path), np.zeros((8, 8, 3), dtype=np.uint8))
    open_images([path], height=8, width=6, cache_dir=cache)


def called(*arguments: str) -> list[str]:
    done = CliRunner().invoke(commands, ["cache", *arguments], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output.splitlines()


def row_of(lines: list[str], name: str) -> str:
    (row,) = [line for line in lines if name in line]
    return row


def test_copies_and_decoded_images_are_rows_of_their_own(cache: Path) -> None:
    used = stage(cache, "used", 2)
    stage(cache, "unused", 1)
    decode(cache)
    lines = called()
    assert f"{cache}: 3 MiB of at most" in "".join(lines)
    used_row, unused_row = row_of(lines, (cache.parent / "used").as_uri()), row_of(lines, "/unused")
    assert [word in used_row for word in ("files", " 1 ", "2.0", "in use")] == [True] * 4
    assert "in use" not in unused_row
    assert "8 x 6" in row_of(lines, " image ")
    assert used.held is not None


def test_what_is_half_done_is_said_to_be(cache: Path) -> None:
    stage(cache, "a", 1)
    next(cache.glob("data/*/manifest.json")).unlink()
    assert "half done" in row_of(called(), "/a")


def test_keep_removes_the_least_recently_used_and_clear_all_that_is_unused(cache: Path) -> None:
    used = stage(cache, "used", 2)
    stage(cache, "unused", 1)
    decode(cache)
    assert called("--keep", str(2.5 / 1024))[0] == "removed 1 entry, 1 MiB"
    assert called("--clear")[0] == "removed 1 entry, 0 MiB"
    assert [entry.description.source for entry in list_entries(cache)] == [(cache.parent / "used").as_uri()]
    assert used.held is not None
    used.held.close()
    called("--clear")
    assert not list_entries(cache)


def test_no_cache_is_an_empty_one(cache: Path) -> None:
    assert called("--clear")[0] == "removed 0 entries, 0 MiB"
    assert not cache.exists()


def test_verify_finds_a_bit_that_has_flipped_on_the_disk_with_no_write(cache: Path) -> None:
    decode(cache)
    assert called("--verify")[0] == "read 1 entry, 0 MiB"
    (file,) = cache.glob("images/*/pixels.npy")
    seal = read_seal(file.with_name(SEAL_FILE))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert seal is not None
    write_seal(file.with_name(SEAL_FILE), replace(seal, stamp=file_stamp(file.stat())))  # as if nothing had written
    path = cache.parent / "1.png"
    assert open_images([path], height=8, width=6, cache_dir=cache).num_built == 0, "it is not seen"
    assert called("--verify")[1].startswith(f"image of {cache.parent}: is not what was sealed")
    assert open_images([path], height=8, width=6, cache_dir=cache).num_built == 1
    assert called("--verify")[0] == "read 1 entry, 0 MiB"
