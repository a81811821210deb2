"""The whole job on the toy competition, in this process."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kaggle_ray.combine import select
from kaggle_ray.pipeline.driver import execute
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.report.collect import board_of
from kaggle_ray.reporters.envelope import Envelope, this_host, this_user
from kaggle_ray.reporters.events import (
    BaselineScored,
    EnsembleChosen,
    EpochEnded,
    RunEnded,
    RunStarted,
    TrialProgressed,
    TrialStarted,
)
from kaggle_ray.reporters.jsonl import read_events
from kaggle_ray.store.diary import FileDiary
from kaggle_ray.store.opening import open_run
from kaggle_ray.store.run import RunStore
from kaggle_ray.submission.check import check_submission
from kaggle_ray.submission.write import write_submission
from kaggle_ray.testing.recorder import Recorder
from kaggle_ray.testing.submitted import read_cells, submitted_values
from kaggle_ray.testing.toy import COMPETITION, NUM_TEST, NUM_TRAIN, TINY, TOY_FILE
from kaggle_ray.types import FloatArray, JsonValue, StrArray, Trial

KAGGLE_RAY = Path(sys.executable).parent / "kaggle-ray"
NUM_IMAGES = NUM_TRAIN + NUM_TEST
EXPERIMENTS: list[dict[str, JsonValue]] = [
    {**TINY, "epochs": 3, "lr": 1e-2},
    {**TINY, "epochs": 2, "lr": 3e-3, "tta": "hflip"},
    {**TINY, "epochs": 2, "lr": 1e-2, "seed": 1},
]


@dataclass
class FilesToo(Recorder):
    """Keeps what was on disk when each event came, too."""

    run_dir: Path | None = None
    baseline_was_there: dict[str, bool] = field(default_factory=dict)

    def emit(self, envelope: Envelope) -> None:
        if isinstance(envelope.event, RunStarted):
            self.run_dir = Path(envelope.event.run_dir)
        assert self.run_dir is not None
        super().emit(envelope)
        self.baseline_was_there[envelope.event_id] = (self.run_dir / "submissions/baseline.csv").is_file()


@dataclass(frozen=True, kw_only=True)
class Finished:
    result: RunResult
    recorder: FilesToo
    options: RunOptions


def options(
    runs: Path, data: Path, experiments: Sequence[dict[str, JsonValue]] = EXPERIMENTS, **others: Any
) -> RunOptions:
    return RunOptions(
        launcher="local",
        competition=TOY_FILE,
        experiments=experiments,
        data=data,
        runs=runs,
        device="cpu",
        threads=1,
        **others,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, toy_data: Path) -> Finished:
    """One run of three experiments on a cache of its own; nobody changes it."""
    folder = tmp_path_factory.mktemp("driver")
    recorder = FilesToo()
    chosen = options(folder / "runs", toy_data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KAGGLE_RAY_CACHE", str(folder / "cache"))
        result = execute(chosen, reporters=[recorder], command=["kaggle-ray", "run", "toy"])
    return Finished(result=result, recorder=recorder, options=chosen)


def store_of(result: RunResult) -> RunStore:
    return open_run(result.run_dir)


def written_and_read_back(ids: StrArray, values: FloatArray, folder: Path) -> FloatArray:
    """Return what a judge would read who is sent ``values`` in the competition's own format."""
    path = folder / "written.csv"
    order = np.argsort(ids)
    cells = [tuple(row) for row in values[order].astype(np.float64).tolist()]
    write_submission(path, ids[order], cells, COMPETITION.submission)
    table = read_cells(path)
    row_of = {sample_id: row for row, sample_id in enumerate(table.ids)}
    return submitted_values(path)[[row_of[sample_id] for sample_id in ids.tolist()]]


def scored_target(result: RunResult) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    target = dict(zip(result.plan.samples.train_ids.tolist(), result.plan.samples.target.tolist(), strict=True))
    return np.array([target[sample_id] for sample_id in result.pool.scored_ids.tolist()], dtype=np.int64)


# What is shown is what was predicted --------------------------------------------------------------------------------


def test_every_experiment_scores_exactly_what_the_board_says_once_written_and_read_back(
    finished: Finished, tmp_path: Path
) -> None:
    result = finished.result
    shown = {row.name: row.score for row in result.board.rows if row.kind == "experiment"}
    assert len(shown) == len(EXPERIMENTS) == len(result.pool.oof)
    for experiment in result.plan.experiments:
        values = written_and_read_back(result.pool.scored_ids, result.pool.oof[experiment.experiment_id][:], tmp_path)
        assert COMPETITION.metric.score(scored_target(result), values) == shown[experiment.name]


@pytest.mark.parametrize("method", ["greedy", "mean"])
def test_every_ensemble_scores_exactly_what_the_board_says_once_written_and_read_back(
    finished: Finished, tmp_path: Path, method: str
) -> None:
    result = finished.result
    oof = np.load(result.run_dir / f"ensembles/{method}/oof.npy", allow_pickle=False)
    (shown,) = [row for row in result.board.rows if row.name == f"ensemble ({method})"]
    values = written_and_read_back(result.pool.scored_ids, oof, tmp_path)
    assert COMPETITION.metric.score(scored_target(result), values) == shown.score


def test_the_ensembles_in_sample_score_is_that_of_its_weights_on_the_rows_that_chose_them(finished: Finished) -> None:
    result = finished.result
    assert result.ensemble is not None
    in_sample = COMPETITION.metric.score(scored_target(result), result.ensemble.apply(result.pool.oof))
    assert in_sample == result.ensemble.score_in_sample
    event = finished.recorder.one(EnsembleChosen)
    assert event.score_honest == result.ensemble.score_honest
    assert event.score_in_sample == result.ensemble.score_in_sample


def test_the_best_experiments_score_is_what_choosing_it_is_worth(finished: Finished) -> None:
    result, folds = finished.result, finished.result.plan.folds
    nested = select(
        result.pool.oof, scored_target(result), folds.fold_of[folds.scored_rows()], COMPETITION.metric, "best"
    )
    shown = result.to_json()
    (chosen,) = (e.name for e in result.plan.experiments if e.experiment_id in nested.weights)
    assert (shown["best_experiment"], shown["best_score"]) == (chosen, nested.score_honest)


def test_each_folds_score_is_that_of_its_committed_predictions(finished: Finished) -> None:
    result = finished.result
    store, plan = store_of(result), result.plan
    for experiment in plan.experiments:
        for fold in range(plan.folds.num_folds):
            of_trial = store.result(Trial(experiment_id=experiment.experiment_id, fold=fold))
            assert of_trial is not None
            valid, _ = store.predictions(of_trial)
            target = plan.samples.target[plan.folds.valid_rows(fold)]
            assert COMPETITION.metric.score(target, np.array(valid.values)) == of_trial.score


def test_the_submission_has_the_samples_ids_in_its_order_and_the_ensembles_values(
    finished: Finished, toy_data: Path
) -> None:
    result = finished.result
    assert result.ensemble is not None
    read, sample = read_cells(result.submission), read_cells(toy_data / "sample_submission.csv")
    assert read.ids == sample.ids
    assert submitted_values(result.submission).tobytes() == result.ensemble.apply(result.pool.test)[:].tobytes()
    check_submission(result.submission, toy_data / "sample_submission.csv", COMPETITION)
    assert result.submission.name == "submission.csv"


def test_test_predictions_are_the_mean_over_the_folds_models(finished: Finished) -> None:
    result = finished.result
    store, plan = store_of(result), result.plan
    for experiment in plan.experiments:
        of_folds = []
        for fold in range(plan.folds.num_folds):
            of_trial = store.result(Trial(experiment_id=experiment.experiment_id, fold=fold))
            assert of_trial is not None
            of_folds.append(np.array(store.predictions(of_trial)[1].values, dtype=np.float64))
        mean = np.mean(of_folds, axis=0).astype(np.float32)
        assert np.array_equal(mean, result.pool.test[experiment.experiment_id][:])
        assert not np.array_equal(of_folds[0], of_folds[1])


def test_out_of_fold_rows_were_predicted_by_models_that_trained_on_all_other_rows(finished: Finished) -> None:
    plan, store = finished.result.plan, store_of(finished.result)
    for fold in range(plan.folds.num_folds):
        of_trial = store.result(Trial(experiment_id=plan.experiments[0].experiment_id, fold=fold))
        assert of_trial is not None
        lineage = store.predictions(of_trial)[0].lineage
        assert lineage is not None
        assert np.flatnonzero(lineage.trained_rows).tolist() == plan.folds.train_rows(fold).tolist()


# Order, diary, provenance -------------------------------------------------------------------------------------------


def test_the_baseline_is_submitted_before_any_trial_starts(finished: Finished) -> None:
    recorder = finished.recorder
    assert recorder.kinds[:3] == ["run_started", "baseline_scored", "trial_started"]
    assert recorder.kinds[-2:] == ["ensemble_chosen", "run_ended"]
    starts = [envelope for envelope in recorder.envelopes if isinstance(envelope.event, TrialStarted)]
    assert len(starts) == 6
    assert all(recorder.baseline_was_there[start.event_id] for start in starts)
    assert recorder.num_closed == 1


def test_the_baselines_score_is_the_entropy_of_the_class_frequencies(finished: Finished) -> None:
    # 30 of 60 rows are bright, in each fold's training rows 15 of 30: -ln(1/2).
    (row,) = [row for row in finished.result.board.rows if row.kind == "baseline"]
    assert row.score == pytest.approx(math.log(2), abs=1e-12)
    assert finished.recorder.one(BaselineScored).score == row.score
    path = finished.result.run_dir / "submissions/baseline.csv"
    assert set(submitted_values(path).ravel().tolist()) == {0.5}


def test_run_json_says_what_was_run_where_and_with_what(finished: Finished) -> None:
    record = json.loads((finished.result.run_dir / "run.json").read_text())
    assert record["command"] == "kaggle-ray run toy"
    assert set(record["code"]) == {"commit", "diff"}
    assert {"numpy", "torch", "opencv-python-headless"} <= set(record["packages"])
    assert {"processor", "num_cpus", "memory_gib"} <= set(record["hardware"])
    assert record["settings"]["threads_per_trial"] == 1
    assert record["settings"]["device"] == "cpu"
    assert [experiment["hyperparameters"]["seed"] for experiment in record["experiments"]] == [0, 0, 1]
    assert [experiment["hyperparameters"]["lr"] for experiment in record["experiments"]] == [1e-2, 3e-3, 1e-2]
    assert record["folds_digest"] == finished.result.plan.folds.digest
    assert record["schema_version"] == 3


def test_the_diary_replays_what_the_reporters_were_told_each_event_once(finished: Finished) -> None:
    path = finished.result.run_dir / "events.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    written = [line["event_id"] for line in lines if line["kind"] != "trial_progressed"]  # of a stage the last stays
    assert len(set(written)) == len(written)
    everything = read_events(FileDiary(path))
    assert len({each.event_id for each in everything}) == len(everything)
    replayed = [each for each in everything if not isinstance(each.event, TrialProgressed)]
    told = [event for event in finished.recorder.events if not isinstance(event, TrialProgressed)]
    assert [envelope.event for envelope in replayed] == told
    assert [envelope.event_id for envelope in replayed] == written
    assert len(finished.recorder.all(EpochEnded)) == 2 * (3 + 2 + 2)
    assert {(envelope.competition, envelope.run_id) for envelope in replayed} == {("toy", finished.result.plan.run_id)}
    assert {(envelope.host, envelope.user) for envelope in replayed} == {(this_host(), this_user())}


def test_the_board_read_from_the_folder_is_the_board_that_was_returned(finished: Finished) -> None:
    assert board_of(store_of(finished.result)) == finished.result.board
    assert finished.result.board.rows == finished.recorder.one(RunEnded).board


def test_the_report_and_the_folder_are_those_of_the_design(finished: Finished) -> None:
    run_dir = finished.result.run_dir
    assert run_dir == Path(finished.options.runs) / "toy" / finished.result.plan.run_id
    for name in ("run.json", "folds.csv", "events.jsonl", "report.html", "submissions/submission.json"):
        assert (run_dir / name).is_file(), name
    for experiment in finished.result.plan.experiments:
        assert (run_dir / "trials" / experiment.experiment_id / "experiment.json").is_file()
        attempts = list((run_dir / "trials" / experiment.experiment_id).glob("fold*/attempts/*"))
        assert len(attempts) == 2
        assert {file.name for file in attempts[0].iterdir()} == {
            "valid.npy", "test.npy", "manifest.json", "weights.safetensors",
        }  # fmt: skip


# Again: a resume ----------------------------------------------------------------------------------------------------


def test_a_second_call_trains_nothing_decodes_nothing_and_gives_the_same_bytes(
    tmp_path: Path, toy_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_RAY_CACHE", str(tmp_path / "cache"))
    chosen = options(tmp_path / "runs", toy_data, EXPERIMENTS[:2])
    first = execute(chosen)
    before = {path.name: path.read_bytes() for path in first.submission.parent.iterdir()}
    again = Recorder()
    second = execute(chosen, reporters=[again])
    assert first.num_epochs_trained == 2 * (3 + 2)
    assert first.decoded_images == NUM_IMAGES
    assert second.run_dir == first.run_dir
    assert second.num_epochs_trained == 0
    assert second.decoded_images == 0
    assert {path.name: path.read_bytes() for path in second.submission.parent.iterdir()} == before
    assert again.kinds == ["run_started", "baseline_scored", "ensemble_chosen", "run_ended"]
    assert [ended.status for ended in again.one(RunStarted).ended] == ["committed"] * 4
    diary = read_events(FileDiary(second.run_dir / "events.jsonl"))
    assert len({envelope.event_id for envelope in diary}) == len(diary)
    assert sum(isinstance(envelope.event, EpochEnded) for envelope in diary) == 2 * (3 + 2)


def test_another_run_on_the_same_machine_decodes_nothing(finished: Finished, toy_data: Path, tmp_path: Path) -> None:
    assert finished.result.decoded_images == NUM_IMAGES
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KAGGLE_RAY_CACHE", str(Path(finished.options.runs).parent / "cache"))
        other = execute(options(tmp_path, toy_data, [{**TINY, "epochs": 1}]))
    assert other.num_epochs_trained == 2
    assert other.decoded_images == 0


def test_two_image_sizes_decode_each_image_twice(
    tmp_path: Path, toy_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_RAY_CACHE", str(tmp_path / "cache"))
    sizes: list[dict[str, JsonValue]] = [{**TINY, "epochs": 1}, {**TINY, "epochs": 1, "image_size": 12}]
    assert execute(options(tmp_path, toy_data, sizes)).decoded_images == 2 * NUM_IMAGES


def test_the_same_run_elsewhere_gives_the_same_bytes(finished: Finished, toy_data: Path, tmp_path: Path) -> None:
    other = execute(options(tmp_path, toy_data))
    assert other.submission.read_bytes() == finished.result.submission.read_bytes()
    assert other.plan.run_id == finished.result.plan.run_id


def test_hyperparameters_with_tuples_are_the_run_that_they_started(tmp_path: Path, toy_data: Path) -> None:
    experiments: list[dict[str, JsonValue]] = [{**TINY, "epochs": 1, "model_args": {"width": 4, "blocks": (1,)}}]
    first = execute(options(tmp_path, toy_data, experiments))
    assert execute(options(tmp_path, toy_data, experiments)).num_epochs_trained == 0
    assert first.num_epochs_trained == 2


def test_a_frozen_reporter_does_not_stop_a_run(tmp_path: Path, toy_data: Path) -> None:
    class Broken:
        def emit(self, envelope: Envelope) -> None:
            raise ConnectionError("no server")

        def close(self) -> None:
            raise ConnectionError("no server")

    result = execute(options(tmp_path, toy_data, EXPERIMENTS[:1]), reporters=[Broken()])
    assert result.ensemble is not None
