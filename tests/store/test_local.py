from __future__ import annotations

import errno
import itertools
import multiprocessing
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaggle_ray.errors import StoreError
from kaggle_ray.store.lease import FolderLease
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


def test_a_link_that_was_made_though_it_is_answered_by_exists_is_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def as_on_nfs(source: Path, target: Path) -> None:
        link(source, target)
        raise FileExistsError(errno.EEXIST, "the answer was lost, and the client asked again")

    monkeypatch.setattr(os, "link", as_on_nfs)
    blobs = LocalBlobs(tmp_path)
    assert blobs.put_if_absent("result.json", b"mine")
    assert blobs.get("result.json") == b"mine"
    assert files(tmp_path) == ["result.json"]
    monkeypatch.setattr(os, "link", link)
    assert not blobs.put_if_absent("result.json", b"mine"), "of another writer, though the same"


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
    with pytest.raises(StoreError, match=r"cannot be written.*No space left"), FolderLease(small_disk).held():
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
    with pytest.raises(StoreError, match=r"cannot be written.*--runs"), FolderLease(small_disk / "run").held():
        pass
    blobs.delete("a")
    assert blobs.get("a/kept") == b"kept"


def test_a_file_where_a_folder_should_be_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("in the way")
    with pytest.raises(StoreError, match="a/key"):
        LocalBlobs(tmp_path).put("a/key", b"")


@pytest.mark.parametrize("key", ["../out", "a/../../out", "/tmp/out", "a//b", "", "a/./b", ".tmp/x", "a\0b"])
def test_a_key_never_leaves_the_folder(tmp_path: Path, key: str) -> None:
    (tmp_path / "out").write_bytes(b"precious")
    blobs = LocalBlobs(tmp_path / "run")
    for use in (blobs.get, blobs.path, blobs.delete, blobs.delete_file):
        with pytest.raises(StoreError, match="no name of a file below it"):
            use(key)
    for put in (blobs.put, blobs.put_if_absent):
        with pytest.raises(StoreError, match="no name of a file below it"):
            put(key, b"")
    assert files(tmp_path) == ["out"]


@pytest.mark.parametrize("link", ["trials", "trials/a", ".tmp"])
def test_nothing_is_written_or_removed_through_a_folder_that_is_a_link(tmp_path: Path, link: str) -> None:
    outside, run = tmp_path / "outside", tmp_path / "run"
    (outside / "a/b").mkdir(parents=True)
    (outside / "a/b/key").write_bytes(b"precious")
    (outside / "b").mkdir()
    (outside / "b/key").write_bytes(b"precious")
    (run / link).parent.mkdir(parents=True)
    (run / link).symlink_to(outside)
    before, blobs = files(outside), LocalBlobs(run)
    for put in (blobs.put, blobs.put_if_absent):
        with pytest.raises(StoreError, match="symbolic link"):
            put("trials/a/b/key", b"")
        with pytest.raises(StoreError, match="symbolic link"):
            put("trials/a/new", b"")
    for remove, key in ((blobs.delete, "trials/a/b"), (blobs.delete_file, "trials/a/b/key")):
        with pytest.raises(StoreError, match="symbolic link"):
            remove(key)
    blobs.remove_temporary()
    assert files(outside) == before


def test_a_file_that_is_a_link_is_replaced_and_not_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"precious")
    blobs = LocalBlobs(tmp_path / "run")
    blobs.put("other", b"")
    (tmp_path / "run/report.html").symlink_to(tmp_path / "outside")
    blobs.put("report.html", b"new")
    assert blobs.get("report.html") == b"new"
    assert (tmp_path / "outside").read_bytes() == b"precious"
    (tmp_path / "run/run.json").symlink_to(tmp_path / "absent")
    assert not blobs.put_if_absent("run.json", b"new")
    assert not (tmp_path / "absent").exists()


@pytest.mark.timeout(20)
def test_what_is_no_regular_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "run.json")
    (tmp_path / "device").symlink_to("/dev/zero")
    for key in ("run.json", "device"):
        with pytest.raises(StoreError, match=f"{key}: is no regular file"):
            LocalBlobs(tmp_path).get(key)
