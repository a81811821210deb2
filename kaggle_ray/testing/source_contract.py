"""The contract of a trial source: call ``check_source`` in a test of each implementation."""

from __future__ import annotations

import random
from collections.abc import Sequence

from kaggle_ray.schedule.source import Continue, Done, MakeSource, Stop, TrialSource, Wait
from kaggle_ray.types import EpochMetrics, Experiment, Trial, TrialResult, TrialStatus

NUM_FOLDS = 3


def _experiment(letter: str, *, parent: str | None = None, teacher: str | None = None) -> Experiment:
    return Experiment(
        experiment_id=letter * 12,
        name=letter,
        hyperparameters={"epochs": 2},
        parent_id=parent and parent * 12,
        teacher_id=teacher and teacher * 12,
    )


EXPERIMENTS = (
    _experiment("a"),
    _experiment("b"),
    _experiment("c", parent="a"),
    _experiment("d", teacher="c"),
    _experiment("e"),
)
"""Among them one that starts from another's weights, and one that learns from what that one says."""


def check_source(make_source: MakeSource, *, hands_out_all: bool = True) -> None:
    """Check what launchers rely on; each check begins with a new source.

    Args:
        make_source: makes the source to check.
        hands_out_all: whether it leaves no trial out, as a race does.

    Raises:
        Exception: whatever the source raised, or an AssertionError, with the name of the check.
    """
    for check in (
        _each_trial_is_handed_out_once_at_most,
        _done_is_final,
        _a_trial_waits_for_those_that_it_needs,
        _what_ended_before_is_not_repeated,
        _a_failure_is_an_end_too,
        _a_pruned_trial_is_an_end_too,
        _the_same_epochs_get_the_same_answers,
        _the_same_results_give_the_same_trials,
        _only_its_own_experiments_are_admitted,
        *([_every_trial_is_handed_out] if hands_out_all else []),
    ):
        try:
            check(make_source)
        except Exception as error:
            error.add_note(f"in the check {check.__name__.strip('_')!r} of the source's contract")
            raise


def drain(
    source: TrialSource, *, num_slots: int = 1, seed: int = 0, status: TrialStatus = "committed"
) -> list[Trial | Wait]:
    """Return what a source answers until it is done, where ``num_slots`` trials run at once and end in any order.

    Raises:
        AssertionError: a trial is handed out twice, or the source waits while nothing runs.
    """
    rng, running, answers = random.Random(seed), list[Trial](), list[Trial | Wait]()
    while True:
        step = source.next() if len(running) < num_slots else Wait()
        if isinstance(step, Trial):
            assert step not in answers, f"{step} was handed out twice"
            running.append(step)
            answers.append(step)
        elif isinstance(step, Wait):
            assert running, "it waits for a trial to end, and none is running"
            answers.append(step)
            source.record(result_of(running.pop(rng.randrange(len(running))), status))
        elif running:
            source.record(result_of(running.pop(rng.randrange(len(running))), status))
        else:
            return answers


def result_of(trial: Trial, status: TrialStatus = "committed") -> TrialResult:
    """Return a result of a trial, with a score that depends on the trial alone."""
    score = int(trial.experiment_id[0], 16) / 16 + trial.fold / 100
    return TrialResult(trial=trial, status=status, attempt_id="x", score=score, duration_s=1.0)


def epoch_of(trial: Trial, epoch: int) -> EpochMetrics:
    """Return what an epoch of a trial measured, which depends on the trial and the epoch alone."""
    score = int(trial.experiment_id[0], 16) / 16 + trial.fold / 100 + 1 / epoch
    return EpochMetrics(epoch=epoch, train_loss=score, valid_loss=score, score=score, lr=0.1, duration_s=1.0)


def _trials(answers: Sequence[Trial | Wait]) -> list[Trial]:
    return [answer for answer in answers if isinstance(answer, Trial)]


def _all_trials() -> set[Trial]:
    return {Trial(experiment_id=each.experiment_id, fold=fold) for each in EXPERIMENTS for fold in range(NUM_FOLDS)}


def _none(trial: Trial) -> TrialResult | None:
    return None


def _each_trial_is_handed_out_once_at_most(make_source: MakeSource) -> None:
    for num_slots in (1, 2, 8):
        trials = _trials(drain(make_source(EXPERIMENTS, NUM_FOLDS, _none), num_slots=num_slots, seed=num_slots))
        assert set(trials) <= _all_trials(), "a trial is of no experiment, or of no fold"


def _done_is_final(make_source: MakeSource) -> None:
    source = make_source(EXPERIMENTS, NUM_FOLDS, _none)
    drain(source)
    assert all(isinstance(source.next(), Done) for _ in range(3)), "after Done came something else"


def _a_trial_waits_for_those_that_it_needs(make_source: MakeSource) -> None:
    needs = {experiment.experiment_id: experiment.needs for experiment in EXPERIMENTS}
    source, running, ended = make_source(EXPERIMENTS, NUM_FOLDS, _none), list[Trial](), set[Trial]()
    while not isinstance(step := source.next(), Done):
        if isinstance(step, Trial):
            for needed in needs[step.experiment_id]:
                assert Trial(experiment_id=needed, fold=step.fold) in ended, f"{step} came before {needed} had ended"
            running.append(step)
            continue
        assert running, "it waits for a trial to end, and none is running"
        ended.add(running[0])
        source.record(result_of(running.pop(0)))


def _what_ended_before_is_not_repeated(make_source: MakeSource) -> None:
    before = {Trial(experiment_id="a" * 12, fold=fold) for fold in range(NUM_FOLDS)}
    source = make_source(EXPERIMENTS, NUM_FOLDS, lambda trial: result_of(trial) if trial in before else None)
    assert not before & set(_trials(drain(source))), "a trial that had ended was handed out again"
    assert not _trials(drain(make_source(EXPERIMENTS, NUM_FOLDS, result_of))), "all had ended, and it goes on"


def _a_failure_is_an_end_too(make_source: MakeSource) -> None:
    drain(make_source(EXPERIMENTS, NUM_FOLDS, _none), num_slots=2, status="failed")


def _a_pruned_trial_is_an_end_too(make_source: MakeSource) -> None:
    drain(make_source(EXPERIMENTS, NUM_FOLDS, _none), num_slots=2, status="pruned")


def _the_same_epochs_get_the_same_answers(make_source: MakeSource) -> None:
    source = make_source(EXPERIMENTS, NUM_FOLDS, _none)
    trial = source.next()
    assert isinstance(trial, Trial)
    answers = [[source.report(trial, epoch_of(trial, epoch)) for epoch in (1, 2)] for _ in range(2)]
    assert answers[0] == answers[1], "a trial that goes on from its checkpoint is answered otherwise than before"
    assert all(isinstance(answer, Continue | Stop) for answer in answers[0])


def _the_same_results_give_the_same_trials(make_source: MakeSource) -> None:
    one, other = (drain(make_source(EXPERIMENTS, NUM_FOLDS, _none), num_slots=2, seed=3) for _ in range(2))
    assert one == other, "it decided otherwise on the same results: a resume would not go on where it was"


def _only_its_own_experiments_are_admitted(make_source: MakeSource) -> None:
    source = make_source(EXPERIMENTS, NUM_FOLDS, _none)
    drain(source)
    admitted = source.admitted()
    assert len(set(e.experiment_id for e in admitted)) == len(admitted), "an experiment is admitted twice"
    assert all(experiment in EXPERIMENTS for experiment in admitted), "an unknown experiment is admitted"


def _every_trial_is_handed_out(make_source: MakeSource) -> None:
    trials = _trials(drain(make_source(EXPERIMENTS, NUM_FOLDS, _none), num_slots=2))
    assert set(trials) == _all_trials(), "a trial was never handed out"
