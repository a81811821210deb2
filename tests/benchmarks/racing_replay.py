"""Recorded curves, and runs that are replayed from them instead of trained: by our policies, by chance, by ASHA.

Shape legend: E experiments, K folds, P epochs, N rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import optuna
from optuna.pruners import SuccessiveHalvingPruner
from racing_curves import CURVES

from kaggle_ray.metrics import Metric
from kaggle_ray.schedule.policy import Policy
from kaggle_ray.schedule.propose import GivenExperiments
from kaggle_ray.schedule.rounds_source import RoundsSource
from kaggle_ray.schedule.source import Stop
from kaggle_ray.types import EpochMetrics, Experiment, Float64Array, FloatArray, IntArray, Trial, TrialResult

METRIC = Metric(
    name="log_loss",
    score_fn=lambda target, of_target: -float(np.log(np.clip(of_target, 1e-15, 1 - 1e-15)).mean()),
    greater_is_better=False,
)
"""Log loss, of the probabilities of the rows' own classes; the target says nothing more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Curves:
    """What complete experiments measured."""

    scores: Float64Array
    """(E, K, P) the score of every epoch."""
    oof: FloatArray
    """(E, N, 1) the probability of the row's class, by the last epoch of the trial of its fold."""
    fold_of: IntArray
    """(N,) folds, one after the other."""

    @staticmethod
    def of_half(half: str, path: Path = CURVES) -> Curves:
        """Read one half of a record."""
        with np.load(path, allow_pickle=False) as record:
            chosen = record["half"] == half
            return Curves(
                scores=record["scores"][chosen].astype(np.float64),
                oof=record["of_target"][chosen].astype(np.float32)[:, :, None],
                fold_of=record["fold_of"].astype(np.int64),
            )

    @property
    def target(self) -> IntArray:
        """(N,) nothing: see ``METRIC``."""
        return np.zeros(len(self.fold_of), dtype=np.int64)

    @property
    def num_folds(self) -> int:
        """Folds of each experiment."""
        return int(self.scores.shape[1])

    @property
    def num_epochs(self) -> int:
        """Epochs of each fold."""
        return int(self.scores.shape[2])

    @property
    def fold_epochs(self) -> int:
        """Epochs of all folds of all experiments together: what a full run trains."""
        return self.scores.size

    def of(self, experiments: IntArray) -> Curves:
        """Return some experiments, in this order."""
        return replace(self, scores=self.scores[experiments], oof=self.oof[experiments])

    def on(self, rows: IntArray) -> Curves:
        """Return some rows; the last epochs' scores are of these, those of the epochs before stay as they are."""
        fold_of, scores = self.fold_of[rows], self.scores.copy()
        of_rows = replace(self, oof=self.oof[:, rows], fold_of=fold_of, scores=scores)
        for experiment, of_experiment in enumerate(of_rows.oof):
            for fold in range(self.num_folds):
                in_fold = fold_of == fold
                scores[experiment, fold, -1] = METRIC.score(of_rows.target[in_fold], of_experiment[in_fold])
        return of_rows

    def history(self, experiment: int, fold: int) -> list[EpochMetrics]:
        """Return what a trial would report."""
        return [
            EpochMetrics(epoch=epoch, train_loss=score, valid_loss=score, score=score, lr=0.0, duration_s=1.0)
            for epoch, score in enumerate(self.scores[experiment, fold].tolist(), start=1)
        ]


class RecordedOutOfFold:
    """Out-of-fold predictions as a policy reads them, of curves."""

    def __init__(self, curves: Curves) -> None:
        """Read from ``curves``."""
        self._curves = curves

    def predictions(self, result: TrialResult) -> FloatArray:
        """Return (n, 1) the predictions of the trial's own fold."""
        return np.asarray(self._curves.oof[int(result.trial.experiment_id), self._curves.fold_of == result.trial.fold])

    def target(self, fold: int) -> IntArray:
        """Return (n,) nothing: see ``METRIC``."""
        return np.asarray(self._curves.target[self._curves.fold_of == fold])


@dataclass(frozen=True, kw_only=True, slots=True)
class Replayed:
    """What a way to save work trains, and what it leaves for the ensemble."""

    fold_epochs: int
    complete: IntArray
    """Experiments that enter the ensemble, by their position among the curves."""


MakePolicy = Callable[[Curves], Policy]


def replayed(curves: Curves, make_policy: MakePolicy, *, num_slots: int = 1) -> Replayed:
    """Run the real source of a policy with trials that read their epochs instead of training them, at equal speeds."""
    experiments = [
        Experiment(experiment_id=str(number), name=str(number), hyperparameters={"epochs": curves.num_epochs})
        for number in range(len(curves.scores))
    ]
    source = RoundsSource(
        GivenExperiments(experiments),
        make_policy(curves),
        num_folds=curves.num_folds,
        greater_is_better=METRIC.greater_is_better,
        ended=lambda trial: None,
        save=lambda decided: decided,
    )
    running: dict[Trial, int] = {}
    fold_epochs = 0
    while running or not source.is_over:
        while len(running) < num_slots and isinstance(trial := source.next(), Trial):
            running[trial] = 0
        for trial in list(running):
            running[trial] += 1
            fold_epochs += 1
            if (result := _after_epoch(source, curves, trial, running[trial])) is not None:
                del running[trial]
                source.record(result)
    complete = np.array([int(each.experiment_id) for each in source.admitted()])
    return Replayed(fold_epochs=fold_epochs, complete=complete)


def _after_epoch(source: RoundsSource, curves: Curves, trial: Trial, epoch: int) -> TrialResult | None:
    """Return how the trial ended; None where it goes on."""
    history = tuple(curves.history(int(trial.experiment_id), trial.fold)[:epoch])
    result = TrialResult(trial=trial, status="committed", attempt_id="", history=history, score=history[-1].score)
    decision = source.report(trial, history[-1])
    if isinstance(decision, Stop):
        return replace(result, status="pruned", reason=decision.reason, score=None)
    return result if epoch == curves.num_epochs else None


def by_chance(curves: Curves, budget: int, rng: np.random.Generator) -> Replayed:
    """Complete as many experiments, drawn by chance, as cost ``budget`` fold-epochs on average."""
    cost = curves.num_folds * curves.num_epochs
    number = budget // cost + (rng.random() < budget % cost / cost)
    complete = rng.permutation(len(curves.scores))[:number]
    return Replayed(fold_epochs=number * cost, complete=complete)


def by_asha(curves: Curves, budget: int, *, reduction_factor: int) -> Replayed:
    """Run ASHA on fold 0, then what is left of those that came furthest, the best first, until ``budget`` is spent.

    Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020; Optuna's implementation.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = SuccessiveHalvingPruner(min_resource=1, reduction_factor=reduction_factor)
    study = optuna.create_study(direction="minimize", pruner=pruner)
    reached: list[tuple[int, float, int]] = []
    for experiment, scores in enumerate(curves.scores[:, 0].tolist()):
        trial = study.ask()
        for epoch, score in enumerate(scores, start=1):
            trial.report(score, epoch)
            if trial.should_prune():
                break
        study.tell(trial, score)
        reached.append((-epoch, score, experiment))
    complete: list[int] = []
    fold_epochs = sum(-negative for negative, _, _ in reached)
    for negative, _, experiment in sorted(reached):
        cost = curves.num_folds * curves.num_epochs + negative
        if complete and fold_epochs + cost / 2 > budget:
            break
        fold_epochs += cost
        complete.append(experiment)
    return Replayed(fold_epochs=fold_epochs, complete=np.array(complete))


def halves_of(curves: Curves, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Return two halves of the rows, each with half of every fold."""
    order = rng.permutation(len(curves.target))
    order = order[np.argsort(curves.fold_of[order], kind="stable")]
    return np.sort(order[::2]), np.sort(order[1::2])


def full_run(curves: Curves) -> Replayed:
    """Return what a full run trains and leaves."""
    return Replayed(fold_epochs=curves.fold_epochs, complete=np.arange(len(curves.scores)))
