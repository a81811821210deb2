"""The ensembles of a run: of several combiners, for the board, each with its honest score."""

from __future__ import annotations

import logging

from kaggle_ray.ensemble import BUILT_IN, COMBINERS, Ensemble, select
from kaggle_ray.metrics import confusion_matrix
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.pool.gather import Pool
from kaggle_ray.reporters import Emit
from kaggle_ray.reporters.events import EnsembleChosen
from kaggle_ray.rows import Rows, select_rows
from kaggle_ray.store.run import RunStore
from kaggle_ray.submission.full_size import full_size_score
from kaggle_ray.types import JsonValue

logger = logging.getLogger(__name__)


def save_ensembles(plan: RunPlan, store: RunStore, pool: Pool, target: Rows, method: str, emit: Emit) -> Ensemble:
    """Save the ensembles of our own combiners, of those that were asked for before, and of ``method``; return the last.

    Args:
        plan: of the run.
        store: its store.
        pool: what is combined.
        target: (N,) or (N, T) of all training rows.
        method: name of the combiner whose ensemble is submitted.
        emit: is told of this ensemble.
    """
    rows = plan.folds.scored_rows()
    target, fold_of, metric = select_rows(target, rows), plan.folds.fold_of[rows], plan.competition.metric
    singles = {
        name: select({name: values}, target, fold_of, metric, "mean", unproven=pool.unproven).score_honest
        for name, values in {**pool.oof, **pool.of_seeds}.items()
    }
    ensembles: dict[str, Ensemble] = {}
    full_size: float | None = None
    for name in dict.fromkeys([*BUILT_IN, *_saved(store), method]):
        ensembles[name] = select(pool.oof, target, fold_of, metric, name, unproven=pool.unproven)
        if name == method:
            full_size = full_size_score(plan.competition, plan.samples, plan.folds, ensembles[name])
        description: dict[str, JsonValue] = {
            "method": name,
            "chosen": name == method,
            "weights": dict(ensembles[name].weights),
            "fitted": ensembles[name].fitted.to_json(),
            "decision": ensembles[name].decision.to_json(),
            "score_honest": ensembles[name].score_honest,
            "score_in_sample": ensembles[name].score_in_sample,
            "score_full_size": full_size if name == method else None,
            "members": [member.to_json() for name, member in pool.members.items() if name in pool.oof],
            "scores": singles,
            "unproven": sorted(pool.unproven),
            "confusion": _confusion(plan, target, ensembles[name]),
        }
        store.save_ensemble(
            name,
            description,
            oof=ensembles[name].oof,
            test=ensembles[name].apply(pool.test),
            are_masks=plan.competition.is_segmentation,
        )
    emit(_event(ensembles[method], pool, full_size))
    return ensembles[method]


def _event(ensemble: Ensemble, pool: Pool, score_full_size: float | None) -> EnsembleChosen:
    return EnsembleChosen(
        method=ensemble.method,
        weights={pool.members[member_id].name: weight for member_id, weight in ensemble.weights.items()},
        score_honest=ensemble.score_honest,
        score_in_sample=ensemble.score_in_sample,
        score_full_size=score_full_size,
    )


def _saved(store: RunStore) -> list[str]:
    """Return the combiners of the ensembles that are saved; what none is registered for any more is removed."""
    saved = store.ensemble_names()
    for name in (name for name in saved if name not in COMBINERS):
        logger.warning("ensemble %r is removed: this command registers no combiner of that name", name)
        store.remove_ensemble(name)
    return [name for name in saved if name in COMBINERS]


def _confusion(plan: RunPlan, target: Rows, ensemble: Ensemble) -> list[list[int]] | None:
    """Return the counts of truth x answer, None where a row has not one class of several."""
    if plan.competition.task not in ("binary", "multiclass"):
        return None
    counts: list[list[int]] = confusion_matrix(target[:], ensemble.oof[:], len(plan.competition.classes)).tolist()
    return counts
