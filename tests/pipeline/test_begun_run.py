"""A run that was begun goes on only as the run that it was; nothing that it committed is lost."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kaggle_ray.errors import (
    CorruptBlobError,
    FoldsError,
    LeaseError,
    RunMismatchError,
    SchemaVersionError,
    StoreError,
)
from kaggle_ray.pipeline.driver import execute
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.store.lease import FolderLease
from kaggle_ray.store.schema import SCHEMA_VERSION
from kaggle_ray.testing.toy import TINY, TOY_FILE, write_files
from kaggle_ray.types import JsonValue

QUICK: dict[str, JsonValue] = {**TINY, "epochs": 1}


def options(runs: Path, data: Path, **others: Any) -> RunOptions:
    chosen: dict[str, Any] = {"experiments": [QUICK], "competition": TOY_FILE, "device": "cpu", **others}
    return RunOptions(launcher="local", data=data, runs=runs, threads=1, **chosen)


def run(runs: Path, data: Path, **others: Any) -> RunResult:
    return execute(options(runs, data, **others))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The toy's files, to be spoilt."""
    folder = tmp_path / "data"
    write_files(folder)
    return folder


def committed(runs: Path) -> dict[str, str]:
    """Return path -> sha256 of everything that trials have committed below ``runs``."""
    return {
        str(path.relative_to(runs)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(runs.glob("*/*/trials/**/*"))
        if path.is_file()
    }


def name_digest_of_folds(run_dir: Path) -> None:
    """Let run.json name the fold plan that is there, as if that were the run's."""
    record = json.loads((run_dir / "run.json").read_text())
    digest = hashlib.sha256((run_dir / "folds.csv").read_bytes()).hexdigest()
    (run_dir / "run.json").write_text(json.dumps({**record, "folds_csv_sha256": digest}))


def edit(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")


@pytest.fixture
def begun(tmp_path: Path, data: Path) -> Iterator[Path]:
    """The folder of a complete run named mine, whose commits have to survive whatever the test does."""
    run_dir = run(tmp_path / "runs", data, run_id="mine").run_dir
    before = committed(tmp_path / "runs")
    yield run_dir
    after = committed(tmp_path / "runs")
    assert before
    assert before.items() <= after.items()


def test_a_run_of_another_schema_version_is_refused_by_name(tmp_path: Path, data: Path, begun: Path) -> None:
    record = json.loads((begun / "run.json").read_text())
    (begun / "run.json").write_text(json.dumps({**record, "schema_version": 1}))
    with pytest.raises(
        SchemaVersionError, match=rf"run\.json: expected schema_version {SCHEMA_VERSION}, got 1\..*--run-id"
    ):
        run(tmp_path / "runs", data, run_id="mine")


def test_a_damaged_run_file_is_named(tmp_path: Path, data: Path, begun: Path) -> None:
    (begun / "run.json").write_text(f'{{"schema_version": {SCHEMA_VERSION}, "compet')
    with pytest.raises(StoreError, match=r"run\.json: is not JSON"):
        run(tmp_path / "runs", data, run_id="mine")


def test_an_edited_fold_plan_is_refused(tmp_path: Path, data: Path, begun: Path) -> None:
    edit(begun / "folds.csv", lambda lines: [lines[0], *(f"{line[:-1]}{1 - int(line[-1])}" for line in lines[1:])])
    with pytest.raises(CorruptBlobError, match=r"folds\.csv: expected the sha256 .*: the file was changed"):
        run(tmp_path / "runs", data, run_id="mine")
    name_digest_of_folds(begun)
    with pytest.raises(FoldsError, match=r"folds\.csv: since the run was started something has changed"):
        run(tmp_path / "runs", data, run_id="mine")


def test_a_damaged_fold_plan_is_refused(tmp_path: Path, data: Path, begun: Path) -> None:
    (begun / "folds.csv").write_text("id;fold\n")
    with pytest.raises(CorruptBlobError, match=r"folds\.csv: expected the sha256 .*: the file was changed"):
        run(tmp_path / "runs", data, run_id="mine")
    name_digest_of_folds(begun)
    with pytest.raises(FoldsError, match=r"folds\.csv is damaged"):
        run(tmp_path / "runs", data, run_id="mine")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda lines: [*lines[:-1], lines[-1].replace("bright", "dark")], id="label"),
        pytest.param(lambda lines: lines[:-1], id="row"),
    ],
)
def test_changed_training_data_is_refused_in_a_run_and_a_new_run_elsewhere(
    tmp_path: Path, data: Path, begun: Path, change: Callable[[list[str]], list[str]]
) -> None:
    edit(data / "train.csv", change)
    if len((data / "train.csv").read_text().splitlines()) < 61:
        (data / "train/a059.png").unlink()
    with pytest.raises(FoldsError, match=r"since the run was started something has changed in .*--run-id"):
        run(tmp_path / "runs", data, run_id="mine")
    assert run(tmp_path / "runs", data).run_dir != begun


@pytest.mark.parametrize(
    ("change", "culprit"),
    [
        ({"experiments": [{**QUICK, "lr": 0.5}]}, "hyperparameters lr"),
        ({"dtype": "bfloat16"}, "settings dtype"),
        ({"competition": "renamed"}, None),
    ],
)
def test_other_experiments_or_settings_are_refused_in_a_run(
    tmp_path: Path, data: Path, begun: Path, change: dict[str, JsonValue], culprit: str | None
) -> None:
    record = json.loads((begun / "run.json").read_text())
    if culprit is None:
        file = tmp_path / "more_folds.py"
        file.write_text(
            "import dataclasses\nfrom kaggle_ray.testing import toy\nfrom kaggle_ray import FoldScheme\n"
            "COMPETITION = dataclasses.replace(toy.COMPETITION, folds=FoldScheme(num_folds=3))\n"
        )
        with pytest.raises(FoldsError, match=r"the fold scheme"):
            run(tmp_path / "runs", data, run_id="mine", competition=file)
        return
    if record["settings"]["dtype"] == change.get("dtype"):
        change = {"dtype": "float32"}
    with pytest.raises(RunMismatchError, match=rf"mine: was started with other {culprit}\. {culprit}: expected .* got"):
        run(tmp_path / "runs", data, run_id="mine", **change)


def test_other_settings_without_a_name_are_another_run(tmp_path: Path, data: Path) -> None:
    bits32 = run(tmp_path / "runs", data, dtype="float32")
    assert run(tmp_path / "runs", data, dtype="bfloat16").run_dir != bits32.run_dir


def test_a_second_driver_on_a_run_is_refused_with_the_first_one_named(tmp_path: Path, data: Path, begun: Path) -> None:
    with (
        FolderLease(begun).held(),
        pytest.raises(LeaseError, match=rf"mine: another driver .*process {os.getpid()} on .*--run-id"),
    ):
        run(tmp_path / "runs", data, run_id="mine")
    assert run(tmp_path / "runs", data, run_id="mine").num_epochs_trained == 0
