from __future__ import annotations

import dataclasses
import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from kaggle_ray.config.settings import Settings
from kaggle_ray.errors import CorruptBlobError, JsonShapeError, RunMismatchError, SchemaVersionError
from kaggle_ray.store.opening import list_runs, open_run
from kaggle_ray.store.record import RunIdentity
from kaggle_ray.store.run import RunStore
from kaggle_ray.store.schema import (
    decode,
    encode,
    lineage_to_json,
)
from kaggle_ray.testing.attempts import put_predictions
from kaggle_ray.types import Experiment, FloatArray, JsonValue, Lineage, Predictions, Trial, TrialResult

TRIAL = Trial(experiment_id="0123456789ab", fold=1)
LINEAGE = Lineage(folds_digest="f" * 12, trained_rows=np.array([True, False, True]), weights_digest="w" * 64)
IDENTITY = RunIdentity(
    competition="toy",
    experiments=(Experiment(experiment_id="0123456789ab", name="a", hyperparameters={"lr": 0.1}),),
    folds_digest="f" * 12,
    settings=Settings(device="cpu", threads_per_trial=1, dtype="float32"),
    content={"folds": "f" * 12},
)
FACTS: dict[str, JsonValue] = {
    "run_id": "x",
    "classes": ["cat", "dog"],
    "classes_of_heads": {"target": ["cat", "dog"]},
    "table_columns": None,
    "metric": "log_loss",
    "greater_is_better": False,
    "num_folds": 2,
    "competition_file": "toy.py",
    "data": "data/toy",
    "fast_dev": False,
    "command": "first",
    "code": {"commit": None, "diff": None},
    "python": "3.11.0",
    "packages": {"numpy": "2.0"},
    "hardware": {"processor": "a", "num_cpus": 2, "memory_gib": 8, "system": "Linux"},
}


def predictions(first: float) -> tuple[Predictions, Predictions]:
    valid = Predictions(
        sample_ids=np.array(["a", "b"]), values=np.array([[first], [0.25]], dtype=np.float32), lineage=LINEAGE
    )
    return valid, dataclasses.replace(valid, sample_ids=np.array(["t", "u"]))


def committed(store: RunStore, first: float, trial: Trial = TRIAL) -> TrialResult:
    attempt = store.attempt(trial)
    put_predictions(attempt, *predictions(first))
    return attempt.commit(TrialResult(trial=trial, status="committed", attempt_id="", score=first))


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def attempt_files(attempt_id: str) -> list[str]:
    return [f"attempts/{attempt_id}/{name}" for name in ("manifest.json", "test.npy", "valid.npy")]


def test_committed_predictions_are_read_back_with_their_lineage(tmp_path: Path) -> None:
    store = open_run(tmp_path)
    committed(store, 0.5)
    result = store.result(TRIAL)
    assert result is not None
    for read, written in zip(store.predictions(result), predictions(0.5), strict=True):
        assert read.sample_ids.tolist() == written.sample_ids.tolist()
        assert read.values.dtype == np.float32
        assert read.values.tobytes() == written.values.tobytes()
        assert read.lineage is not None
        assert lineage_to_json(read.lineage) == lineage_to_json(LINEAGE)


def test_nothing_is_committed_before_the_commit(tmp_path: Path) -> None:
    store = open_run(tmp_path)
    put_predictions(store.attempt(TRIAL), *predictions(0.5))
    assert store.result(TRIAL) is None


def test_of_two_attempts_the_loser_takes_the_winners_result_and_removes_its_own_files(tmp_path: Path) -> None:
    store = open_run(tmp_path)
    first, second = store.attempt(TRIAL), store.attempt(TRIAL)
    for attempt, value in ((first, 0.5), (second, 0.75)):
        put_predictions(attempt, *predictions(value))
    won = second.commit(TrialResult(trial=TRIAL, status="committed", attempt_id="", score=0.75))
    lost = first.commit(TrialResult(trial=TRIAL, status="committed", attempt_id="", score=0.5))
    assert won == lost == store.result(TRIAL)
    assert won.attempt_id == second.attempt_id
    assert store.predictions(lost)[0].values[0, 0] == 0.75
    assert files(tmp_path / "trials" / str(TRIAL)) == [*attempt_files(second.attempt_id), "result.json"]


def test_of_many_attempts_at_once_all_take_the_same_result(tmp_path: Path) -> None:
    store = open_run(tmp_path)
    start = threading.Barrier(8)

    def attempt(number: int) -> TrialResult:
        start.wait()
        return committed(store, number / 8)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(attempt, range(8)))
    assert {result.attempt_id for result in results} == {results[0].attempt_id}
    assert store.predictions(results[0])[0].values[0, 0] == results[0].score
    assert files(tmp_path / "trials" / str(TRIAL)) == [*attempt_files(results[0].attempt_id), "result.json"]


def test_a_failure_that_was_committed_stands_against_a_later_attempt(tmp_path: Path) -> None:
    store = open_run(tmp_path)
    failed = store.attempt(TRIAL).commit(TrialResult(trial=TRIAL, status="failed", attempt_id="", error="NaN"))
    assert committed(store, 0.5) == failed == store.result(TRIAL)


def test_sweep_removes_the_losers_files_only(tmp_path: Path) -> None:
    store = open_run(tmp_path)
    other = Trial(experiment_id=TRIAL.experiment_id, fold=10)
    put_predictions(store.attempt(TRIAL), *predictions(0.1))
    put_predictions(store.attempt(other), *predictions(0.1))
    result = committed(store, 0.5)
    before = files(tmp_path / "trials" / str(other))
    store.remove_losing_attempts(result)
    assert files(tmp_path / "trials" / str(TRIAL)) == [*attempt_files(result.attempt_id), "result.json"]
    assert files(tmp_path / "trials" / str(other)) == before
    store.remove_losing_attempts(result)
    assert store.predictions(result)


@pytest.mark.parametrize("name", ["valid.npy", "test.npy", "manifest.json"])
@pytest.mark.parametrize("damage", ["a flipped byte", "truncated", "empty", "gone", "another trial's"])
def test_a_damaged_file_is_named_with_the_way_out(tmp_path: Path, name: str, damage: str) -> None:
    store = open_run(tmp_path)
    result = committed(store, 0.5)
    path = tmp_path / "trials" / str(TRIAL) / "attempts" / result.attempt_id / name
    data = path.read_bytes()
    if damage == "a flipped byte":
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif damage == "truncated":
        path.write_bytes(data[:-1])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "gone":
        path.unlink()
    else:
        other = committed(store, 0.75, Trial(experiment_id=TRIAL.experiment_id, fold=2))
        path.write_bytes((tmp_path / "trials" / str(other.trial) / "attempts" / other.attempt_id / name).read_bytes())
        if name != "valid.npy":
            path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(CorruptBlobError, match=f"{result.attempt_id}/{name}: expected sha256.*again: the trial is"):
        store.predictions(result)
    with pytest.raises(CorruptBlobError, match=f"{result.attempt_id}/{name}: expected sha256"):
        store.check(result)


def test_what_is_as_it_was_committed_passes_the_check_and_weights_may_be_gone(tmp_path: Path) -> None:
    store = open_run(tmp_path)
    attempt = store.attempt(TRIAL)
    attempt.put("weights.safetensors", b"weights")
    attempt.put("epoch1/weights.safetensors", b"earlier weights")
    put_predictions(attempt, *predictions(0.5))
    result = attempt.commit(TrialResult(trial=TRIAL, status="committed", attempt_id=""))
    store.check(result)
    store.remove_weights(result, keep=[None])
    store.check(result)
    (tmp_path / "trials" / str(TRIAL) / "attempts" / result.attempt_id / "weights.safetensors").write_bytes(b"weighty")
    with pytest.raises(CorruptBlobError, match=r"weights\.safetensors: expected sha256"):
        store.check(result)


@pytest.mark.parametrize(
    "other", [Trial(experiment_id=TRIAL.experiment_id, fold=2), Trial(experiment_id="ba9876543210", fold=TRIAL.fold)]
)
def test_what_another_trial_committed_is_not_taken_for_a_trials_own(tmp_path: Path, other: Trial) -> None:
    store, folder = open_run(tmp_path), tmp_path / "trials" / str(TRIAL)
    committed(store, 0.75, other)
    shutil.copytree(tmp_path / "trials" / str(other), folder)
    with pytest.raises(CorruptBlobError, match=rf"{TRIAL}/result\.json: is the result of trial {other}\..* again"):
        store.result(TRIAL)
    copied = json.loads((folder / "result.json").read_text())
    trial = dataclasses.asdict(TRIAL)
    del copied["sha256"]
    (folder / "result.json").write_text(json.dumps({**copied, "trial": trial}))
    result = store.result(TRIAL)
    assert result is not None
    for read in (store.predictions, store.lineage, store.scored_ids, store.check):
        with pytest.raises(CorruptBlobError, match=rf"manifest\.json: expected trial {TRIAL}, got {other}"):
            read(result)


def test_a_digit_that_has_flipped_in_a_result_is_seen(tmp_path: Path) -> None:
    committed(open_run(tmp_path), 0.25)
    file = next(tmp_path.rglob("result.json"))
    good = file.read_text()
    assert '"score": 0.25' in good
    file.write_text(good.replace('"score": 0.25', '"score": 0.26'))
    message = r"result\.json: expected sha256 [0-9a-f]{64}, got [0-9a-f]{64} of what it says\. Run the command"
    with pytest.raises(CorruptBlobError, match=message):
        open_run(tmp_path).result(TRIAL)
    with pytest.raises(CorruptBlobError, match="sha256"):
        committed(open_run(tmp_path), 0.5)
    file.write_text(good)
    result = open_run(tmp_path).result(TRIAL)
    assert result is not None
    assert result.score == 0.25
    without = json.loads(good)
    del without["sha256"]  # as earlier versions wrote it
    file.write_text(json.dumps(without))
    assert open_run(tmp_path).result(TRIAL) == result


def test_the_manifest_of_before_it_named_its_trial_is_read(tmp_path: Path) -> None:
    store = open_run(tmp_path)
    attempt = store.attempt(TRIAL)
    attempt.put("manifest.json", encode({"valid_ids": ["a"], "test_ids": [], "lineage": lineage_to_json(LINEAGE)}))
    result = attempt.commit(TrialResult(trial=TRIAL, status="committed", attempt_id=""))
    assert store.scored_ids(result).tolist() == ["a"]


def test_a_trial_that_was_removed_can_be_committed_again(tmp_path: Path) -> None:
    store = open_run(tmp_path)
    result = committed(store, 0.5)
    store.remove(TRIAL)
    assert store.result(TRIAL) is None
    again = committed(store, 0.5)
    assert again.attempt_id != result.attempt_id
    assert store.predictions(again)


def test_an_array_of_objects_is_refused_although_its_digest_is_right(tmp_path: Path) -> None:
    store = open_run(tmp_path)
    attempt = store.attempt(TRIAL)
    np.save(tmp_path / "objects.npy", np.array([{"code": "runs here"}], dtype=object), allow_pickle=True)
    for name in ("valid.npy", "test.npy"):
        attempt.put(name, (tmp_path / "objects.npy").read_bytes())
    manifest: dict[str, JsonValue] = {"valid_ids": ["a"], "test_ids": ["t"], "lineage": lineage_to_json(LINEAGE)}
    attempt.put("manifest.json", encode(manifest))
    result = attempt.commit(TrialResult(trial=TRIAL, status="committed", attempt_id=""))
    with pytest.raises(CorruptBlobError, match=r"valid\.npy"):
        store.predictions(result)


@pytest.mark.parametrize("version", [0, 1, "2", None])
@pytest.mark.parametrize("file", ["run.json", "result.json", "manifest.json"])
def test_an_unknown_schema_version_is_refused_by_name(tmp_path: Path, file: str, version: JsonValue) -> None:
    store = open_run(tmp_path)
    store.begin(IDENTITY, FACTS)
    result = committed(store, 0.5)
    data = encode({**json.loads(next(tmp_path.rglob(file)).read_bytes()), "schema_version": version})
    if file == "manifest.json":
        attempt = store.attempt(dataclasses.replace(TRIAL, fold=0))
        attempt.put(file, data)
        result = attempt.commit(TrialResult(trial=attempt.trial, status="committed", attempt_id=""))
    else:
        next(tmp_path.rglob(file)).write_bytes(data)
    with pytest.raises(SchemaVersionError, match=rf"{file}: expected schema_version 3, got {version!r}"):
        store.record() if file == "run.json" else store.predictions(store.result(result.trial) or result)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b'{"schema_version": 1, "a"'])
def test_a_text_that_is_not_json_is_named(text: bytes) -> None:
    with pytest.raises(CorruptBlobError, match=r"folder/run\.json: is not JSON"):
        decode(text, where="folder/run.json")


@pytest.mark.parametrize("text", [b"[]", b"1", b"null", b"{}"])
def test_json_without_a_version_is_refused(text: bytes) -> None:
    with pytest.raises(SchemaVersionError, match="got None"):
        decode(text, where="run.json")


def test_the_first_start_writes_run_json_and_a_resume_reads_it(tmp_path: Path) -> None:
    store = open_run(tmp_path)
    assert store.record() is None
    assert store.experiments() == ()
    store.begin(IDENTITY, FACTS)
    first = store.record()
    assert first is not None
    assert first.command == "first"
    store.begin(IDENTITY, {**FACTS, "command": "second"})
    assert store.record() == first
    assert store.experiments() == first.experiments
    assert store.experiments()[0].hyperparameters == {"lr": 0.1}


def test_a_run_folder_of_another_run_is_refused_and_every_difference_is_named(tmp_path: Path) -> None:
    store = open_run(tmp_path)
    store.begin(IDENTITY, FACTS)
    before = store.record()
    settings = dataclasses.replace(IDENTITY.settings, threads_per_trial=2)
    other = dataclasses.replace(IDENTITY, settings=settings, experiments=())
    with pytest.raises(RunMismatchError) as error:
        store.begin(other, FACTS)
    message = str(error.value)
    assert "was started with other experiments, settings threads_per_trial." in message
    assert "settings threads_per_trial: expected 1, got 2" in message
    assert "experiments: expected 1, got 0, without a" in message
    assert "--run-id" in message
    assert "folds" not in message
    assert store.record() == before


def test_a_record_of_another_shape_is_refused_by_file_and_field(tmp_path: Path) -> None:
    store = open_run(tmp_path)
    with pytest.raises(JsonShapeError, match=r"run\.json: num_folds: expected an integer, got 'two'"):
        store.begin(IDENTITY, {**FACTS, "num_folds": "two"})


def test_fold_plan_and_experiments_stay_as_they_were_first_saved(tmp_path: Path) -> None:
    store = open_run(tmp_path)
    assert store.folds_csv() is None
    store.save_folds_csv("first")
    store.save_folds_csv("second")
    assert store.folds_csv() == "first"
    experiment = Experiment(experiment_id="0123456789ab", name="first", hyperparameters={})
    store.save_experiment(experiment)
    store.save_experiment(dataclasses.replace(experiment, name="second"))
    assert json.loads((tmp_path / "trials/0123456789ab/experiment.json").read_text())["name"] == "first"


def test_ensembles_and_submissions_are_replaced(tmp_path: Path) -> None:
    store = open_run(tmp_path)
    assert store.ensemble("mean") is None
    assert store.submission("submission") is None
    for value in (1.0, 2.0):
        oof: FloatArray = np.full((3, 1), value, dtype=np.float32)
        store.save_ensemble("mean", {"value": value}, oof=oof, test=oof)
        draft = tmp_path / "draft.csv"
        draft.write_text(f"id,label\n{value}\n")
        saved = store.save_submission("submission", draft, {"value": value})
    assert store.ensemble("mean") == store.submission("submission") == {"value": 2.0}
    assert store.file(saved).read_text() == "id,label\n2.0\n"
    assert np.load(tmp_path / "ensembles/mean/oof.npy")[0, 0] == 2.0


def test_list_runs_finds_the_folders_that_were_begun(tmp_path: Path) -> None:
    for name in ("toy/b", "toy/a", "digits/c"):
        open_run(tmp_path / name).begin(IDENTITY, FACTS)
    (tmp_path / "toy" / "not begun").mkdir()
    assert [f"{store.competition_name}/{store.run_id}" for store in list_runs(tmp_path)] == [
        "digits/c",
        "toy/a",
        "toy/b",
    ]
