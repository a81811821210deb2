"""Joins the folds' predictions by id into out-of-fold and test predictions.

Shape legend: S scored rows in the order of the fold plan, T test rows, K folds, C columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from kaggle_ray.config import parse_hyperparameters
from kaggle_ray.data.samples import Samples
from kaggle_ray.errors import IncompleteFoldsError
from kaggle_ray.pool.ledger import check_lineage, check_pseudolabels, rows_in
from kaggle_ray.pool.members import Member, MemberPart, alone, members_of
from kaggle_ray.rows import LazyRows, MeanRows, Rows, are_read_anew, parts_of, select_rows, stacked
from kaggle_ray.store.attempt import TEST_FILE
from kaggle_ray.store.predictions import float_rows
from kaggle_ray.store.run import RunStore
from kaggle_ray.types import Experiment, FloatArray, Folds, IntArray, Lineage, Predictions, StrArray, Trial, TrialResult


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """What the complete experiments of a run predict, ready to be ensembled."""

    scored_ids: StrArray
    """(S,) ids of the rows that some fold scores."""
    test_ids: StrArray
    """(T,) ids of the rows to predict."""
    oof: Mapping[str, Rows]
    """Member id -> (S, C): each row predicted by models that never saw it. Masks stay in their files until they are
    asked for; all else is an array."""
    test: Mapping[str, Rows]
    """Member id -> (T, C): the mean over the folds' models, of masks computed when it is asked for."""
    members: Mapping[str, Member]
    """Member id -> what the member is made of."""
    of_seeds: Mapping[str, Rows] = field(default_factory=dict)
    """Experiment id -> (S, C) out-of-fold predictions of those that are in a mean over seeds, each by itself."""
    unproven: frozenset[str] = frozenset()
    """Complete experiments, and members made of them, of which the scored rows had, or may have had, a say in the
    weights: they are in none of the above unless they are admitted."""
    missing_folds: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Experiment id -> the folds that an incomplete experiment lacks."""
    scored_table: FloatArray | None = None
    """(S, D) numbers that come with the scored rows, NaN where one is missing; None without a table."""
    test_table: FloatArray | None = None
    """(T, D) the same of the rows to predict."""

    def with_table_of(self, samples: Samples, folds: Folds) -> Pool:
        """Return the pool with the numbers that come with its rows, as far as there are any.

        Args:
            samples: of the run, to train on in the order of ``folds``, and to predict in that of ``test_ids``.
            folds: of the run.
        """
        train, test = samples.train_table, samples.test_table
        if train is None or test is None:
            return self
        return replace(self, scored_table=train.values[folds.scored_rows()], test_table=test.values)


def gather(
    store: RunStore,
    folds: Folds,
    experiments: Sequence[Experiment],
    test_ids: StrArray,
    *,
    greater_is_better: bool = False,
    admit_unproven: bool = False,
) -> Pool:
    """Return the pool of all experiments that are complete; the others are named with what they lack.

    Args:
        store: of the run.
        folds: its fold plan.
        experiments: that may enter.
        test_ids: (T,) the rows to predict.
        greater_is_better: of the metric, where epochs are chosen by it.
        admit_unproven: take members, too, whose weights the scored rows had, or may have had, a say in.

    Raises:
        CorruptBlobError: a stored file is not the one that was committed.
        LeakError: a model saw a row that it predicted, or a row is not predicted exactly once.
    """
    missing: dict[str, tuple[int, ...]] = {}
    complete: dict[str, Sequence[TrialResult]] = {}
    for experiment in experiments:
        if lacking := missing_folds(store, folds, experiment):
            missing[experiment.experiment_id] = lacking
        else:
            complete[experiment.experiment_id] = list(_results(store, folds, experiment).values())
    oof: dict[str, Rows] = {}
    test: dict[str, Rows] = {}
    members = members_of(experiments, complete, greater_is_better=greater_is_better, forward=folds.forward)
    unproven = {
        experiment.experiment_id
        for experiment in experiments
        if experiment.experiment_id in complete
        and not _is_proven(store, experiment, complete[experiment.experiment_id])
    }
    unproven |= {member.member_id for member in members if any(part.experiment_id in unproven for part in member.parts)}
    for member in members:
        if admit_unproven or member.member_id not in unproven:
            oof[member.member_id], test[member.member_id] = read_member(store, folds, member, test_ids)
    singles = [
        alone(member, experiment)
        for member in members
        if member.member_id in oof and len(member.parts) > 1 and "@" not in member.member_id
        for experiment in experiments
        if experiment.experiment_id in {part.experiment_id for part in member.parts}
    ]
    return Pool(
        scored_ids=folds.sample_ids[folds.scored_rows()],
        test_ids=test_ids,
        oof=oof,
        test=test,
        members={member.member_id: member for member in members},
        of_seeds={single.member_id: read_member(store, folds, single, test_ids)[0] for single in singles},
        unproven=frozenset(unproven),
        missing_folds=missing,
    )


def read_member(store: RunStore, folds: Folds, member: Member, test_ids: StrArray) -> tuple[MeanRows, MeanRows]:
    """Return one member's (S, C) out-of-fold and (T, C) mean test predictions; see Pool.

    Raises:
        IncompleteFoldsError: a fold is not committed.
        CorruptBlobError: a stored file is not the one that was committed.
        LeakError: a model saw a row that it predicted, or a row is not predicted exactly once.
    """
    parts = [_read_part(store, folds, part, test_ids, name=member.name) for part in member.parts]
    if len(parts) == 1:
        return parts[0]
    oof, test = mean_of([oof for oof, _ in parts]), mean_of([test for _, test in parts])
    are_masks = are_read_anew(parts[0][0])
    return (oof, test) if are_masks else (MeanRows(oof[:], oof.parts), MeanRows(test[:], test.parts))


def _read_part(
    store: RunStore, folds: Folds, part: MemberPart, test_ids: StrArray, *, name: str
) -> tuple[MeanRows, MeanRows]:
    valids: list[Predictions] = []
    tests: list[Rows] = []
    again: list[Rows] = []
    for fold, epoch in enumerate(part.epochs):
        trial = Trial(experiment_id=part.experiment_id, fold=fold)
        result = store.result(trial)
        if result is None or result.status != "committed":
            raise IncompleteFoldsError(
                f"experiment {name}: fold {fold} is not committed. Run the same command again to finish it."
            )
        valid, test = store.predictions(result, epoch=epoch)
        check_lineage(trial, valid, folds)
        check_lineage(trial, test, folds)
        assert valid.lineage is not None, "one without is refused"
        _check_pseudolabels(store, folds, trial, valid.lineage)
        expected_ids = folds.sample_ids[folds.valid_rows(trial.fold)]
        rows_in(valid.sample_ids, expected_ids, where=str(trial))
        valids.append(valid)
        of_test = rows_in(test.sample_ids, test_ids, where=f"{trial} on the test set")
        tests.append(select_rows(float_rows(test.values), of_test))
        order = None if np.array_equal(of_test, np.arange(len(test_ids))) else of_test  # most often it is the run's own
        again.append(LazyRows(tests[-1].shape, partial(_read_again, store, result, epoch, order)))
    ids = np.concatenate([valid.sample_ids for valid in valids])
    of_scored = rows_in(ids, folds.sample_ids[folds.scored_rows()], where=name)
    oof = select_rows(stacked([float_rows(valid.values) for valid in valids]), of_scored)
    if valids[0].values.dtype == np.uint8:  # masks, which are read whenever they are asked for
        return MeanRows(oof, (oof,)), mean_of(tests)
    values = oof[:]
    return MeanRows(values, (values,)), MeanRows(mean_of(tests)[:], tuple(again))


def _read_again(
    store: RunStore, result: TrialResult, epoch: int | None, order: IntArray | None, rows: IntArray
) -> FloatArray:
    """Return what one fold's model predicts of test rows: so many files are not kept open, nor what is in them."""
    _, test = store.predictions(result, epoch=epoch)
    return np.asarray(test.values[rows if order is None else order[rows]], dtype=np.float32)


def _check_pseudolabels(store: RunStore, folds: Folds, trial: Trial, lineage: Lineage) -> None:
    for source in lineage.pseudolabels:
        labeller = store.result(source.trial)
        if labeller is None or labeller.status != "committed":
            check_pseudolabels(trial, source, None, None, folds)
        else:
            check_pseudolabels(trial, source, labeller.blobs.get(TEST_FILE), store.lineage(labeller), folds)


def mean_of(parts: Sequence[Rows]) -> MeanRows:
    """Return the mean of predictions of the same rows, taken in float64, which are still known apart.

    Of parts that are means themselves it is the mean of these, and the models are all of theirs.
    """
    models = tuple(model for part in parts for model in parts_of(part))
    if len(parts) == 1:
        return MeanRows(parts[0].mean if isinstance(parts[0], MeanRows) else parts[0], models)

    def read(rows: IntArray) -> FloatArray:
        values = np.stack([part[rows] for part in parts])
        return np.asarray(np.mean(values, axis=0, dtype=np.float64), dtype=np.float32)

    return MeanRows(LazyRows(parts[0].shape, read), models)


def _is_proven(store: RunStore, experiment: Experiment, results: Sequence[TrialResult]) -> bool:
    """Return whether neither what the experiment declares nor what its trials tell speaks against an honest score."""
    hyperparameters = parse_hyperparameters(experiment.hyperparameters, where=experiment.name)
    return hyperparameters.why_unproven is None and all(store.lineage(result).is_proven for result in results)


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
