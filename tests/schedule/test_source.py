from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaggle_ray.schedule.source import DeadlineSource, Done, ListSource, TrialSource, Wait
from kaggle_ray.types import Experiment, Trial, TrialResult, TrialStatus

LONG, SHORT, OTHER = (Experiment(experiment_id=name * 12, name=name, hyperparameters={}) for name in ("a", "b", "c"))
EXPERIMENTS = (LONG, SHORT, OTHER)
CHILD = Experiment(experiment_id="d" * 12, name="d", hyperparameters={}, parent_id=LONG.experiment_id)


def trial(experiment: Experiment, fold: int) -> Trial:
    return Trial(experiment_id=experiment.experiment_id, fold=fold)


def result(of: Trial, duration_s: float = 1.0, status: TrialStatus = "committed") -> TrialResult:
    return TrialResult(trial=of, status=status, attempt_id="", duration_s=duration_s)


def list_source(*ended: TrialResult, experiments: tuple[Experiment, ...] = EXPERIMENTS, folds: int = 2) -> ListSource:
    return ListSource(experiments, folds, ended={item.trial: item for item in ended}.get)


def drain(source: TrialSource) -> list[Trial]:
    """Take what the source hands out when every trial ends at once."""
    handed_out: list[Trial] = []
    while isinstance(step := source.next(), Trial):
        handed_out.append(step)
        source.record(result(step, 0.0))
    return handed_out


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def deadline(trials: TrialSource, clock: Clock, *, seconds: float, slots: int = 1, folds: int = 2) -> DeadlineSource:
    experiments = (*EXPERIMENTS, CHILD)
    return DeadlineSource(trials, experiments, folds, stop_at=clock.now + seconds, num_slots=slots, now=clock)


# A list -----------------------------------------------------------------------------------------------------------


def test_a_list_hands_out_every_fold_of_one_experiment_before_the_next() -> None:
    source = list_source()
    assert drain(source) == [trial(experiment, fold) for experiment in EXPERIMENTS for fold in range(2)]
    assert isinstance(source.next(), Done)
    assert source.admitted() == EXPERIMENTS


def test_a_resume_skips_what_is_committed_and_what_would_fail_again() -> None:
    ended = (result(trial(LONG, 1)), result(trial(SHORT, 0), status="failed"))
    source = list_source(*ended)
    assert source.results == ended
    assert drain(source) == [trial(LONG, 0), trial(SHORT, 1), trial(OTHER, 0), trial(OTHER, 1)]
    assert source.results[:2] == ended
    assert len(source.results) == 6


def test_a_list_of_which_all_is_committed_is_done_at_once() -> None:
    assert isinstance(list_source(*(result(trial(e, fold)) for e in EXPERIMENTS for fold in range(2))).next(), Done)


# Parents ----------------------------------------------------------------------------------------------------------

FAMILY = (LONG, CHILD, SHORT)


def test_a_child_waits_for_the_same_fold_of_its_parent_and_others_go_ahead() -> None:
    source = list_source(experiments=FAMILY)
    first, second = source.next(), source.next()
    assert (first, second) == (trial(LONG, 0), trial(LONG, 1))
    source.record(result(trial(LONG, 1)))
    assert source.next() == trial(CHILD, 1)
    assert [source.next(), source.next()] == [trial(SHORT, 0), trial(SHORT, 1)]
    assert isinstance(source.next(), Wait)
    source.record(result(trial(LONG, 0)))
    assert source.next() == trial(CHILD, 0)
    assert isinstance(source.next(), Done)


def test_a_child_is_tried_after_its_parent_failed_so_that_the_failure_is_told() -> None:
    source = list_source(result(trial(LONG, 0), status="failed"), experiments=FAMILY)
    assert trial(CHILD, 0) in drain(source)


def test_what_there_is_no_time_for_takes_its_children_along() -> None:
    known = (result(trial(LONG, 0), 30.0), result(trial(SHORT, 0), 5.0))
    source = deadline(list_source(*known, experiments=FAMILY), Clock(), seconds=20.0)
    assert drain(source) == [trial(SHORT, 1)]
    assert source.dropped == [LONG.experiment_id, CHILD.experiment_id]
    stopped = [each.trial for each in source.results if each.status == "stopped"]
    assert sorted(stopped, key=str) == sorted([trial(LONG, 1), trial(CHILD, 0), trial(CHILD, 1)], key=str)


def test_a_deadline_waits_for_parents_too() -> None:
    source = deadline(list_source(experiments=(LONG, CHILD)), Clock(), seconds=100, slots=4)
    assert [source.next(), source.next()] == [trial(LONG, 0), trial(LONG, 1)]
    assert isinstance(source.next(), Wait)


# A deadline -------------------------------------------------------------------------------------------------------


def test_a_deadline_far_away_changes_nothing() -> None:
    source = deadline(list_source(), Clock(), seconds=1e6)
    assert drain(source) == drain(list_source())
    assert source.dropped == []
    assert source.admitted() == EXPERIMENTS


def test_experiments_of_unknown_length_are_given_a_try() -> None:
    source = deadline(list_source(), Clock(), seconds=0.001)
    assert source.next() == trial(LONG, 0)


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_nothing_is_started_once_the_time_is_up(seconds: float) -> None:
    source = deadline(list_source(), Clock(), seconds=seconds)
    assert isinstance(source.next(), Done)
    assert source.dropped == [experiment.experiment_id for experiment in EXPERIMENTS]


def test_what_cannot_end_in_time_is_not_started() -> None:
    clock = Clock()
    source = deadline(list_source(experiments=(LONG,)), clock, seconds=19.9)
    first = source.next()
    assert first == trial(LONG, 0)
    clock.now += 10
    source.record(result(trial(LONG, 0), 10.0))
    assert isinstance(source.next(), Done)
    assert source.dropped == [LONG.experiment_id]


def test_what_just_ends_in_time_is_started() -> None:
    clock = Clock()
    source = deadline(list_source(experiments=(LONG,)), clock, seconds=20.0)
    source.next()
    clock.now += 10
    source.record(result(trial(LONG, 0), 10.0))
    assert source.next() == trial(LONG, 1)


def test_a_shorter_experiment_is_started_in_place_of_one_that_cannot_be_completed() -> None:
    known = (result(trial(LONG, 0), 30.0), result(trial(SHORT, 0), 5.0))
    source = deadline(list_source(*known), Clock(), seconds=20.0)
    assert source.next() == trial(SHORT, 1)
    assert source.dropped == [LONG.experiment_id]


def test_an_unknown_experiment_is_taken_to_be_as_long_as_the_longest_known_one() -> None:
    known = (result(trial(LONG, 0), 30.0), result(trial(LONG, 1), 30.0), result(trial(SHORT, 0), 5.0))
    source = deadline(list_source(*known), Clock(), seconds=59.0)
    assert drain(source) == [trial(SHORT, 1)]
    assert source.dropped == [OTHER.experiment_id]
    assert drain(deadline(list_source(*known), Clock(), seconds=60.0)) == [
        trial(SHORT, 1),
        trial(OTHER, 0),
        trial(OTHER, 1),
    ]


def test_failed_and_stopped_trials_tell_nothing_of_the_length() -> None:
    known = (result(trial(LONG, 0), 1e6, "failed"), result(trial(SHORT, 0), 1e6, "stopped"))
    assert deadline(list_source(*known), Clock(), seconds=1.0).next() == trial(LONG, 1)


@pytest.mark.parametrize(("slots", "started"), [(1, 0), (2, 2)])
def test_two_slots_do_in_one_trials_time_what_one_slot_cannot(slots: int, started: int) -> None:
    known = (result(trial(LONG, 0), 10.0), result(trial(LONG, 1), 10.0))
    trials = list_source(*known, experiments=(LONG, SHORT))
    source = deadline(trials, Clock(), seconds=15.0, slots=slots)
    handed_out = [source.next() for _ in range(2)]
    assert sum(isinstance(step, Trial) for step in handed_out) == started


def test_running_trials_of_the_experiment_count_as_work_to_be_done() -> None:
    known = (result(trial(LONG, 0), 10.0), result(trial(LONG, 1), 10.0))
    trials = list_source(*known, experiments=(LONG, SHORT), folds=3)
    clock = Clock()
    source = deadline(trials, clock, seconds=25.0, slots=2, folds=3)
    assert source.next() == trial(LONG, 2)
    assert source.next() == trial(SHORT, 0), "three folds of 10 s on two slots take 20 s"
    clock.now += 6
    assert isinstance(source.next(), Done), "one runs, two are left: two rounds of 10 s, and 19 s left"
    assert source.dropped == [SHORT.experiment_id]


def test_an_ended_trial_no_longer_counts_as_running() -> None:
    known = (result(trial(LONG, 0), 10.0), result(trial(LONG, 1), 10.0))
    trials = list_source(*known, experiments=(LONG, SHORT))
    clock = Clock()
    source = deadline(trials, clock, seconds=25.0)
    assert source.next() == trial(SHORT, 0)
    clock.now += 10
    source.record(result(trial(SHORT, 0), 10.0))
    assert source.next() == trial(SHORT, 1), "10 s for the one that is left, and 15 s left"


@given(
    durations=st.lists(st.floats(0.5, 20), min_size=3, max_size=3),
    seconds=st.floats(0, 100),
    slots=st.integers(1, 3),
    ended=st.integers(0, 6),
)
def test_every_trial_is_handed_out_at_most_once_and_none_after_done(
    durations: list[float], seconds: float, slots: int, ended: int
) -> None:
    all_trials = [trial(experiment, fold) for experiment in EXPERIMENTS for fold in range(2)]
    length = {experiment.experiment_id: value for experiment, value in zip(EXPERIMENTS, durations, strict=True)}
    clock = Clock()
    before = [result(item, length[item.experiment_id]) for item in all_trials[:ended]]
    source = deadline(list_source(*before), clock, seconds=seconds, slots=slots)
    running: list[tuple[float, Trial]] = []
    handed_out: list[Trial] = []
    while True:
        step = source.next() if len(running) < slots else Wait()
        if isinstance(step, Trial):
            assert clock.now < 1000.0 + seconds
            handed_out.append(step)
            running.append((clock.now + length[step.experiment_id], step))
            continue
        if not running:
            break
        clock.now, done = min(running)
        running.remove((clock.now, done))
        source.record(result(done, length[done.experiment_id]))
    assert isinstance(source.next(), Done)
    assert len(set(handed_out)) == len(handed_out)
    assert set(handed_out) <= set(all_trials[ended:])
    dropped = {item for item in all_trials[ended:] if item not in handed_out}
    assert {item.experiment_id for item in dropped} <= set(source.dropped)
