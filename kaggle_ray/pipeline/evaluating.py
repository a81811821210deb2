"""Keeps what a run's answers were, row by row, when it ends: see ``kaggle_ray.evaluation``.

Shape legend: N scored rows, T columns of a target, K classes of a pixel that are drawn.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from kaggle_ray.combine import Ensemble
from kaggle_ray.data.head import without_shares
from kaggle_ray.errors import KaggleRayError
from kaggle_ray.evaluation.answers import LabelAnswers, answered_pixels
from kaggle_ray.evaluation.label_errors import suspects
from kaggle_ray.evaluation.members import MOST_MEMBERS, MemberAnalysis, analyse_members
from kaggle_ray.evaluation.saved import ensemble_evaluation, remove_rows, save_rows
from kaggle_ray.evaluation.table import Evaluation
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.pool.gather import Pool
from kaggle_ray.report.analysis import Atlas, KeptAnalysis, save_analysis
from kaggle_ray.report.cards import Card, cards_of
from kaggle_ray.rows import Rows, blocks
from kaggle_ray.store.run import RunStore
from kaggle_ray.types import Float64Array

logger = logging.getLogger(__name__)

_NUM_CARDS = 12
_CARD_HEIGHT = 96
_MOST_COMPARED = 20
"""Members whose predictions are compared row by row."""


def save_evaluation(
    plan: RunPlan,
    store: RunStore,
    pool: Pool,
    target: Rows,
    ensemble: Ensemble,
    alone: Mapping[str, Ensemble],
    *,
    is_analysed: bool = True,
) -> None:
    """Keep the scored rows with the rules that decided them; nothing where these answers would flatter.

    Args:
        plan: of the run.
        store: its store, where the ensemble is saved already.
        pool: that it is of.
        target: (N,) or (N, T) of the scored rows.
        ensemble: that is submitted.
        alone: experiment or member id -> what it is worth by itself, as far as that is known.
        is_analysed: whether the report is to have the analysis of members and errors.
    """
    if ensemble.score_honest is None:
        remove_rows(store)
        return
    competition = plan.competition
    save_rows(
        store,
        plan.folds.sample_ids[plan.folds.scored_rows()],
        ensemble.part_of,
        _mask_counts(plan, target, ensemble)
        if competition.is_segmentation
        else _columns(without_shares(competition.heads, target[:])),
        heads=competition.heads,
        ensemble=ensemble.method,
        rules={part: blend.decision for part, blend in ensemble.by_part.items()},
        rules_of={
            name: {part: blend.decision for part, blend in each.by_part.items()}
            for name, each in alone.items()
            if each.score_honest is not None
        },
    )
    if not is_analysed:
        save_analysis(store, KeptAnalysis())
        return
    try:
        kept = KeptAnalysis(members=_members(plan, pool, target, ensemble, alone), atlas=_atlas(plan, store, pool))
    except KaggleRayError as error:  # the report is poorer; the run is not to end for it
        logger.warning("the report has no analysis of members and errors: %s", error)
        kept = KeptAnalysis()
    save_analysis(store, kept)


def _members(
    plan: RunPlan, pool: Pool, target: Rows, ensemble: Ensemble, alone: Mapping[str, Ensemble]
) -> MemberAnalysis | None:
    """Return what the members are to each other, of many those with most weight, then those with the best scores.

    It is None of a single one, of masks, each score of which takes long, and where all rows are one part, so that what
    is fitted to them has no honest score.
    """
    sign = -1 if plan.competition.metric.greater_is_better else 1
    scores = {each: score for each in pool.oof if each in alone and (score := alone[each].score_honest) is not None}
    by_weight = sorted(scores, key=lambda each: (-ensemble.weights.get(each, 0.0), sign * scores[each], each))
    by_weight = by_weight[:MOST_MEMBERS]
    if plan.competition.is_segmentation or len(by_weight) < 2 or len(ensemble.by_part) < 2:
        return None
    return analyse_members(
        {each: pool.oof[each] for each in by_weight},
        {each: pool.members[each].name for each in by_weight},
        target,
        plan.folds.fold_of[plan.folds.scored_rows()],
        plan.competition.metric,
        ensemble.combiner,
        forward=plan.folds.forward,
        table=pool.scored_table,
    )


def _atlas(plan: RunPlan, store: RunStore, pool: Pool) -> Atlas:
    evaluation = ensemble_evaluation(store)
    by_id = np.argsort(pool.scored_ids)
    answers = evaluation.answers()
    doubtful = suspects(answers) if isinstance(answers, LabelAnswers) else np.zeros(0, dtype=np.int64)
    disputed = np.zeros(0, dtype=np.int64)
    if len(pool.oof) > 1 and not plan.competition.is_segmentation:
        disputed = np.argsort(-_spread(list(pool.oof.values())[:_MOST_COMPARED])[by_id], kind="stable")

    def cards(rows: Evaluation) -> tuple[Card, ...]:
        return tuple(cards_of(rows, plan.competition, plan.samples, height=_CARD_HEIGHT))

    return Atlas(
        worst=cards(evaluation.worst(_NUM_CARDS)),
        disagreements=cards(evaluation.where(disputed[:_NUM_CARDS])),
        suspects=cards(evaluation.where(doubtful[:_NUM_CARDS])),
        num_suspects=len(doubtful),
        are_masks=plan.competition.is_segmentation,
    )


def _spread(members: Sequence[Rows]) -> Float64Array:
    """Return (N,) the standard deviation of what the members predict of each row, the mean over the columns."""
    found = [np.std([member[block] for member in members], axis=0).mean(axis=1) for block in blocks(members[0])]
    return np.concatenate(found).astype(np.float64)


def _columns(target: Rows) -> Float64Array:
    return np.asarray(target[:], dtype=np.float64).reshape(len(target), -1)


def _mask_counts(plan: RunPlan, target: Rows, ensemble: Ensemble) -> Float64Array:
    """Return (N, 3K) for each class that is drawn the pixels that are true, answered, and both."""
    num_classes = len(plan.competition.classes)
    drawn = range(1, max(2, num_classes))
    counts = np.empty((len(target), len(drawn), 3))
    for block in blocks(ensemble.oof):
        true = target[block]
        for row, values in enumerate(ensemble.oof[block], start=block.start):
            answered = answered_pixels(values, num_classes, ensemble.decision_of(row))
            for at, number in enumerate(drawn):
                is_true, is_answered = true[row - block.start] == number, answered == number
                counts[row, at] = [np.count_nonzero(each) for each in (is_true, is_answered, is_true & is_answered)]
    return counts.reshape(len(target), -1)
