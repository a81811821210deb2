from __future__ import annotations

import io
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import FrameType
from typing import Any

import pytest
from rich.console import Console

from kaggle_ray.reporters.console import ConsoleReporter
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import EpochEnded, Event, RoundBegan, RunStarted, TrialEnded, TrialStarted
from kaggle_ray.reporters.live_view import live_view
from kaggle_ray.reporters.progress import RunProgress
from kaggle_ray.testing.reporter_contract import addressed
from kaggle_ray.types import EpochMetrics, Location, Trial, TrialStatus

NUM_FOLDS, NUM_EPOCHS = 2, 2


def name_of(number: int) -> str:
    return f"{number:012d}"


def run_started(num_experiments: int, *, ended: Sequence[TrialEnded] = (), greater_is_better: bool = False) -> Event:
    ids = [name_of(number) for number in range(num_experiments)]
    return RunStarted(
        metric="log_loss",
        greater_is_better=greater_is_better,
        num_folds=NUM_FOLDS,
        experiments=dict(zip(ids, ids, strict=True)),
        epochs=dict.fromkeys(ids, NUM_EPOCHS),
        launcher="ray",
        num_slots=1,
        run_dir=Location("runs/x"),
        ended=tuple(ended),
    )


def epoch_ended(trial: Trial, number: int) -> Event:
    metrics = EpochMetrics(epoch=number, train_loss=0.25, valid_loss=0.5, score=0.5, lr=0.1, duration_s=1.0)
    return EpochEnded(trial=trial, metrics=metrics)


def committed(trial: Trial, score: float) -> TrialEnded:
    return TrialEnded(trial=trial, status="committed", score=score, duration_s=1.0)


def story(num_experiments: int) -> list[Event]:
    """A run whose experiments get worse: the first stays the best."""
    events = [run_started(num_experiments)]
    for number in range(num_experiments):
        for fold in range(NUM_FOLDS):
            trial = Trial(experiment_id=name_of(number), fold=fold)
            events += [
                TrialStarted(trial=trial),
                *(epoch_ended(trial, epoch) for epoch in range(1, NUM_EPOCHS + 1)),
                committed(trial, 0.25 + number),
            ]
    return events


def envelopes(events: Sequence[Event]) -> list[Envelope]:
    return [addressed(event, time=float(time)) for time, event in enumerate(events)]


def work(tell: Callable[[Envelope], None], told: Sequence[Envelope]) -> int:
    """Return how many bytecodes of the reporters' modules are executed as they are told: the same on any machine."""
    executed = 0

    def trace(frame: FrameType, kind: str, argument: Any) -> Any:
        nonlocal executed
        if "kaggle_ray/reporters" not in frame.f_code.co_filename:
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        executed += kind == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for envelope in told:
            tell(envelope)
    finally:
        sys.settrace(before)
    return executed


@pytest.mark.parametrize("terminal", [True, False])
def test_the_work_of_the_console_grows_with_the_number_of_trials_and_not_with_its_square(terminal: bool) -> None:
    def of_run(num_experiments: int) -> int:
        progress, reporter = RunProgress(), ConsoleReporter(Console(file=io.StringIO(), force_terminal=False))

        def tell(envelope: Envelope) -> None:
            progress.update(envelope)
            live_view(progress)  # without the terminal, whose thread draws by the clock

        return work(tell if terminal else reporter.emit, envelopes(story(num_experiments)))

    assert of_run(60) < 3.3 * of_run(20), "three times as many trials"


def test_a_round_of_a_search_costs_no_more_than_what_it_proposes() -> None:
    def of_search(num_rounds: int) -> int:
        progress = RunProgress()
        progress.update(addressed(run_started(0), time=0.0))
        rounds = [
            RoundBegan(number=number, experiments={name_of(number): "x"}, epochs={name_of(number): NUM_EPOCHS})
            for number in range(num_rounds)
        ]
        return work(progress.update, envelopes(rounds))

    assert of_search(60) < 3.3 * of_search(20)


@pytest.mark.parametrize("greater_is_better", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_events_in_any_order_sum_up_to_what_the_trials_are(seed: int, greater_is_better: bool) -> None:
    draw = random.Random(seed)
    trials = [Trial(experiment_id=name_of(number), fold=fold) for number in range(4) for fold in range(-1, NUM_FOLDS)]
    proposed = RoundBegan(number=1, experiments={name_of(3): "late"}, epochs={name_of(3): 7})
    events: list[Event] = [run_started(3, ended=[committed(trials[1], 0.5)], greater_is_better=greater_is_better)]
    events.append(proposed)
    for trial in trials:
        events += [TrialStarted(trial=trial), epoch_ended(trial, 1), committed(trial, draw.random())]
        status: TrialStatus = draw.choice(("failed", "pruned", "stopped"))
        events.append(TrialEnded(trial=trial, status=status, score=None, duration_s=1.0))
    draw.shuffle(events)
    progress = RunProgress()
    for envelope in envelopes(events):
        progress.update(envelope)
        assert_sums_up(progress)
    progress.cut_short()
    assert progress.running == []
    assert_sums_up(progress)


def assert_sums_up(progress: RunProgress) -> None:
    """Assert that a progress says what a walk through all of its trials says."""
    trials = progress.trials.values()
    running = [each for each in trials if each.status == "running"]
    planned = [t for t in progress.trials if t.experiment_id in progress.names and 0 <= t.fold < progress.num_folds]
    others = progress.trials.keys() - planned
    num_left = sum(max(0, progress.num_epochs_of(each.trial) - each.epoch) for each in running)
    num_heard_of = sum(progress.num_epochs_of(trial) for trial in progress.trials)
    planned_epochs = progress.num_folds * sum(progress.epochs[each] for each in progress.names)
    assert sorted(map(id, progress.running)) == sorted(map(id, running))
    assert progress.num_settled == len(trials) - len(running)
    assert progress.num_waiting == progress.num_experiments * progress.num_folds - len(planned)
    assert progress.num_ended("committed") == len(progress.ended("committed"))
    assert progress.num_epochs == planned_epochs + sum(map(progress.num_epochs_of, others))
    assert progress.num_epochs_left == num_left + progress.num_epochs - num_heard_of
    assert (progress.best and progress.best.score) == best_score(progress)


def best_score(progress: RunProgress) -> float | None:
    scores: dict[str, list[float]] = {}
    for each in progress.ended("committed"):
        if each.score is not None:
            scores.setdefault(each.trial.experiment_id, []).append(each.score)
    means = [sum(of) / len(of) for of in scores.values() if len(of) == progress.num_folds]
    singles = [score for of in scores.values() for score in of]
    return (max if progress.greater_is_better else min)(means or singles, default=None)


def test_the_time_left_weighs_dear_epochs_by_their_cost() -> None:
    """The first experiment takes 1 s an epoch, the second is ten times as dear, and of the third nothing is said."""
    cheap, dear = map(name_of, range(2))
    started = run_started(3)
    assert isinstance(started, RunStarted)
    progress = RunProgress()
    progress.update(addressed(replace(started, epoch_costs={cheap: 2.0, dear: 20.0}), time=0.0))
    assert progress.eta_s is None
    first = Trial(experiment_id=cheap, fold=0)
    progress.update(addressed(TrialStarted(trial=first), time=0.0))
    for number in (1, 2):
        progress.update(addressed(epoch_ended(first, number), time=float(number)))
    progress.update(addressed(committed(first, 0.5), time=2.0))
    assert progress.num_epochs_left == 10
    assert progress.eta_s == pytest.approx(2 * 1 + 4 * 10 + 4 * 5.5)


def test_the_time_left_has_features_until_they_are_there_and_epochs_are_no_slower_by_them() -> None:
    """Epochs of both take 1 s; the second experiment's features, of which its folds share one set, are dear."""
    cheap, probe = map(name_of, range(2))
    started = run_started(2)
    assert isinstance(started, RunStarted)
    progress = RunProgress()
    costs: Mapping[str, Any] = {"epoch_costs": {cheap: 1.0, probe: 1.0}, "feature_costs": {probe: [{"plain": 20.0}]}}
    progress.update(addressed(replace(started, **costs), time=0.0))

    def train(experiment_id: str, fold: int, *, began_at: float, first_at: float) -> None:
        trial = Trial(experiment_id=experiment_id, fold=fold)
        progress.update(addressed(TrialStarted(trial=trial), time=began_at))
        for number in (1, 2):
            progress.update(addressed(epoch_ended(trial, number), time=first_at + number - 1))
        progress.update(addressed(committed(trial, 0.5), time=first_at + 1))

    train(cheap, 0, began_at=0.0, first_at=1.0)
    train(cheap, 1, began_at=2.0, first_at=3.0)
    assert progress.eta_s == pytest.approx(4 * 1 + 20), "as dear as they seem"
    progress.update(addressed(TrialStarted(trial=Trial(experiment_id=probe, fold=0)), time=4.0))
    progress.now = 14.0
    assert progress.eta_s == pytest.approx(4 * 1 + 10), "half of them"
    train(probe, 0, began_at=4.0, first_at=45.0)
    assert progress.eta_s == pytest.approx(2 * 1), "there, after 40 seconds"
    train(probe, 1, began_at=46.0, first_at=47.0)
    assert progress.eta_s == 0
