"""Every source keeps the contract, and the contract refuses those that do not."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from kaggle_ray.metrics import LOG_LOSS
from kaggle_ray.schedule.policy import Policy, RunAll
from kaggle_ray.schedule.propose import GivenExperiments
from kaggle_ray.schedule.race import Forgiving
from kaggle_ray.schedule.rounds import Round
from kaggle_ray.schedule.rounds_source import RoundsSource
from kaggle_ray.schedule.source import Continue, DeadlineSource, Done, Ended, ListSource, Stop, Wait
from kaggle_ray.testing.source_contract import check_source
from kaggle_ray.types import EpochMetrics, Experiment, Trial, TrialResult


def with_deadline(experiments: Sequence[Experiment], num_folds: int, ended: Ended, *, left_s: float) -> DeadlineSource:
    source = ListSource(experiments, num_folds, ended)
    return DeadlineSource(source, experiments, num_folds, stop_at=left_s, num_slots=2, now=lambda: 0.0)


class Shuffled(ListSource):
    """Hands out what may start in an order of its own."""

    def __init__(self, experiments: Sequence[Experiment], num_folds: int | None, ended: Ended) -> None:
        super().__init__(experiments, num_folds, ended)
        random.Random(0).shuffle(self._pending)


def test_a_list_keeps_the_contract() -> None:
    check_source(ListSource)


def test_another_order_keeps_the_contract() -> None:
    check_source(Shuffled)


def test_a_source_with_a_deadline_keeps_the_contract() -> None:
    check_source(lambda *given: with_deadline(*given, left_s=1e6))
    check_source(lambda *given: with_deadline(*given, left_s=3.0), hands_out_all=False)


def in_rounds(experiments: Sequence[Experiment], policy: Policy, num_folds: int, ended: Ended) -> RoundsSource:
    saved: dict[int, Round] = {}
    return RoundsSource(
        GivenExperiments(experiments),
        policy,
        num_folds=num_folds,
        greater_is_better=False,
        ended=ended,
        save=lambda decided: saved.setdefault(decided.number, decided),
    )


def test_rounds_keep_the_contract() -> None:
    check_source(lambda these, folds, ended: in_rounds(these, RunAll(num_folds=folds), folds, ended))
    check_source(
        lambda these, folds, ended: in_rounds(these, Forgiving(LOG_LOSS, num_folds=folds), folds, ended),
        hands_out_all=False,
    )


class Repeats(ListSource):
    def next(self) -> Trial | Wait | Done:
        step = super().next()
        if isinstance(step, Trial):
            self._pending.append(step)
        return step


class Impatient(ListSource):
    def next(self) -> Trial | Wait | Done:
        return self._pending.pop(0) if self._pending else Done()


class Stuck(ListSource):
    def next(self) -> Trial | Wait | Done:
        return super().next() if len(self._pending) > 3 else Wait()


class Forgetful(ListSource):
    def __init__(self, experiments: Sequence[Experiment], num_folds: int | None, ended: Ended) -> None:
        super().__init__(experiments, num_folds, lambda trial: None)


class TriesAgain(ListSource):
    def record(self, result: TrialResult) -> None:
        if result.status == "failed":
            self._pending.append(result.trial)
        super().record(result)


class Insists(ListSource):
    def record(self, result: TrialResult) -> None:
        if result.status == "pruned":
            self._pending.append(result.trial)
        super().record(result)


class LosesPatience(ListSource):
    num_told = 0

    def report(self, trial: Trial, metrics: EpochMetrics) -> Continue | Stop:
        self.num_told += 1
        return Continue() if self.num_told < 4 else Stop(reason="enough")


class Whimsical(ListSource):
    whims = random.Random(0)

    def next(self) -> Trial | Wait | Done:
        self.whims.shuffle(self._pending)
        return super().next()


class Adopts(ListSource):
    def admitted(self) -> tuple[Experiment, ...]:
        return (*super().admitted(), Experiment(experiment_id="f" * 12, name="f", hyperparameters={}))


class Lazy(ListSource):
    def next(self) -> Trial | Wait | Done:
        return super().next() if len(self._pending) > 3 else Done()


@pytest.mark.parametrize(
    ("broken", "check"),
    [
        (Repeats, "each_trial_is_handed_out_once_at_most"),
        (Stuck, "each_trial_is_handed_out_once_at_most"),
        (Impatient, "a_trial_waits_for_those_that_it_needs"),
        (Forgetful, "what_ended_before_is_not_repeated"),
        (TriesAgain, "a_failure_is_an_end_too"),
        (Insists, "a_pruned_trial_is_an_end_too"),
        (LosesPatience, "the_same_epochs_get_the_same_answers"),
        (Whimsical, "the_same_results_give_the_same_trials"),
        (Adopts, "only_its_own_experiments_are_admitted"),
        (Lazy, "every_trial_is_handed_out"),
    ],
)
def test_a_source_that_breaks_the_contract_is_refused(broken: type[ListSource], check: str) -> None:
    with pytest.raises(AssertionError) as raised:
        check_source(broken)
    assert raised.value.__notes__ == [f"in the check {check!r} of the source's contract"]
