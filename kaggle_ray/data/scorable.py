"""Finds before training what a metric cannot score after it: a fold's rows, or an inner split's, that lack an answer.

Shape legend: N rows, A answers that a row can have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from kaggle_ray.counted import counted
from kaggle_ray.data.baseline import perfect_predictions, target_of
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.folds import FoldScheme
from kaggle_ray.data.head import Head, place_heads, without_shares
from kaggle_ray.data.inner import inner_split
from kaggle_ray.data.samples import Samples
from kaggle_ray.errors import FoldsError
from kaggle_ray.types import BoolArray, Folds, IntArray, StrArray, Target


@dataclass(frozen=True, kw_only=True, slots=True)
class InnerSplit:
    """How an experiment holds rows out from its training rows, to choose an epoch by."""

    share: float
    seed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _ScoredTogether:
    """Rows that a metric scores at once."""

    name: str
    """What they are, as a message begins."""
    rows: IntArray
    """(n,) their positions."""
    is_inner: bool = False


def check_scorable(
    competition: Competition,
    samples: Samples,
    folds: Folds,
    *,
    groups: StrArray | None,
    inner_splits: Set[InnerSplit] = frozenset(),
    fitted_on: Mapping[str, IntArray] = MappingProxyType({}),
) -> None:
    """Raise FoldsError for the first fold, inner split or other rows that some head's metric cannot score.

    Each is scored by perfect predictions: where these fail, as AUC does without a row of a label, so does any model
    after hours. A metric that fails on all rows as well is not looked at here, nor one that is the mean of its rows.

    Args:
        competition: with its heads, and how its folds are made.
        samples: its rows.
        folds: of these rows.
        groups: (N,) rows that an inner split keeps together; None is none.
        inner_splits: of the experiments that choose an epoch by one.
        fitted_on: name -> positions of rows other than a fold's by whose score weights or rules are fitted.
    """
    scored = folds.scored_rows()
    scored_together = [
        *_scored_together(competition, samples, folds, groups, inner_splits),
        *(_ScoredTogether(name=name, rows=rows) for name, rows in fitted_on.items()),
    ]
    for place in place_heads(competition.heads):
        head = place.head
        if head.task == "segmentation" or head.metric.mean_over_rows:
            continue
        target = np.asarray(target_of(place, samples.target)[:])
        names, answers = _answers(head, without_shares((head,), target))
        if _failure(head, target[scored]) and answers[scored].any(axis=0).all():
            continue
        for each in scored_together:
            if failure := _failure(head, target[each.rows]):
                lacking = np.flatnonzero(~answers[each.rows].any(axis=0)).tolist()
                why, num_with = failure, len(scored)
                if lacking:
                    num_with = int(answers[scored, lacking[0]].sum())
                    why = (
                        f"none of them {names[lacking[0]]} (of all {counted(len(scored), 'scored row')} {num_with} do)"
                    )
                raise FoldsError(
                    f"{each.name}: metric {head.metric.name!r} of head {head.name!r} cannot score its "
                    f"{counted(len(each.rows), 'row')}: {why}. "
                    f"{_advice(competition.folds, head, each, num_with, samples)}"
                )


def _scored_together(
    competition: Competition, samples: Samples, folds: Folds, groups: StrArray | None, inner_splits: Set[InnerSplit]
) -> Iterator[_ScoredTogether]:
    for fold in range(folds.num_folds):
        yield _ScoredTogether(name=f"fold {fold}", rows=folds.valid_rows(fold))
    for inner in sorted(inner_splits, key=lambda inner: (inner.seed, inner.share)):
        for fold in range(folds.num_folds):
            _, rows = inner_split(
                competition.folds.kind, samples, folds.train_rows(fold),
                share=inner.share, seed=inner.seed, groups=groups, heads=competition.heads,
            )  # fmt: skip
            name = f"the inner split (share {inner.share:g}, seed {inner.seed}) of fold {fold}"
            yield _ScoredTogether(name=name, rows=rows, is_inner=True)


def _failure(head: Head, target: Target) -> str | None:
    """Return why the head's metric cannot score perfect predictions of ``target``, None where it can."""
    try:
        head.metric.score(target, perfect_predictions(head, target))
    except Exception as error:  # a competition's own metric may raise anything
        return f"{type(error).__name__}: {str(error).rstrip('.')}"
    return None


def _answers(head: Head, target: Target) -> tuple[list[str], BoolArray]:
    """Return what a row is said to do that has an answer, for A answers, and (N, A) whether it does."""
    if head.task == "regression":
        return [], np.zeros((len(target), 0), dtype=np.bool_)
    if head.task == "multilabel":
        has = target.reshape(len(target), -1) > 0
        names = [f"{verb} the label {name!r}" for verb in ("has", "lacks") for name in head.classes]
        return names, np.concatenate([has, ~has], axis=1)
    return [f"is of class {name!r}" for name in head.classes], target[:, np.newaxis] == np.arange(len(head.classes))


def _advice(scheme: FoldScheme, head: Head, each: _ScoredTogether, num_with: int, samples: Samples) -> str:
    """Return what a person can do, where ``num_with`` of all scored rows have the answer that is lacking."""
    own_metric = "a Metric of your own that leaves out of its mean what the rows lack"
    if each.is_inner:
        return f"Use a larger inner_share, epoch_rule 'last', or {own_metric}."
    if num_with < 2:
        return f"Find more such rows, or use {own_metric}."
    if num_with < scheme.num_folds:
        return f"Use at most {counted(num_with, 'fold')}, or {own_metric}."
    best = "stratified" if samples.groups is None else "stratified_group"
    alike = ("stratified", "stratified_group", "multilabel") if head.task == "multilabel" else (best,)
    kind = f"folds of kind {best!r}, " if scheme.kind not in (*alike, "time") else ""
    seed = "" if scheme.kind == "time" else "another seed, "
    return f"Use {kind}fewer folds, {seed}or {own_metric}."
