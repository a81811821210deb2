from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaggle_ray.errors import StoreError
from kaggle_ray.store.lease import lease
from kaggle_ray.store.local import LocalBlobs
from kaggle_ray.testing.blobs_contract import check_blobs


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "small_disk"
    folder.mkdir()
    if not _mounted("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)):
        pytest.skip("no right to mount a tmpfs of 1 MiB here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=10)


def _mounted(*arguments: str) -> bool:
    try:
        return subprocess.run(["mount", *arguments], capture_output=True, timeout=10).returncode == 0
    except OSError:
        return False


def test_local_blobs_keep_the_contract(tmp_path: Path) -> None:
    numbers = itertools.count()
    check_blobs(lambda: LocalBlobs(tmp_path / str(next(numbers))))


def test_no_temporary_file_remains(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    for _ in range(2):
        blobs.put_if_absent("a/created", b"1")
        blobs.put("a/replaced", b"2")
    assert files(tmp_path) == ["a/created", "a/replaced"]


def test_a_process_killed_in_the_middle_of_a_stream_leaves_nothing_that_is_seen(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    blobs.put("a/kept", b"kept")

    def chunks() -> Iterator[bytes]:
        yield b"x" * 300_000
        os.kill(os.getpid(), signal.SIGKILL)

    for put, key in ((blobs.put_if_absent, "a/new"), (blobs.put, "a/kept")):
        process = multiprocessing.get_context("fork").Process(target=put, args=(key, chunks()))
        process.start()
        process.join(timeout=60)
        assert process.exitcode == -signal.SIGKILL
    assert len(files(tmp_path / ".tmp")) == 2
    assert blobs.list("") == ["a/kept"]
    assert blobs.get("a/kept") == b"kept"
    blobs.remove_temporary()
    assert files(tmp_path) == ["a/kept"]
    assert blobs.put_if_absent("a/new", b"again")


def test_an_error_in_the_middle_of_a_write_leaves_the_old_content_and_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = LocalBlobs(tmp_path)
    blobs.put("key", b"old")

    def refuse(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StoreError, match=r"key: .*Input/output error"):
        blobs.put("key", b"new")
    assert files(tmp_path) == ["key"]
    assert blobs.get("key") == b"old"


def test_a_full_disk_is_named_and_earlier_files_stay_whole(small_disk: Path) -> None:
    blobs = LocalBlobs(small_disk)
    blobs.put("a/kept", b"k" * 400_000)
    for write in (blobs.put, blobs.put_if_absent):
        with pytest.raises(StoreError, match=r"the disk is full.*run the same command again") as error:
            write("a/large", b"x" * 900_000)
        assert "a/large" in str(error.value)
    with pytest.raises(StoreError, match="the disk is full"):
        blobs.put("a/kept", b"x" * 900_000)
    assert files(small_disk) == ["a/kept"]
    assert blobs.get("a/kept") == b"k" * 400_000
    assert blobs.put_if_absent("a/small", b"there is room for this"), "the failed writes took no room"


def test_a_lease_on_a_full_disk_is_an_error_with_a_next_step(small_disk: Path) -> None:
    (small_disk / "filler").write_bytes(b"x" * 1_020_000)
    while True:
        try:
            with (small_disk / "filler").open("ab") as file:
                file.write(b"x" * 1024)
        except OSError:
            break
    with pytest.raises(StoreError, match=r"cannot be written.*No space left"), lease(small_disk):
        pass


def test_a_read_only_file_system_is_named(small_disk: Path) -> None:
    blobs = LocalBlobs(small_disk)
    blobs.put("a/kept", b"kept")
    if not _mounted("-o", "remount,ro", str(small_disk)):
        pytest.skip("no right to remount a tmpfs read-only here")
    for write in (blobs.put, blobs.put_if_absent):
        for key in ("a/kept", "a/new", "new/folder/key"):
            with pytest.raises(StoreError, match=r"the file system is read-only.*--runs"):
                write(key, b"new")
    with pytest.raises(StoreError, match=r"cannot be written.*--runs"), lease(small_disk / "run"):
        pass
    blobs.delete("a")
    assert blobs.get("a/kept") == b"kept"


def test_a_file_where_a_folder_should_be_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("in the way")
    with pytest.raises(StoreError, match="a/key"):
        LocalBlobs(tmp_path).put("a/key", b"")
