"""A run in rounds decides the same whatever the slots, the faults, the order of completion and the resumes."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaggle_ray.errors import RunMismatchError
from kaggle_ray.metrics import LOG_LOSS
from kaggle_ray.schedule.policy import Policy, RunAll, Standing
from kaggle_ray.schedule.propose import GivenExperiments
from kaggle_ray.schedule.race import Forgiving, Race, chances_of_weight
from kaggle_ray.schedule.rounds import Round
from kaggle_ray.schedule.rounds_source import RoundsSource
from kaggle_ray.schedule.source import Done, Stop, Wait
from kaggle_ray.types import EpochMetrics, Experiment, FloatArray, IntArray, Trial, TrialResult

NUM_FOLDS, NUM_EPOCHS, ROWS = 3, 4, 30


def experiments_of(num: int, *, families: bool = True) -> list[Experiment]:
    ids = [f"{number:012x}" for number in range(num)]
    return [
        Experiment(
            experiment_id=each,
            name=each,
            hyperparameters={"epochs": NUM_EPOCHS},
            parent_id=ids[0] if families and number == 3 else None,
        )
        for number, each in enumerate(ids)
    ]


@dataclass
class World:
    """What trials measure, be they run when they may: a function of the trial, and of the world's seed."""

    seed: int
    fails: frozenset[Trial] = frozenset()

    def quality(self, trial: Trial) -> float:
        return random.Random(f"{self.seed} {trial.experiment_id}").uniform(0.1, 1.0)

    def history(self, trial: Trial) -> list[EpochMetrics]:
        rng = random.Random(f"{self.seed} {trial}")
        scores = [self.quality(trial) + rng.uniform(0, 0.1) + 1 / epoch for epoch in range(1, NUM_EPOCHS + 1)]
        return [
            EpochMetrics(epoch=epoch, train_loss=score, valid_loss=score, score=score, lr=0.1, duration_s=1.0)
            for epoch, score in enumerate(scores, start=1)
        ]

    def predictions(self, result: TrialResult) -> FloatArray:
        rng = np.random.default_rng([self.seed, int(result.trial.experiment_id, 16), result.trial.fold])
        signs = 2 * self.target(result.trial.fold).reshape(ROWS, 1) - 1
        logits = signs * 4 * (1.2 - self.quality(result.trial)) + rng.normal(size=(ROWS, 1))
        return np.asarray(1 / (1 + np.exp(-logits)), dtype=np.float32)

    def target(self, fold: int) -> IntArray:
        return np.arange(ROWS) % 2

    def policy(self, name: str) -> Policy:
        if name == "race":
            return Race(self, LOG_LOSS, num_folds=NUM_FOLDS, num_resamples=5)
        return Forgiving(LOG_LOSS, num_folds=NUM_FOLDS) if name == "forgiving" else RunAll(num_folds=NUM_FOLDS)


@dataclass
class Store:
    """The rounds and the committed results of a run."""

    results: dict[Trial, TrialResult] = field(default_factory=dict)
    rounds: dict[int, Round] = field(default_factory=dict)

    def save(self, decided: Round) -> Round:
        return self.rounds.setdefault(decided.number, decided)


@dataclass
class Running:
    trial: Trial
    epoch: int = 0


class FakeLauncher:
    """Runs trials in some slots, an epoch at a time and in any order; kills the run, or a trial, by chance."""

    def __init__(self, world: World, store: Store, *, slots: int, rng: random.Random, faults: float) -> None:
        self.world, self.store, self.slots, self.rng, self.faults = world, store, slots, rng, faults

    def session(self, source: RoundsSource) -> bool:
        """Return whether the source was done; False where the run was killed."""
        running: list[Running] = []
        while True:
            while len(running) < self.slots and isinstance(step := source.next(), Trial):
                assert step not in self.store.results
                running.append(Running(step))
            if not running:
                assert isinstance(step, Done), "it waits, and nothing runs"
                return True
            if self.rng.random() < self.faults / 8:
                return False
            chosen = self.rng.choice(running)
            if (result := self._step(source, chosen)) is not None:
                running.remove(chosen)
                source.record(result)

    def _step(self, source: RoundsSource, running: Running) -> TrialResult | None:
        trial = running.trial
        if self.rng.random() < self.faults / 8:
            return TrialResult(trial=trial, status="failed", attempt_id="", error="its process died")
        if trial in self.world.fails:
            return self._commit(TrialResult(trial=trial, status="failed", attempt_id="x", error="NaN"))
        history = self.world.history(trial)
        running.epoch += 1
        decision = source.report(trial, history[running.epoch - 1])
        told = tuple(history[: running.epoch])
        if isinstance(decision, Stop):
            return self._commit(
                TrialResult(trial=trial, status="pruned", attempt_id="x", history=told, reason=decision.reason)
            )
        if running.epoch < NUM_EPOCHS:
            return None
        return self._commit(
            TrialResult(trial=trial, status="committed", attempt_id="x", history=told, score=history[-1].score)
        )

    def _commit(self, result: TrialResult) -> TrialResult:
        return self.store.results.setdefault(result.trial, result)


def run(
    world: World, policy: str, experiments: Sequence[Experiment], *, slots: int = 1, seed: int = 0, faults: float = 0.0
) -> tuple[Mapping[int, Round], list[str], Store]:
    """Run to the end, resuming as often as that takes; return the rounds and who is admitted."""
    rng, store = random.Random(seed), Store()
    for _ in range(500):
        source = source_of(world, policy, experiments, store)
        launcher = FakeLauncher(world, store, slots=slots, rng=rng, faults=faults)
        if launcher.session(source) and source.is_over:
            return store.rounds, [each.experiment_id for each in source.admitted()], store
    raise AssertionError("it does not end")


def source_of(world: World, policy: str, experiments: Sequence[Experiment], store: Store) -> RoundsSource:
    return RoundsSource(
        GivenExperiments(experiments),
        world.policy(policy),
        num_folds=NUM_FOLDS,
        greater_is_better=False,
        ended=store.results.get,
        save=store.save,
    )


@pytest.mark.parametrize("policy", ["all", "race", "forgiving"])
@given(seed=st.integers(0, 10**6), slots=st.sampled_from([1, 2, 4]), faults=st.sampled_from([0.0, 0.5]), data=st.data())
@settings(max_examples=8, deadline=None)
def test_slots_order_faults_and_resumes_change_no_round(
    policy: str, seed: int, slots: int, faults: float, data: st.DataObject
) -> None:
    experiments = experiments_of(6)
    trials = [Trial(experiment_id=e.experiment_id, fold=fold) for e in experiments for fold in range(NUM_FOLDS)]
    fails = data.draw(st.frozensets(st.sampled_from(trials), max_size=2))
    world = World(seed, fails)
    expected, admitted, _ = run(world, policy, experiments)
    rounds, also_admitted, store = run(world, policy, experiments, slots=slots, seed=seed, faults=faults)
    assert rounds == expected
    assert also_admitted == admitted
    for experiment_id in admitted:
        for fold in range(NUM_FOLDS):
            assert store.results[Trial(experiment_id=experiment_id, fold=fold)].status == "committed"


def test_a_race_runs_less_and_admits_the_best() -> None:
    world, experiments = World(1), experiments_of(12, families=False)
    _, everyone, all_run = run(world, "all", experiments)
    rounds, admitted, raced = run(world, "race", experiments)
    assert len(everyone) == 12
    assert 0 < len(admitted) < 12
    epochs = [sum(len(result.history) for result in store.results.values()) for store in (raced, all_run)]
    assert epochs[0] < epochs[1]
    ranked = sorted(everyone, key=lambda each: world.quality(Trial(experiment_id=each, fold=0)))
    assert ranked[0] in admitted
    assert ranked[-1] not in admitted
    assert not rounds[max(rounds)].trials


def test_idle_slots_run_ahead_and_what_no_round_names_is_not_admitted() -> None:
    world, experiments, store = World(2), experiments_of(2, families=False), Store()
    source = source_of(world, "race", experiments, store)
    first, second = source.next(), source.next()
    assert isinstance(first, Trial)
    assert isinstance(second, Trial)
    assert isinstance(source.next(), Wait), "nothing is known of any yet"
    _, admitted, many = run(world, "race", experiments_of(12, families=False), slots=4, seed=5)
    ran_whole = {
        e for e in {t.experiment_id for t in many.results} if sum(t.experiment_id == e for t in many.results) == 3
    }
    assert set(admitted) <= ran_whole


def test_another_policy_on_the_same_rounds_is_refused_by_name() -> None:
    world, experiments = World(3), experiments_of(8)
    _, _, store = run(world, "race", experiments)
    with pytest.raises(RunMismatchError, match="--policy"):
        source_of(world, "all", experiments, store)


def test_a_failure_that_may_not_repeat_itself_holds_the_round_open_for_a_resume() -> None:
    world, experiments, store = World(4), experiments_of(2, families=False), Store()
    source = source_of(world, "race", experiments, store)
    trials = [source.next(), source.next()]
    for trial in trials:
        assert isinstance(trial, Trial)
        source.record(TrialResult(trial=trial, status="failed", attempt_id="", error="killed"))
    assert isinstance(source.next(), Done)
    assert not source.is_over
    assert source_of(world, "race", experiments, store).next() == trials[0]


def test_the_chance_of_a_weight_is_none_of_noise_and_all_of_the_best() -> None:
    rng = np.random.default_rng(0)
    target = rng.integers(0, 2, size=80)
    good = np.where(target, 0.9, 0.1)[:, None].astype(np.float32)
    bad = np.full((80, 1), 0.5, dtype=np.float32)
    assert chances_of_weight([good, bad], target, np.zeros(80, dtype=np.int8), LOG_LOSS, num_resamples=20) == [1.0, 0.0]


def test_an_experiment_that_is_ahead_is_stopped_by_one_that_comes_to_its_fold_later() -> None:
    class Fixed(World):
        def quality(self, trial: Trial) -> float:
            return {"000000000000": 0.9, "000000000001": 0.8, "000000000002": 0.1}[trial.experiment_id]

    world, experiments = Fixed(0), experiments_of(3, families=False)

    def standing(number: int, folds: Sequence[int]) -> Standing:
        trials = [Trial(experiment_id=experiments[number].experiment_id, fold=fold) for fold in folds]
        results = {t.fold: TrialResult(trial=t, status="committed", attempt_id="x", score=0.5) for t in trials}
        return Standing(experiment=experiments[number], results=results)

    ahead = [standing(0, [0, 1]), standing(1, [0, 1])]
    among_themselves = world.policy("race").judge(ahead)
    assert not among_themselves["000000000001"].is_stopped
    verdicts = world.policy("race").judge([*ahead, standing(2, [0])])
    assert verdicts["000000000001"].is_stopped
    assert verdicts["000000000001"].text.startswith("On fold 0 it has weight in 0.0% of 5 ensembles of resampled rows")
    assert not verdicts["000000000002"].is_stopped


def test_a_trial_is_not_compared_with_those_of_stopped_experiments() -> None:
    world, experiments = World(7), experiments_of(12, families=False)
    rounds, _, store = run(world, "race", experiments)
    first = [trial.experiment_id for trial in rounds[0].trials]
    going_on = [each for each in first if not rounds[1].verdicts[each].is_stopped]
    assert 2 <= len(going_on) < len(first)
    pruned = [result for trial, result in store.results.items() if result.status == "pruned" and trial.fold == 0]
    assert pruned
    assert all(f"of {len(going_on)} others" in (result.reason or "") for result in pruned)


def test_a_trial_is_pruned_only_where_all_others_of_its_fold_were_better_at_half_its_epochs() -> None:
    world = World(0)
    policy, trial = world.policy("race"), Trial(experiment_id="a" * 12, fold=1)

    def history(*scores: float) -> list[EpochMetrics]:
        return [
            EpochMetrics(epoch=number, train_loss=score, valid_loss=score, score=score, lr=0.1, duration_s=1.0)
            for number, score in enumerate(scores, start=1)
        ]

    others = [history(1.0, 0.5), history(0.9, 0.4)]
    why = policy.prune(trial, history(2.0, 1.1), others)
    assert (
        why == "After epoch 2 it scores 1.10000 on fold 1, and the worst of 2 others had 1.00000 there after epoch 1."
    )
    assert policy.prune(trial, history(2.0, 0.95), others) is None
    assert policy.prune(trial, history(2.0, 1.1), others[:1]) is None, "one other is too few"
