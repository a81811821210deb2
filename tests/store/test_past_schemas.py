"""What earlier versions wrote is refused by name, with the next step: their ids do not say what was computed."""

from __future__ import annotations

from pathlib import Path

import pytest

from kaggle_ray.errors import SchemaVersionError
from kaggle_ray.pipeline.driver import execute
from kaggle_ray.pipeline.inference import predict_new
from kaggle_ray.pipeline.options import PredictOptions, RunOptions
from kaggle_ray.report.run_list import listed_runs, runs_table
from kaggle_ray.store.opening import open_run
from kaggle_ray.store.schema import SCHEMA_VERSION, decode
from kaggle_ray.testing.past_runs import PAST_SCHEMA_VERSIONS, copy_past_run
from kaggle_ray.testing.toy import TOY_FILE
from kaggle_ray.types import Trial

of_each_version = pytest.mark.parametrize("version", PAST_SCHEMA_VERSIONS)


def test_there_is_a_run_of_each_past_version_of_the_schema() -> None:
    assert tuple(range(1, SCHEMA_VERSION)) == PAST_SCHEMA_VERSIONS


@of_each_version
def test_every_file_of_a_past_version_is_refused_by_name(tmp_path: Path, version: int) -> None:
    files = sorted(copy_past_run(version, tmp_path).rglob("*.json"))
    assert {file.name for file in files} >= {"run.json", "experiment.json", "result.json", "manifest.json"}
    for file in files:
        with pytest.raises(SchemaVersionError) as error:
            decode(file.read_bytes(), where=str(file))
        assert str(error.value).startswith(f"{file}: expected schema_version {SCHEMA_VERSION}, got {version}. ")
        assert str(error.value).endswith("or start another run with --run-id.")


@of_each_version
def test_a_run_of_a_past_version_is_neither_read_nor_taken_for_one_that_was_not_begun(
    tmp_path: Path, version: int
) -> None:
    run_dir = copy_past_run(version, tmp_path)
    store = open_run(run_dir)
    (experiment_dir,) = (run_dir / "trials").iterdir()
    for ask in (
        store.record,
        store.experiments,
        lambda: store.result(Trial(experiment_id=experiment_dir.name, fold=0)),
    ):
        with pytest.raises(SchemaVersionError, match=f"got {version}"):
            ask()


@of_each_version
def test_a_run_of_a_past_version_is_not_resumed_nor_predicted_with_and_stays_as_it_is(
    tmp_path: Path, version: int
) -> None:
    run_dir = copy_past_run(version, tmp_path)
    before = {file: file.read_bytes() for file in run_dir.rglob("*") if file.is_file()}
    with pytest.raises(SchemaVersionError, match=r"run.json: expected schema_version"):
        execute(
            RunOptions(competition=TOY_FILE, data=tmp_path / "data", runs=tmp_path, run_id="past", launcher="local")
        )
    with pytest.raises(SchemaVersionError, match=r"run.json: expected schema_version"):
        predict_new(PredictOptions(run_dir, data=tmp_path / "data", out=tmp_path / "out.csv"))
    assert {file: file.read_bytes() for file in run_dir.rglob("*") if file.is_file()} == before


@of_each_version
def test_the_list_of_runs_says_why_a_past_one_cannot_be_read(tmp_path: Path, version: int) -> None:
    copy_past_run(version, tmp_path)
    table = runs_table(listed_runs(tmp_path), title="Runs")
    assert f"expected schema_version {SCHEMA_VERSION}, got {version}" in str(table.caption)
