from __future__ import annotations

import multiprocessing
import os
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from kaggle_ray.errors import LeaseError, StoreError
from kaggle_ray.store.lease import HOLDER_FILE, LEASE_FILE, FolderLease
from kaggle_ray.store.opening import open_run

SPAWN = multiprocessing.get_context("spawn")


def hold(run_dir: Path, ready: Connection) -> None:
    with FolderLease(run_dir).held():
        ready.send(os.getpid())
        time.sleep(60)


def test_a_second_driver_is_told_who_holds_the_run_and_a_killed_holders_lease_is_free_at_once(tmp_path: Path) -> None:
    run_dir = tmp_path / "runs" / "toy" / "x"
    listener, ready = SPAWN.Pipe(duplex=False)
    holder = SPAWN.Process(target=hold, args=(run_dir, ready))
    holder.start()
    try:
        assert listener.poll(30)
        pid = listener.recv()
        with pytest.raises(LeaseError, match=rf"process {pid} on .* since .*--run-id"), FolderLease(run_dir).held():
            pass
    finally:
        os.kill(holder.pid or 0, signal.SIGKILL)
        holder.join()
    with FolderLease(run_dir).held():
        assert f'"pid": {os.getpid()}' in (run_dir / HOLDER_FILE).read_text()


def test_a_lease_is_free_after_an_error_inside(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="inside"), FolderLease(tmp_path).held():
        raise RuntimeError("inside")
    with FolderLease(tmp_path).held():
        pass


def test_one_process_cannot_hold_a_run_twice(tmp_path: Path) -> None:
    with (
        FolderLease(tmp_path).held(),
        pytest.raises(LeaseError, match=f"process {os.getpid()} "),
        FolderLease(tmp_path).held(),
    ):
        pass


def test_a_holder_that_has_not_written_its_name_yet_is_no_other_error(tmp_path: Path) -> None:
    with FolderLease(tmp_path).held():
        for text in ("", '{"host": '):
            (tmp_path / HOLDER_FILE).write_text(text)
            with pytest.raises(LeaseError, match="not written its name"), FolderLease(tmp_path).held():
                pass


@pytest.mark.timeout(20)
@pytest.mark.parametrize("file", [HOLDER_FILE, LEASE_FILE])
def test_a_lease_is_not_written_through_a_link_nor_into_what_is_no_file(tmp_path: Path, file: str) -> None:
    outside, run = tmp_path / "outside", tmp_path / "run"
    outside.write_text("precious")
    run.mkdir()
    (run / file).symlink_to(outside)
    with pytest.raises(StoreError), FolderLease(run).held():
        pass
    assert outside.read_text() == "precious"
    (run / file).unlink()
    with FolderLease(run).held():
        pass


@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", ["", "[]", '{"pid": 1}', '{"pid": "a", "host": 1, "since": 2}', "[" * 100_000])
def test_a_lease_whose_holder_wrote_something_else_is_refused_all_the_same(tmp_path: Path, text: str) -> None:
    with FolderLease(tmp_path).held():
        (tmp_path / HOLDER_FILE).write_text(text)
        with pytest.raises(LeaseError, match="it has not written its name yet"), FolderLease(tmp_path).held():
            pass


def test_what_a_run_is_started_anew_over_may_hold_links_whose_targets_stay(tmp_path: Path) -> None:
    outside, run = tmp_path / "outside", tmp_path / "run"
    (outside / "folder").mkdir(parents=True)
    (outside / "folder/file").write_text("precious")
    run.mkdir()
    (run / "trials").symlink_to(outside / "folder")
    (run / "run.json").symlink_to(outside / "folder/file")
    open_run(run).start_anew()
    assert (outside / "folder/file").read_text() == "precious"
    assert {path.name for path in run.iterdir()} <= {LEASE_FILE, HOLDER_FILE}
