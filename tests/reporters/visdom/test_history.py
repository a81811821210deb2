from __future__ import annotations

from dataclasses import replace

import pytest

from kaggle_ray.reporters.events import RunEnded, TrialEnded
from kaggle_ray.reporters.visdom.history import NUM_NOTES, RunHistory
from kaggle_ray.testing.told import told_run

NAMES = {f"{number:012x}": f"resnet-{number}" for number in range(4)}


def history_of(*, num_told: int | None = None) -> RunHistory:
    history = RunHistory()
    for envelope in list(told_run(names=NAMES, num_folds=2, num_epochs=3))[:num_told]:
        history.update(envelope)
    return history


def test_an_event_that_comes_again_counts_once() -> None:
    once, twice = history_of(), history_of()
    for envelope in told_run(names=NAMES, num_folds=2, num_epochs=3):
        twice.update(envelope)
    assert twice.progress.pace.num_epochs == once.progress.pace.num_epochs == 4 * 2 * 3
    assert (twice.notes, twice.epochs, twice.board) == (once.notes, once.epochs, once.board)


def test_a_driver_that_goes_on_is_judged_by_its_own_pace_and_keeps_the_curves() -> None:
    history = history_of(num_told=8)
    for envelope in list(told_run(names=NAMES, num_folds=2, num_epochs=3))[:6]:
        history.update(replace(envelope, time=envelope.time + 1e6))
    assert history.progress.pace.num_epochs == 3
    assert history.progress.elapsed_s < 100
    assert list(history.epochs) == ["000000000000"]


def test_before_the_end_experiments_are_ranked_by_the_means_of_their_folds_and_the_whole_ones_come_first() -> None:
    history = history_of(num_told=2 + 2 * 5 + 2 * 5 + 5)  # of four experiments two, and a fold of the third
    board = history.board
    assert [(row.name, row.folds_done) for row in board] == [("resnet-0", 2), ("resnet-1", 2), ("resnet-2", 1)]
    assert board[0].score == pytest.approx(sum(trial_scores(history, "000000000000")) / 2)


def trial_scores(history: RunHistory, experiment_id: str) -> list[float]:
    return [
        trial.score
        for trial in history.progress.ended("committed")
        if trial.trial.experiment_id == experiment_id and trial.score is not None
    ]


def test_at_the_end_the_board_is_the_run_s_own() -> None:
    end = list(told_run(names=NAMES, num_folds=2, num_epochs=3))[-1].event
    assert isinstance(end, RunEnded)
    assert history_of().board == list(end.board)


def test_the_best_experiments_are_those_of_the_least_loss_in_the_order_they_began() -> None:
    assert history_of().best_experiments(2) == list(NAMES)[:2]


def test_what_is_noted_is_bounded_and_leaves_epochs_and_good_ends_out() -> None:
    history = history_of()
    assert len(history.notes) <= NUM_NOTES
    assert not any("epoch" in note for note in history.notes)
    failed = list(told_run(names=NAMES, num_folds=2, num_epochs=3))[6]
    assert isinstance(failed.event, TrialEnded)
    for number in range(30):
        event = replace(failed.event, status="failed", error=f"no {number}")
        history.update(replace(failed, event=event, time=failed.time + number + 1))
    assert len(history.notes) == NUM_NOTES
    assert "no 29" in history.notes[-1]
