"""A run whose time is over, that is told to end, or of which nothing succeeds."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest

from kaggle_ray.combine import kept
from kaggle_ray.errors import NothingToSubmitError
from kaggle_ray.pipeline.driver import execute
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import RunInterrupted, TrialEnded
from kaggle_ray.store.opening import open_run
from kaggle_ray.submission.check import check_submission
from kaggle_ray.testing.recorder import Recorder
from kaggle_ray.testing.toy import COMPETITION, TINY, TOY_FILE
from kaggle_ray.train.preemption import Terminated
from kaggle_ray.types import JsonValue, Trial

EXPERIMENTS: list[dict[str, JsonValue]] = [{**TINY, "epochs": 3, "lr": 1e-2}, {**TINY, "epochs": 2, "lr": 3e-3}]
ENDLESS: dict[str, JsonValue] = {**TINY, "epochs": 100_000, "lr": 5e-3}


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
def undisturbed(tmp_path_factory: pytest.TempPathFactory, toy_data: Path) -> Path:
    """The submission of a run that nothing stops; with it, all that is slow at first is imported."""
    return execute(options(tmp_path_factory.mktemp("undisturbed"), toy_data)).submission


def test_a_rerun_learns_no_ensemble_again(undisturbed: Path, toy_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*of: object, **others: object) -> NoReturn:
        raise AssertionError("nothing has changed")

    before = undisturbed.read_bytes()
    monkeypatch.setattr(kept, "nested_score", refuse)
    again = execute(options(undisturbed.parents[3], toy_data))
    assert again.submission.read_bytes() == before
    assert again.ensemble is not None
    assert again.ensemble.score_honest is not None


def test_without_any_time_the_baseline_is_the_submission(tmp_path: Path, toy_data: Path) -> None:
    recorder = Recorder()
    result = execute(options(tmp_path, toy_data, budget=0), reporters=[recorder])
    assert result.ensemble is None
    assert result.submission.name == "baseline.csv"
    assert result.num_epochs_trained == 0
    assert set(result.pool.missing_folds.values()) == {(0, 1)}
    check_submission(result.submission, toy_data / "sample_submission.csv", COMPETITION)
    assert recorder.kinds == ["run_started", "baseline_scored", "run_interrupted", "run_ended"]
    stopped = recorder.one(RunInterrupted)
    assert (stopped.reason, stopped.num_committed, stopped.num_trials) == ("deadline", 0, 4)
    assert f"run_id={result.plan.run_id!r}" in stopped.how_to_resume
    assert "budget='0s'" in stopped.how_to_ensemble
    assert result.report.is_file()


def test_without_any_time_left_a_run_ends_with_the_ensemble_of_what_is_complete(tmp_path: Path, toy_data: Path) -> None:
    both: list[dict[str, JsonValue]] = [EXPERIMENTS[0], ENDLESS]

    class StopsAfterTheFirst(Recorder):
        def emit(self, envelope: Envelope) -> None:
            super().emit(envelope)
            if len(self.all(TrialEnded)) == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(options(tmp_path, toy_data, both), reporters=[StopsAfterTheFirst()])
    result = execute(options(tmp_path, toy_data, both, budget=0))
    complete, incomplete = (experiment.experiment_id for experiment in result.plan.experiments)
    assert result.ensemble is not None
    assert dict(result.ensemble.weights) == {complete: 1.0}
    assert dict(result.pool.missing_folds) == {incomplete: (0, 1)}
    assert result.submission.name == "submission.csv"
    assert result.num_epochs_trained == 0
    check_submission(result.submission, toy_data / "sample_submission.csv", COMPETITION)
    assert [row.folds_done for row in result.board.rows if row.kind == "experiment"] == [2, 0]


@pytest.mark.parametrize(
    "moment", ["baseline_scored", "trial_started", "epoch_ended", "trial_ended", "ensemble_chosen"]
)
def test_sigterm_ends_a_run_in_order_wherever_it_is(
    moment: str, undisturbed: Path, tmp_path: Path, toy_data: Path
) -> None:
    """Within a fit, at its next step; while it predicts, commits or ensembles, at once."""

    class Terminates(Recorder):
        def emit(self, envelope: Envelope) -> None:
            super().emit(envelope)
            if envelope.kind == moment and self.kinds.count(moment) == 1:
                signal.raise_signal(signal.SIGTERM)

    before, recorder, chosen = signal.getsignal(signal.SIGTERM), Terminates(), options(tmp_path, toy_data)
    with pytest.raises(Terminated):
        execute(chosen, reporters=[recorder])
    assert signal.getsignal(signal.SIGTERM) is before
    assert (recorder.kinds[-1], recorder.num_closed) == ("run_interrupted", 1)
    stopped = recorder.one(RunInterrupted)
    assert stopped.reason == "sigterm"
    assert stopped.num_committed == {"trial_ended": 1, "ensemble_chosen": 4}.get(moment, 0)
    again = execute(chosen)
    assert again.submission.read_bytes() == undisturbed.read_bytes()


def test_a_deadline_stops_a_trial_between_epochs_uncommitted_and_still_ends_with_a_submission(
    undisturbed: Path, tmp_path: Path, toy_data: Path
) -> None:
    recorder = Recorder()
    both: list[dict[str, JsonValue]] = [EXPERIMENTS[0], ENDLESS]
    result = execute(options(tmp_path, toy_data, both, budget=6), reporters=[recorder])
    endless = result.plan.experiments[1].experiment_id
    ended = recorder.all(TrialEnded)
    assert [event.status for event in ended] == ["committed", "committed", "stopped"]
    assert ended[-1].trial == Trial(experiment_id=endless, fold=0)
    assert open_run(result.run_dir).result(Trial(experiment_id=endless, fold=0)) is None
    assert recorder.one(RunInterrupted).reason == "deadline"
    assert recorder.one(RunInterrupted).num_committed == 2
    assert result.ensemble is not None
    assert result.num_epochs_trained > 6
    check_submission(result.submission, toy_data / "sample_submission.csv", COMPETITION)
    assert result.seconds < 30


def test_where_every_trial_fails_the_reason_and_the_baseline_are_named(tmp_path: Path, toy_data: Path) -> None:
    diverging: list[dict[str, JsonValue]] = [{**TINY, "epochs": 2, "lr": 1e35, "optimizer": "sgd"}]
    with pytest.raises(NothingToSubmitError, match=r"2 trials failed.*Try a smaller lr.*baseline\.csv"):
        execute(options(tmp_path, toy_data, diverging))
    assert len(list(tmp_path.rglob("baseline.csv"))) == 1


def test_the_clock_is_not_blamed_for_a_trial_that_failed_in_time(tmp_path: Path, toy_data: Path) -> None:
    recorder = Recorder()
    with_a_failure: list[dict[str, JsonValue]] = [{**TINY, "epochs": 2, "lr": 1e35, "optimizer": "sgd"}, EXPERIMENTS[0]]
    execute(options(tmp_path, toy_data, with_a_failure, budget=3600), reporters=[recorder])
    assert not recorder.all(RunInterrupted)
