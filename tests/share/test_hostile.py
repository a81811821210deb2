"""Whoever shares a run may put there what they like: it is refused by name, and nothing of it is written or run."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from kaggle_ray.errors import CorruptBlobError, KaggleRayError
from kaggle_ray.report.collect import board_of, report_of
from kaggle_ray.report.html import render_report
from kaggle_ray.share.pull import find_shared, pull
from kaggle_ray.share.push import push
from kaggle_ray.store.opening import open_run

Change = Callable[[Any], None]


class Shared:
    """A pushed run, of which any file can be replaced by one that fits its digests, as a sender can."""

    def __init__(self, place: Path, finished: Path) -> None:
        push(open_run(finished), str(place), user="eve")
        self.place = place
        self.corner = place / "eve"
        (self._index_file,) = (self.corner / "runs").rglob("*.json")

    @property
    def index(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self._index_file.read_text())
        return value

    def change_index(self, change: Change) -> None:
        index = self.index
        change(index)
        self._index_file.write_text(json.dumps(index))

    def key(self, ending: str) -> str:
        found: list[str] = sorted((key for key in self.index["files"] if key.endswith(ending)), reverse=True)
        return found[0]

    def read(self, key: str) -> bytes:
        return self.blob(key).read_bytes()

    def blob(self, key: str) -> Path:
        return self.corner / "blobs" / str(self.index["files"][key]["sha256"])

    def put(self, key: str, data: bytes) -> str:
        """Share ``data`` as a file of the run; return its digest."""
        digest = hashlib.sha256(data).hexdigest()
        (self.corner / "blobs" / digest).write_bytes(data)
        file = {"sha256": digest, "num_bytes": len(data)}
        self.change_index(lambda index: index["files"].update({key: file}))
        return digest

    def change_json(self, key: str, change: Change) -> None:
        value = json.loads(self.read(key))
        change(value)
        self.put(key, json.dumps(value).encode())

    def put_in_trial(self, ending: str, data: bytes) -> None:
        """Replace a file of a trial, and its digest in the trial's result."""
        key = self.key(ending)
        folder, _, attempt_file = key.partition("/attempts/")
        digest = self.put(key, data)

        def change(result: Any) -> None:
            result.pop("sha256", None)
            result["blobs"][attempt_file.split("/")[1]] = digest

        self.change_json(f"{folder}/result.json", change)


@pytest.fixture
def shared(finished: Path, tmp_path: Path) -> Shared:
    return Shared(tmp_path / "place", finished)


@pytest.fixture
def pulled(tmp_path: Path) -> Path:
    return tmp_path / "home" / "shared"


def pull_from(shared: Shared, to: Path, *, max_bytes: int = 2**30) -> Path:
    """Pull the one run that is shared; return its folder."""
    ((corner, revision),) = find_shared(str(shared.place))
    return pull(corner, revision.index, to, max_bytes=max_bytes).folder


def check_refused(shared: Shared, pulled: Path, match: str, *, max_bytes: int = 2**30) -> None:
    """Check that a pull is refused before anything is there that a command would take for a run."""
    with pytest.raises(KaggleRayError, match=match):
        pull_from(shared, pulled, max_bytes=max_bytes)
    assert not list(pulled.parent.rglob("run.json"))
    assert {path.name for path in pulled.parent.rglob("*") if path.is_file()}.isdisjoint(WOULD_BE_RUN)


WOULD_BE_RUN = {"toy.py", "competition.py", "authorized_keys", "report.html", "objects.npy"}


@pytest.mark.parametrize(
    "key",
    [
        "../../toy.py", "/etc/cron.d/toy.py", "trials/../../../authorized_keys", "competition.py", "toy.py", ".bashrc",
        "trials/0123456789ab/fold0/attempts/0123456789ab/../../../../toy.py", "report.html", "lease.json",
        "origin.json",
        "trials/not_hex/experiment.json", "trials/0123456789AB/experiment.json", "ensembles/../toy.py",
        "ensembles/greedy/objects.npy", "trials/0123456789ab/fold0/attempts/0123456789ab/model.pkl",
        "submissions/a\nb.csv", "submissions/\\..\\x.csv", "",
    ],
)  # fmt: skip
def test_only_files_that_runs_share_are_taken(key: str, shared: Shared, pulled: Path) -> None:
    shared.put(key, b"anything")
    check_refused(shared, pulled, "expected the name of a file that runs share")


def test_a_digest_that_is_none_is_refused(shared: Shared, pulled: Path) -> None:
    shared.change_index(lambda index: index["files"]["run.json"].update(sha256="../../../../etc/passwd"))
    check_refused(shared, pulled, "sha256: expected 64 hex digits")


def test_a_file_with_another_digest_is_refused(shared: Shared, pulled: Path) -> None:
    shared.change_index(lambda index: index["files"]["folds.csv"].update(sha256=index["files"]["run.json"]["sha256"]))
    check_refused(shared, pulled, "expected")


def test_predictions_that_are_not_those_of_the_result_are_refused(shared: Shared, pulled: Path) -> None:
    shared.put(shared.key("/valid.npy"), shared.read(shared.key("/test.npy")))
    check_refused(shared, pulled, "valid.npy: expected sha256")


def test_a_file_that_is_larger_than_declared_is_not_read_on(shared: Shared, pulled: Path) -> None:
    with shared.blob(shared.key("/test.npy")).open("r+b") as blob:
        blob.truncate(2**40)  # of holes: whoever read it whole would be at it for an hour
    check_refused(shared, pulled, "got more")


def test_a_file_that_declares_more_than_its_kind_may_have_is_refused(shared: Shared, pulled: Path) -> None:
    shared.change_index(lambda index: index["files"]["run.json"].update(num_bytes=2**40))
    check_refused(shared, pulled, "run.json: expected at most 67,108,864 bytes, got 1,099,511,627,776")


def test_a_run_that_is_larger_than_asked_for_is_refused(shared: Shared, pulled: Path) -> None:
    check_refused(shared, pulled, "--max-gib allows more", max_bytes=1000)


class _Script:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch pwned",)


def test_a_pickle_in_an_array_is_refused(
    shared: Shared, pulled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = io.BytesIO()
    np.save(file, np.array([[_Script()]], dtype=object), allow_pickle=True)
    shared.put_in_trial("/valid.npy", file.getvalue())
    check_refused(shared, pulled, "expected rows of float32, float64 or uint8, got object")
    shared.put_in_trial("/valid.npy", pickle.dumps(_Script()))
    check_refused(shared, pulled, "is no .npy file of ours")
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("shape", [(10**9, 10**9), (2**62, 4), (0, 2**70), (-1, 1), (30,)])
def test_an_array_that_declares_other_rows_than_there_are_is_refused(
    shape: tuple[int, ...], shared: Shared, pulled: Path
) -> None:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    shared.put_in_trial("/test.npy", file.getvalue() + b"\0" * 80)
    check_refused(shared, pulled, r"takes .* bytes, and it has|expected rows of float32")


def test_nothing_is_written_through_a_link_in_the_folder_of_pulled_runs(
    shared: Shared, pulled: Path, tmp_path: Path
) -> None:
    index = shared.index
    run = pulled / index["user"] / index["competition"] / index["run_id"]
    run.mkdir(parents=True)
    (tmp_path / "precious").mkdir()
    (run / "trials").symlink_to(tmp_path / "precious")
    check_refused(shared, pulled, "is a symbolic link")
    assert not list((tmp_path / "precious").iterdir())


def test_a_link_in_the_shared_place_gives_nothing_away(shared: Shared, pulled: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("password")
    blob = shared.blob("content.json")
    blob.unlink()
    blob.symlink_to(tmp_path / "secret")
    with pytest.raises(CorruptBlobError) as raised:
        pull_from(shared, pulled)
    assert "password" not in str(raised.value)
    assert not [path for path in pulled.rglob("*") if path.is_file() and b"password" in path.read_bytes()]
    blob.unlink()
    os.mkfifo(blob)
    check_refused(shared, pulled, "is no regular file")


def test_ids_that_are_not_hex_are_refused(shared: Shared, pulled: Path) -> None:
    shared.change_json("run.json", lambda run: run["experiments"][0].update(experiment_id="toy_experiment"))
    check_refused(shared, pulled, "expected ids of 12 hex digits, got 'toy_experiment'")


@pytest.mark.parametrize("user", ["../eve", "..", "/root", "mallory"])
def test_an_index_of_somebody_elses_is_refused(user: str, shared: Shared, pulled: Path) -> None:
    shared.change_index(lambda index: index.update(user=user))
    check_refused(shared, pulled, "expected a name without slashes|is the index of mallory/toy")


@pytest.mark.parametrize("version", [2, 99, None, "3"])
def test_another_version_of_the_schema_is_refused_by_name(version: Any, shared: Shared, pulled: Path) -> None:
    shared.change_index(lambda index: index.update(schema_version=version))
    check_refused(shared, pulled, f"expected schema_version 3, got {version!r}")
    shared.change_index(lambda index: index.update(schema_version=3))
    shared.change_json(shared.key("/ensemble.json"), lambda ensemble: ensemble.update(schema_version=version))
    check_refused(shared, pulled, f"ensemble.json: expected schema_version 3, got {version!r}")


def test_predictions_of_another_fold_plan_are_refused(shared: Shared, pulled: Path) -> None:
    shared.change_index(lambda index: index.update(folds_digest="0123456789ab"))
    check_refused(shared, pulled, "expected toy under fold plan 0123456789ab")
    shared.change_json("run.json", lambda run: run.update(folds_digest="0123456789ab"))
    check_refused(shared, pulled, "expected a model under fold plan 0123456789ab")


def test_a_fold_that_was_dealt_other_rows_is_refused(shared: Shared, pulled: Path) -> None:
    header, *lines = shared.read("folds.csv").decode().splitlines()
    swapped = [f"{line.split(',')[0]},{1 - int(line.split(',')[1])}" for line in lines]
    digest = shared.put("folds.csv", "\n".join([header, *swapped]).encode() + b"\n")
    check_refused(shared, pulled, "the file was changed")
    shared.change_json("run.json", lambda run: run.update(folds_csv_sha256=digest))
    check_refused(shared, pulled, "rows are not predicted")


def test_the_senders_competition_is_not_run(shared: Shared, pulled: Path, tmp_path: Path) -> None:
    from kaggle_ray.pipeline.own_code import competition_of

    trap = tmp_path / "trap.py"
    trap.write_text("raise SystemExit('the code of the sender is run')")
    shared.change_json("run.json", lambda run: run.update(competition_file=str(trap)))
    store = open_run(pull_from(shared, pulled))
    record = store.record()
    assert record is not None
    with pytest.raises(KaggleRayError, match="is not run on the word of a run's record"):
        competition_of(store, record, None, cache_dir=tmp_path / "cache")


def test_a_script_in_a_name_is_shown_letter_by_letter(shared: Shared, pulled: Path) -> None:
    name = "<script>alert(1)</script>\x1b[2J[red]"
    shared.change_json("run.json", lambda run: run["experiments"][0].update(name=name))
    store = open_run(pull_from(shared, pulled))
    assert "<script>alert" not in render_report(report_of(store))
    console = Console(width=400, record=True, file=io.StringIO())
    console.print(board_of(store).table())
    assert r"<script>alert(1)</script>\x1b[2J[red]" in console.export_text()
