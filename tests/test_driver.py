"""The whole job on the toy competition, in this process."""

from __future__ import annotations

import json
import math
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from kaggle_ray.driver import Outcome, execute
from kaggle_ray.errors import NothingToSubmitError
from kaggle_ray.report.collect import board_of
from kaggle_ray.reporters.jsonl import read_events
from kaggle_ray.schedule.plan import RunOptions
from kaggle_ray.store.run import RunStore
from kaggle_ray.submission.check import check_submission
from kaggle_ray.submission.table import parse_values, read_cells
from kaggle_ray.submission.write import render_submission
from kaggle_ray.testing.toy import COMPETITION, NUM_TEST, NUM_TRAIN, TINY, TOY_FILE
from kaggle_ray.train.preemption import Terminated
from kaggle_ray.types import Event, FloatArray, JsonValue, StrArray, Trial

KAGGLE_RAY = Path(sys.executable).parent / "kaggle-ray"
NUM_IMAGES = NUM_TRAIN + NUM_TEST
EXPERIMENTS: list[dict[str, JsonValue]] = [
    {**TINY, "epochs": 3, "lr": 1e-2},
    {**TINY, "epochs": 2, "lr": 3e-3, "tta": "hflip"},
    {**TINY, "epochs": 2, "lr": 1e-2, "seed": 1},
]
ENDLESS: dict[str, JsonValue] = {**TINY, "epochs": 100_000}


@dataclass
class Recorder:
    """Keeps the events, and what was on disk when each came."""

    run_dir: Path | None = None
    events: list[Event] = field(default_factory=list)
    baseline_was_there: dict[str, bool] = field(default_factory=dict)
    num_closed: int = 0

    def emit(self, event: Event) -> None:
        if event.kind == "run_started":
            self.run_dir = Path(event.artifacts["run_dir"])
        assert self.run_dir is not None
        self.events.append(event)
        self.baseline_was_there[event.event_id] = (self.run_dir / "submissions/baseline.csv").is_file()

    def close(self) -> None:
        self.num_closed += 1

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def one(self, kind: str) -> Event:
        (event,) = [event for event in self.events if event.kind == kind]
        return event


@dataclass(frozen=True, kw_only=True)
class Finished:
    outcome: Outcome
    recorder: Recorder
    options: RunOptions


def options(
    runs: Path, data: Path, experiments: Sequence[dict[str, JsonValue]] = EXPERIMENTS, **others: JsonValue
) -> RunOptions:
    return RunOptions(
        competition=TOY_FILE, experiments=experiments, data=data, runs=runs, device="cpu", threads=1, **others
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, toy_data: Path) -> Finished:
    """One run of three experiments on a cache of its own; nobody changes it."""
    folder = tmp_path_factory.mktemp("driver")
    recorder = Recorder()
    chosen = options(folder / "runs", toy_data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KAGGLE_RAY_CACHE", str(folder / "cache"))
        outcome = execute(chosen, launcher="local", reporters=[recorder], command=["kaggle-ray", "run", "toy"])
    return Finished(outcome=outcome, recorder=recorder, options=chosen)


def store_of(outcome: Outcome) -> RunStore:
    return RunStore(outcome.plan.run_dir)


def written_and_read_back(ids: StrArray, values: FloatArray, folder: Path) -> FloatArray:
    """Return what a judge would read who is sent ``values`` in the competition's own format."""
    path = folder / "written.csv"
    cells = [tuple(row) for row in values.astype(np.float64).tolist()]
    path.write_text(render_submission(ids, cells, COMPETITION.submission, order=np.sort(ids)))
    table = read_cells(path)
    row_of = {sample_id: row for row, sample_id in enumerate(table.ids)}
    return parse_values(table)[[row_of[sample_id] for sample_id in ids.tolist()]]


def scored_target(outcome: Outcome) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    target = dict(zip(outcome.plan.samples.train_ids.tolist(), outcome.plan.samples.target.tolist(), strict=True))
    return np.array([target[sample_id] for sample_id in outcome.pool.scored_ids.tolist()], dtype=np.int64)


# What is shown is what was predicted --------------------------------------------------------------------------------


def test_every_experiment_scores_exactly_what_the_board_says_once_written_and_read_back(
    finished: Finished, tmp_path: Path
) -> None:
    outcome = finished.outcome
    shown = {row.name: row.score for row in outcome.board.rows if row.kind == "experiment"}
    assert len(shown) == len(EXPERIMENTS) == len(outcome.pool.oof)
    for experiment in outcome.plan.experiments:
        values = written_and_read_back(outcome.pool.scored_ids, outcome.pool.oof[experiment.experiment_id][:], tmp_path)
        assert COMPETITION.metric.score(scored_target(outcome), values) == shown[experiment.name]


@pytest.mark.parametrize("method", ["greedy", "mean"])
def test_every_ensemble_scores_exactly_what_the_board_says_once_written_and_read_back(
    finished: Finished, tmp_path: Path, method: str
) -> None:
    outcome = finished.outcome
    oof = np.load(outcome.plan.run_dir / f"ensembles/{method}/oof.npy", allow_pickle=False)
    (shown,) = [row for row in outcome.board.rows if row.name == f"ensemble ({method})"]
    values = written_and_read_back(outcome.pool.scored_ids, oof, tmp_path)
    assert COMPETITION.metric.score(scored_target(outcome), values) == shown.score


def test_the_ensembles_in_sample_score_is_that_of_its_weights_on_the_rows_that_chose_them(finished: Finished) -> None:
    outcome = finished.outcome
    assert outcome.ensemble is not None
    in_sample = COMPETITION.metric.score(scored_target(outcome), outcome.ensemble.apply(outcome.pool.oof))
    assert in_sample == outcome.ensemble.score_in_sample
    event = finished.recorder.one("ensemble")
    assert event.values["score_honest"] == outcome.ensemble.score_honest
    assert event.values["score_in_sample"] == outcome.ensemble.score_in_sample


def test_each_folds_score_is_that_of_its_committed_predictions(finished: Finished) -> None:
    outcome = finished.outcome
    store, plan = store_of(outcome), outcome.plan
    for experiment in plan.experiments:
        for fold in range(plan.folds.num_folds):
            result = store.result(Trial(experiment_id=experiment.experiment_id, fold=fold))
            assert result is not None
            valid, _ = store.predictions(result)
            target = plan.samples.target[plan.folds.valid_rows(fold)]
            assert COMPETITION.metric.score(target, np.array(valid.values)) == result.score


def test_the_submission_has_the_samples_ids_in_its_order_and_the_ensembles_values(
    finished: Finished, toy_data: Path
) -> None:
    outcome = finished.outcome
    assert outcome.ensemble is not None
    read, sample = read_cells(outcome.submission), read_cells(toy_data / "sample_submission.csv")
    assert read.ids == sample.ids
    assert parse_values(read).tobytes() == outcome.ensemble.apply(outcome.pool.test)[:].tobytes()
    check_submission(outcome.submission, toy_data / "sample_submission.csv", COMPETITION)
    assert outcome.submission.name == "submission.csv"


def test_test_predictions_are_the_mean_over_the_folds_models(finished: Finished) -> None:
    outcome = finished.outcome
    store, plan = store_of(outcome), outcome.plan
    for experiment in plan.experiments:
        of_folds = []
        for fold in range(plan.folds.num_folds):
            result = store.result(Trial(experiment_id=experiment.experiment_id, fold=fold))
            assert result is not None
            of_folds.append(np.array(store.predictions(result)[1].values, dtype=np.float64))
        mean = np.mean(of_folds, axis=0).astype(np.float32)
        assert np.array_equal(mean, outcome.pool.test[experiment.experiment_id][:])
        assert not np.array_equal(of_folds[0], of_folds[1])


def test_out_of_fold_rows_were_predicted_by_models_that_trained_on_all_other_rows(finished: Finished) -> None:
    plan, store = finished.outcome.plan, store_of(finished.outcome)
    for fold in range(plan.folds.num_folds):
        result = store.result(Trial(experiment_id=plan.experiments[0].experiment_id, fold=fold))
        assert result is not None
        lineage = store.predictions(result)[0].lineage
        assert lineage is not None
        assert np.flatnonzero(lineage.trained_rows).tolist() == plan.folds.train_rows(fold).tolist()


# Order, diary, provenance -------------------------------------------------------------------------------------------


def test_the_baseline_is_submitted_before_any_trial_starts(finished: Finished) -> None:
    recorder = finished.recorder
    assert recorder.kinds[:3] == ["run_started", "baseline", "trial_started"]
    assert recorder.kinds[-2:] == ["ensemble", "run_finished"]
    starts = [event for event in recorder.events if event.kind == "trial_started"]
    assert len(starts) == 6
    assert all(recorder.baseline_was_there[event.event_id] for event in starts)
    assert recorder.num_closed == 1


def test_the_baselines_score_is_the_entropy_of_the_class_frequencies(finished: Finished) -> None:
    # 30 of 60 rows are bright, in each fold's training rows 15 of 30: -ln(1/2).
    (row,) = [row for row in finished.outcome.board.rows if row.kind == "baseline"]
    assert row.score == pytest.approx(math.log(2), abs=1e-12)
    assert finished.recorder.one("baseline").values["score"] == row.score
    path = finished.outcome.plan.run_dir / "submissions/baseline.csv"
    assert set(parse_values(read_cells(path)).ravel().tolist()) == {0.5}


def test_run_json_says_what_was_run_where_and_with_what(finished: Finished) -> None:
    record = json.loads((finished.outcome.plan.run_dir / "run.json").read_text())
    assert record["command"] == "kaggle-ray run toy"
    assert set(record["code"]) == {"commit", "diff"}
    assert {"numpy", "torch", "opencv-python-headless"} <= set(record["packages"])
    assert {"processor", "num_cpus", "memory_gib"} <= set(record["hardware"])
    assert record["settings"]["threads_per_trial"] == 1
    assert record["settings"]["device"] == "cpu"
    assert [experiment["hyperparameters"]["seed"] for experiment in record["experiments"]] == [0, 0, 1]
    assert [experiment["hyperparameters"]["lr"] for experiment in record["experiments"]] == [1e-2, 3e-3, 1e-2]
    assert record["folds_digest"] == finished.outcome.plan.folds.digest
    assert record["schema_version"] == 2


def test_the_diary_replays_what_the_reporters_were_told_each_event_once(finished: Finished) -> None:
    path = finished.outcome.plan.run_dir / "events.jsonl"
    written = [json.loads(line)["event_id"] for line in path.read_text().splitlines()]
    assert len(set(written)) == len(written)
    replayed = read_events(path)
    told = finished.recorder.events
    assert [event.event_id for event in replayed] == [event.event_id for event in told]
    assert [dict(event.values) for event in replayed] == [dict(event.values) for event in told]
    assert sum(event.kind == "epoch" for event in replayed) == 2 * (3 + 2 + 2)


def test_the_board_read_from_the_folder_is_the_board_that_was_returned(finished: Finished) -> None:
    assert board_of(store_of(finished.outcome)) == finished.outcome.board
    assert finished.outcome.board.to_rows() == finished.recorder.one("run_finished").values["board"]


def test_the_report_and_the_folder_are_those_of_the_design(finished: Finished) -> None:
    run_dir = finished.outcome.plan.run_dir
    assert run_dir == Path(finished.options.runs) / "toy" / finished.outcome.plan.run_id
    for name in ("run.json", "folds.csv", "events.jsonl", "report.html", "submissions/submission.json"):
        assert (run_dir / name).is_file(), name
    for experiment in finished.outcome.plan.experiments:
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
    first = execute(chosen, launcher="local")
    before = {path.name: path.read_bytes() for path in first.submission.parent.iterdir()}
    again = Recorder()
    second = execute(chosen, launcher="local", reporters=[again])
    assert first.num_epochs_trained == 2 * (3 + 2)
    assert first.decoded_images == NUM_IMAGES
    assert second.plan.run_dir == first.plan.run_dir
    assert second.num_epochs_trained == 0
    assert second.decoded_images == 0
    assert {path.name: path.read_bytes() for path in second.submission.parent.iterdir()} == before
    assert again.kinds == ["run_started", "baseline", "ensemble", "run_finished"]
    assert [result["status"] for result in again.events[0].values["ended"]] == ["committed"] * 4
    diary = read_events(second.plan.run_dir / "events.jsonl")
    assert len({event.event_id for event in diary}) == len(diary)
    assert sum(event.kind == "epoch" for event in diary) == 2 * (3 + 2)


def test_another_run_on_the_same_machine_decodes_nothing(finished: Finished, toy_data: Path, tmp_path: Path) -> None:
    assert finished.outcome.decoded_images == NUM_IMAGES
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KAGGLE_RAY_CACHE", str(Path(finished.options.runs).parent / "cache"))
        other = execute(options(tmp_path, toy_data, [{**TINY, "epochs": 1}]), launcher="local")
    assert other.num_epochs_trained == 2
    assert other.decoded_images == 0


def test_two_image_sizes_decode_each_image_twice(
    tmp_path: Path, toy_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_RAY_CACHE", str(tmp_path / "cache"))
    sizes: list[dict[str, JsonValue]] = [{**TINY, "epochs": 1}, {**TINY, "epochs": 1, "image_size": 12}]
    assert execute(options(tmp_path, toy_data, sizes), launcher="local").decoded_images == 2 * NUM_IMAGES


def test_the_same_run_elsewhere_gives_the_same_bytes(finished: Finished, toy_data: Path, tmp_path: Path) -> None:
    other = execute(options(tmp_path, toy_data), launcher="local")
    assert other.submission.read_bytes() == finished.outcome.submission.read_bytes()
    assert other.plan.run_id == finished.outcome.plan.run_id


def test_hyperparameters_with_tuples_are_the_run_that_they_started(tmp_path: Path, toy_data: Path) -> None:
    experiments: list[dict[str, JsonValue]] = [{**TINY, "epochs": 1, "model_args": {"width": 4, "blocks": (1,)}}]
    first = execute(options(tmp_path, toy_data, experiments), launcher="local")
    assert execute(options(tmp_path, toy_data, experiments), launcher="local").num_epochs_trained == 0
    assert first.num_epochs_trained == 2


def test_a_frozen_reporter_does_not_stop_a_run(tmp_path: Path, toy_data: Path) -> None:
    class Broken:
        def emit(self, event: Event) -> None:
            raise ConnectionError("no server")

        def close(self) -> None:
            raise ConnectionError("no server")

    outcome = execute(options(tmp_path, toy_data, EXPERIMENTS[:1]), launcher="local", reporters=[Broken()])
    assert outcome.ensemble is not None


# The clock ----------------------------------------------------------------------------------------------------------


def test_without_any_time_the_baseline_is_the_submission(tmp_path: Path, toy_data: Path) -> None:
    recorder = Recorder()
    outcome = execute(options(tmp_path, toy_data, budget_s=0), launcher="local", reporters=[recorder])
    assert outcome.ensemble is None
    assert outcome.submission.name == "baseline.csv"
    assert outcome.num_epochs_trained == 0
    assert set(outcome.pool.missing_folds.values()) == {(0, 1)}
    check_submission(outcome.submission, toy_data / "sample_submission.csv", COMPETITION)
    assert recorder.kinds == ["run_started", "baseline", "interrupted", "run_finished"]
    stopped = recorder.one("interrupted").values
    assert (stopped["reason"], stopped["num_committed"], stopped["num_trials"]) == ("deadline", 0, 6)
    assert f"run_id={outcome.plan.run_id!r}" in stopped["how_to_resume"]
    assert "budget='0s'" in stopped["how_to_ensemble"]
    assert outcome.report.is_file()


def test_without_any_time_left_a_run_ends_with_the_ensemble_of_what_is_complete(tmp_path: Path, toy_data: Path) -> None:
    both: list[dict[str, JsonValue]] = [EXPERIMENTS[0], {**ENDLESS, "lr": 5e-3}]

    class StopsAfterTheFirst(Recorder):
        def emit(self, event: Event) -> None:
            super().emit(event)
            if self.kinds.count("trial_finished") == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(options(tmp_path, toy_data, both), launcher="local", reporters=[StopsAfterTheFirst()])
    outcome = execute(options(tmp_path, toy_data, both, budget_s=0), launcher="local")
    complete, incomplete = (experiment.experiment_id for experiment in outcome.plan.experiments)
    assert outcome.ensemble is not None
    assert dict(outcome.ensemble.weights) == {complete: 1.0}
    assert dict(outcome.pool.missing_folds) == {incomplete: (0, 1)}
    assert outcome.submission.name == "submission.csv"
    assert outcome.num_epochs_trained == 0
    check_submission(outcome.submission, toy_data / "sample_submission.csv", COMPETITION)
    assert [row.folds_done for row in outcome.board.rows if row.kind == "experiment"] == [2, 0]


@pytest.mark.parametrize("moment", ["baseline", "trial_started", "epoch", "trial_finished", "ensemble"])
def test_sigterm_ends_a_run_in_order_wherever_it_is(
    moment: str, finished: Finished, tmp_path: Path, toy_data: Path
) -> None:
    """Within a fit, at its next step; while it predicts, commits or ensembles, at once."""

    class Terminates(Recorder):
        def emit(self, event: Event) -> None:
            super().emit(event)
            if event.kind == moment and self.kinds.count(moment) == 1:
                signal.raise_signal(signal.SIGTERM)

    before, recorder, chosen = signal.getsignal(signal.SIGTERM), Terminates(), options(tmp_path, toy_data)
    with pytest.raises(Terminated):
        execute(chosen, launcher="local", reporters=[recorder])
    assert signal.getsignal(signal.SIGTERM) is before
    assert (recorder.kinds[-1], recorder.num_closed) == ("interrupted", 1)
    stopped = recorder.one("interrupted").values
    assert stopped["reason"] == "sigterm"
    assert stopped["num_committed"] == {"trial_finished": 1, "ensemble": 6}.get(moment, 0)
    again = execute(chosen, launcher="local")
    assert again.submission.read_bytes() == finished.outcome.submission.read_bytes()


def test_a_deadline_stops_a_trial_between_epochs_uncommitted_and_still_ends_with_a_submission(
    finished: Finished, tmp_path: Path, toy_data: Path
) -> None:
    assert finished.outcome  # Everything that is slow at first is imported by now.
    recorder = Recorder()
    both: list[dict[str, JsonValue]] = [EXPERIMENTS[0], {**ENDLESS, "lr": 5e-3}]
    outcome = execute(options(tmp_path, toy_data, both, budget_s=4), launcher="local", reporters=[recorder])
    endless = outcome.plan.experiments[1].experiment_id
    ended = [event for event in recorder.events if event.kind == "trial_finished"]
    assert [event.values["status"] for event in ended] == ["committed", "committed", "stopped"]
    assert ended[-1].trial == Trial(experiment_id=endless, fold=0)
    assert store_of(outcome).result(Trial(experiment_id=endless, fold=0)) is None
    assert recorder.one("interrupted").values["reason"] == "deadline"
    assert recorder.one("interrupted").values["num_committed"] == 2
    assert outcome.ensemble is not None
    assert outcome.num_epochs_trained > 6
    check_submission(outcome.submission, toy_data / "sample_submission.csv", COMPETITION)
    assert outcome.seconds < 30


def test_where_every_trial_fails_the_reason_and_the_baseline_are_named(tmp_path: Path, toy_data: Path) -> None:
    diverging: list[dict[str, JsonValue]] = [{**TINY, "epochs": 2, "lr": 1e35, "optimizer": "sgd"}]
    with pytest.raises(NothingToSubmitError, match=r"2 trials failed.*Try a smaller lr.*baseline\.csv"):
        execute(options(tmp_path, toy_data, diverging), launcher="local")
    assert len(list(tmp_path.rglob("baseline.csv"))) == 1


def test_the_clock_is_not_blamed_for_a_trial_that_failed_in_time(tmp_path: Path, toy_data: Path) -> None:
    recorder = Recorder()
    with_a_failure: list[dict[str, JsonValue]] = [{**TINY, "epochs": 2, "lr": 1e35, "optimizer": "sgd"}, EXPERIMENTS[0]]
    execute(options(tmp_path, toy_data, with_a_failure, budget_s=3600), launcher="local", reporters=[recorder])
    assert "interrupted" not in recorder.kinds


# Ctrl-C -------------------------------------------------------------------------------------------------------------


SPACE = f"""
from kaggle_ray import SearchSpace
SPACE = SearchSpace(base={{**{TINY!r}, "epochs": 60}}, grid={{"lr": [1e-2, 1e-3]}})
"""


def await_event(runs: Path, kind: str, process: subprocess.Popen[str], *, within_s: float = 180) -> Path:
    """Wait until a run below ``runs`` has written an event of that kind; return its folder."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        for path in runs.glob("*/*/events.jsonl"):
            if f'"kind": "{kind}"' in path.read_text():
                return path.parent
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    raise AssertionError(f"no {kind} within {within_s} s")


def check_that_ctrl_c_is_no_loss(folder: Path, data: Path, launcher: str) -> None:
    (folder / "space.py").write_text(SPACE)
    environment = {**os.environ, "PATH": f"{KAGGLE_RAY.parent}{os.pathsep}{os.environ['PATH']}"}

    def command(runs: str) -> list[str]:
        return [
            "kaggle-ray", "run", str(TOY_FILE), "--space", "space.py", "--data", str(data), "--runs", runs,
            "--launcher", launcher, "--device", "cpu", "--slots", "2",
        ]  # fmt: skip

    def finish(words: list[str]) -> str:
        done = subprocess.run(
            words, cwd=folder, env=environment, capture_output=True, text=True, timeout=280, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    process = subprocess.Popen(
        command("stopped"), cwd=folder, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        # A shell that runs the tests in the background has them ignore Ctrl-C, which children inherit.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        run_dir = await_event(folder / "stopped", "trial_finished", process)
        os.killpg(process.pid, signal.SIGINT)
        printed, errors = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130, printed + errors
    assert "Traceback" not in errors, errors
    (stopped,) = [event for event in read_events(run_dir / "events.jsonl") if event.kind == "interrupted"]
    assert stopped.values["reason"] == "ctrl-c"
    num_safe = len(list(run_dir.glob("trials/*/fold*/result.json")))
    assert stopped.values["num_committed"] == num_safe
    assert 1 <= num_safe < 4
    assert f"stopped by ctrl-c: {num_safe} of 4 trials are safe." in printed
    assert not (run_dir / "submissions/submission.csv").exists()

    go_on, ensemble = (
        shlex.split(line.partition(":")[2])
        for line in printed.splitlines()
        if line.strip().startswith(("go on:", "ensemble what there is:"))
    )
    assert [*go_on, "--budget", "0s"] == ensemble
    finish(ensemble)
    assert len(list(run_dir.glob("trials/*/fold*/result.json"))) == num_safe
    assert finish(go_on)
    assert len(list(run_dir.glob("trials/*/fold*/result.json"))) == 4
    finish(command("undisturbed"))
    (undisturbed,) = folder.glob("undisturbed/*/*/submissions/submission.csv")
    assert (run_dir / "submissions/submission.csv").read_bytes() == undisturbed.read_bytes()


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on_and_the_resumed_run_gives_the_undisturbed_bytes(
    tmp_path: Path, toy_data: Path
) -> None:
    check_that_ctrl_c_is_no_loss(tmp_path, toy_data, "local")


@pytest.mark.slow
@pytest.mark.ray
def test_ctrl_c_on_ray_says_how_to_go_on_and_the_resumed_run_gives_the_undisturbed_bytes(
    tmp_path: Path, toy_data: Path
) -> None:
    check_that_ctrl_c_is_no_loss(tmp_path, toy_data, "ray")


@pytest.mark.slow
@pytest.mark.ray
def test_ray_and_this_process_give_the_same_bytes(finished: Finished, tmp_path: Path, toy_data: Path) -> None:
    on_ray = execute(options(tmp_path, toy_data, num_slots=2), launcher="ray")
    assert on_ray.submission.read_bytes() == finished.outcome.submission.read_bytes()
    assert on_ray.num_epochs_trained == finished.outcome.num_epochs_trained
