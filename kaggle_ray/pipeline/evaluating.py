"""Keeps what a run's answers were, row by row, when it ends: see ``kaggle_ray.evaluation``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kaggle_ray.combine import Ensemble
from kaggle_ray.evaluation.saved import remove_rows, save_rows
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.rows import Rows, blocks
from kaggle_ray.store.run import RunStore
from kaggle_ray.types import ByteArray, Float64Array, FloatArray


def save_evaluation(
    plan: RunPlan, store: RunStore, target: Rows, ensemble: Ensemble, alone: Mapping[str, Ensemble]
) -> None:
    """Keep the scored rows with the rules that decided them; nothing where these answers would flatter.

    Args:
        plan: of the run.
        store: its store.
        target: (N,) or (N, T) of the scored rows.
        ensemble: that is submitted.
        alone: experiment or member id -> what it is worth by itself.
    """
    if ensemble.score_honest is None:
        remove_rows(store)
        return
    competition = plan.competition
    save_rows(
        store,
        plan.folds.sample_ids[plan.folds.scored_rows()],
        ensemble.part_of,
        _mask_counts(plan, target, ensemble) if competition.is_segmentation else _columns(target),
        heads=competition.heads,
        ensemble=ensemble.method,
        rules={part: blend.decision for part, blend in ensemble.by_part.items()},
        rules_of={
            name: {part: blend.decision for part, blend in each.by_part.items()}
            for name, each in alone.items()
            if each.score_honest is not None
        },
    )


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
            answered = _answered(values, num_classes, ensemble, row)
            for at, number in enumerate(drawn):
                is_true, is_answered = true[row - block.start] == number, answered == number
                counts[row, at] = [np.count_nonzero(each) for each in (is_true, is_answered, is_true & is_answered)]
    return counts.reshape(len(target), -1)


def _answered(values: FloatArray, num_classes: int, ensemble: Ensemble, row: int) -> ByteArray:
    """Return (P,) the class that is answered for each pixel of a row's mask."""
    if num_classes > 1:
        return np.asarray(values.reshape(num_classes, -1).argmax(axis=0), dtype=np.uint8)
    return np.asarray(ensemble.decision_of(row).apply(values[np.newaxis])[0] > 0.5, dtype=np.uint8)
