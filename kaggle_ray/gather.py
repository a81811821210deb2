"""Joins the folds' predictions by id into out-of-fold and test predictions per experiment.

Shape legend: S scored rows in the order of the fold plan, T test rows, C columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kaggle_ray.errors import IncompleteFoldsError
from kaggle_ray.ledger import check_lineage, rows_in
from kaggle_ray.rows import LazyRows, Rows, stacked, take
from kaggle_ray.store.predictions import float_rows
from kaggle_ray.store.run import RunStore
from kaggle_ray.types import Experiment, FloatArray, Folds, IntArray, Predictions, StrArray, Trial, TrialResult


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """The complete experiments of a run, ready to be ensembled."""

    scored_ids: StrArray
    """(S,)"""
    test_ids: StrArray
    """(T,)"""
    oof: Mapping[str, Rows]
    """Experiment id -> (S, C): each row predicted by the one model that never saw it. Masks stay in their files until
    they are asked for; all else is an array."""
    test: Mapping[str, Rows]
    """Experiment id -> (T, C): the mean over the folds' models, of masks computed when it is asked for."""
    missing_folds: Mapping[str, tuple[int, ...]]
    """Experiment id -> the folds that an incomplete experiment lacks."""


def gather(store: RunStore, folds: Folds, experiments: Sequence[Experiment], test_ids: StrArray) -> Pool:
    """Return the pool of all experiments that are complete; the others are named with what they lack.

    Raises:
        CorruptBlobError: a stored file is not the one that was committed.
        LeakError: a model saw a row that it predicted, or a row is not predicted exactly once.
    """
    oof: dict[str, Rows] = {}
    test: dict[str, Rows] = {}
    missing: dict[str, tuple[int, ...]] = {}
    for experiment in experiments:
        try:
            oof[experiment.experiment_id], test[experiment.experiment_id] = gather_experiment(
                store, folds, experiment, test_ids
            )
        except IncompleteFoldsError:
            missing[experiment.experiment_id] = missing_folds(store, folds, experiment)
    return Pool(
        scored_ids=folds.sample_ids[folds.scored_rows()], test_ids=test_ids, oof=oof, test=test, missing_folds=missing
    )


def gather_experiment(store: RunStore, folds: Folds, experiment: Experiment, test_ids: StrArray) -> tuple[Rows, Rows]:
    """Return one experiment's (S, C) out-of-fold and (T, C) mean test predictions; see Pool.

    Raises:
        IncompleteFoldsError: a fold is not committed.
        CorruptBlobError: a stored file is not the one that was committed.
        LeakError: a model saw a row that it predicted, or a row is not predicted exactly once.
    """
    if missing := missing_folds(store, folds, experiment):
        raise IncompleteFoldsError(
            f"experiment {experiment.name}: expected folds 0..{folds.num_folds - 1}, missing {list(missing)}. "
            f"Run the same command again to finish them."
        )
    parts: list[Predictions] = []
    tests: list[Rows] = []
    for trial, result in _results(store, folds, experiment).items():
        valid, test = store.predictions(result)
        check_lineage(trial, valid, folds)
        check_lineage(trial, test, folds)
        expected_ids = folds.sample_ids[folds.valid_rows(trial.fold)]
        rows_in(valid.sample_ids, expected_ids, where=str(trial))
        parts.append(valid)
        of_test = rows_in(test.sample_ids, test_ids, where=f"{trial} on the test set")
        tests.append(take(float_rows(test.values), of_test))
    ids = np.concatenate([part.sample_ids for part in parts])
    of_scored = rows_in(ids, folds.sample_ids[folds.scored_rows()], where=experiment.name)
    oof = take(stacked([float_rows(part.values) for part in parts]), of_scored)
    mean = _mean(tests)
    are_masks = parts[0].values.dtype == np.uint8
    return (oof, mean) if are_masks else (oof[:], mean[:])


def _mean(parts: Sequence[Rows]) -> LazyRows:
    """Return the mean of predictions of the same rows, taken in float64."""

    def read(rows: IntArray) -> FloatArray:
        values = np.stack([part[rows] for part in parts])
        return np.asarray(np.mean(values, axis=0, dtype=np.float64), dtype=np.float32)

    return LazyRows(parts[0].shape, read)


def missing_folds(store: RunStore, folds: Folds, experiment: Experiment) -> tuple[int, ...]:
    """Return the folds of ``experiment`` that have no committed predictions."""
    present = {trial.fold for trial in _results(store, folds, experiment)}
    return tuple(fold for fold in range(folds.num_folds) if fold not in present)


def _results(store: RunStore, folds: Folds, experiment: Experiment) -> dict[Trial, TrialResult]:
    results: dict[Trial, TrialResult] = {}
    for fold in range(folds.num_folds):
        trial = Trial(experiment_id=experiment.experiment_id, fold=fold)
        result = store.result(trial)
        if result is not None and result.status == "committed":
            results[trial] = result
    return results
