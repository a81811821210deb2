"""Sources of thousands of trials decide as plainly written ones do, without going through all results each time."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaggle_ray.schedule.source import DeadlineSource, Done, ListSource, TrialSource, Wait
from kaggle_ray.testing.source_contract import drain
from kaggle_ray.types import Experiment, Trial, TrialResult, TrialStatus

NUM_FOLDS = 2
STATUSES: tuple[TrialStatus, ...] = ("committed", "failed", "stopped")


class PlainList(ListSource):
    """A list that looks through all results each time."""

    def next(self) -> Trial | Wait | Done:
        ended = {result.trial for result in self.results}
        for trial in self._pending:
            needs = self._needs[trial.experiment_id]
            if all(Trial(experiment_id=needed, fold=trial.fold) in ended for needed in needs):
                self._pending.remove(trial)
                return trial
        return Wait() if self._pending else Done()


class PlainDeadline(DeadlineSource):
    """A deadline that looks through all results each time."""

    def _fits(self, experiment_id: str) -> bool:
        time_left = self._stop_at - self._now()
        if time_left <= 0 or {experiment_id, *self._needs[experiment_id]} & set(self.dropped):
            return False
        num_ended = sum(result.trial.experiment_id == experiment_id for result in self.results)
        num_rounds = math.ceil((self._num_folds - num_ended) / self._num_slots)
        finished = [result for result in self.results if result.status == "committed"]
        own = [result.duration_s for result in finished if result.trial.experiment_id == experiment_id]
        longest = max((result.duration_s for result in finished), default=0.0)
        return num_rounds * (sum(own) / len(own) if own else longest) <= time_left


def experiments_of(parents: list[int | None]) -> tuple[Experiment, ...]:
    """Return one experiment per item, which starts from the one at that position unless it is None."""
    ids = [f"{number:012x}" for number in range(len(parents))]
    return tuple(
        Experiment(experiment_id=own, name=own, hyperparameters={}, parent_id=None if at is None else ids[at])
        for own, at in zip(ids, parents, strict=True)
    )


def play(source: TrialSource, pass_time: Callable[[float], None], *, num_slots: int, seed: int) -> list[object]:
    """Return what a source answers while trials of random lengths end in random order, and what it has at the end."""
    rng, running, answers = random.Random(seed), list[Trial](), list[object]()
    while True:
        step = source.next() if len(running) < num_slots else Wait()
        answers.append(step)
        if isinstance(step, Trial):
            running.append(step)
            continue
        if not running:
            return [*answers, source.results]
        trial = running.pop(rng.randrange(len(running)))
        seconds = rng.uniform(0.0, 3.0)
        pass_time(seconds)
        source.record(TrialResult(trial=trial, status=rng.choice(STATUSES), attempt_id="x", duration_s=seconds))


@settings(deadline=None)  # of a busy machine
@given(
    parents=st.lists(st.none() | st.integers(0, 6), min_size=1, max_size=7),
    num_ended=st.integers(0, 6),
    seconds=st.floats(0.0, 30.0),
    num_slots=st.integers(1, 4),
    seed=st.integers(0, 2**16),
)
def test_sources_decide_as_those_that_look_through_all_results(
    parents: list[int | None], num_ended: int, seconds: float, num_slots: int, seed: int
) -> None:
    before = [at if at is not None and at < own else None for own, at in enumerate(parents)]
    experiments = experiments_of(before)
    known = [Trial(experiment_id=each.experiment_id, fold=fold) for fold in range(2) for each in experiments]
    results = {
        trial: TrialResult(trial=trial, status=STATUSES[number % 3], attempt_id="x", duration_s=number)
        for number, trial in enumerate(known[:num_ended])
    }

    def played(of_list: type[ListSource], of_deadline: type[DeadlineSource]) -> list[object]:
        clock = [0.0]

        def pass_time(spent: float) -> None:
            clock[0] += spent

        trials = of_list(experiments, NUM_FOLDS, results.get)
        source = of_deadline(trials, experiments, NUM_FOLDS, stop_at=seconds, num_slots=num_slots, now=lambda: clock[0])
        return [*play(source, pass_time, num_slots=num_slots, seed=seed), source.dropped]

    assert played(ListSource, DeadlineSource) == played(PlainList, PlainDeadline)


@pytest.mark.parametrize("make_source", [ListSource, PlainList])
def test_a_list_of_twice_as_many_trials_takes_twice_the_work(
    make_source: type[ListSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    own_hash, num_hashes = Trial.__hash__, 0

    def counted(trial: Trial) -> int:
        nonlocal num_hashes
        num_hashes += 1
        return own_hash(trial)

    monkeypatch.setattr(Trial, "__hash__", counted)
    work = []
    for number in (50, 100):
        num_hashes = 0
        drain(make_source(experiments_of([None] * number), NUM_FOLDS, lambda trial: None), num_slots=2)
        work.append(num_hashes)
    is_linear = work[1] < 2.5 * work[0]
    assert is_linear == (make_source is ListSource), work
