"""The ensembles of a run: of every method, for the board, each with its honest score."""

from __future__ import annotations

from typing import get_args

from kaggle_ray.ensemble import Ensemble, Method, select
from kaggle_ray.metrics import confusion_matrix
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.pool.gather import Pool
from kaggle_ray.reporters import Emit
from kaggle_ray.reporters.events import EnsembleChosen
from kaggle_ray.rows import Rows, select_rows
from kaggle_ray.store.run import RunStore
from kaggle_ray.submission.full_size import full_size_score


def save_ensembles(plan: RunPlan, store: RunStore, pool: Pool, target: Rows, method: Method, emit: Emit) -> Ensemble:
    """Save the ensemble of every method, for the board; return the one that is asked for."""
    rows = plan.folds.scored_rows()
    target, fold_of, metric = select_rows(target, rows), plan.folds.fold_of[rows], plan.competition.metric
    singles = {
        name: None if name in pool.unproven else select({name: values}, target, fold_of, metric, "mean").score_honest
        for name, values in {**pool.oof, **pool.of_seeds}.items()
    }
    ensembles: dict[Method, Ensemble] = {}
    full_size: float | None = None
    for name in get_args(Method):
        ensembles[name] = select(pool.oof, target, fold_of, metric, name)
        if name == method:
            full_size = full_size_score(plan.competition, plan.samples, plan.folds, ensembles[name])
        description = {
            "method": name,
            "chosen": name == method,
            "weights": dict(ensembles[name].weights),
            "decision": ensembles[name].decision.to_json(),
            "score_honest": honest_score(ensembles[name], pool),
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
    chosen = ensembles[method]
    emit(
        EnsembleChosen(
            method=method,
            weights={pool.members[member_id].name: weight for member_id, weight in chosen.weights.items()},
            score_honest=honest_score(chosen, pool),
            score_in_sample=chosen.score_in_sample,
            score_full_size=full_size,
        )
    )
    return chosen


def honest_score(ensemble: Ensemble, pool: Pool) -> float | None:
    """Return the score to show: none where the scored rows had a say in the weights of a member."""
    return None if pool.unproven & ensemble.weights.keys() else ensemble.score_honest


def _confusion(plan: RunPlan, target: Rows, ensemble: Ensemble) -> list[list[int]] | None:
    """Return the counts of truth x answer, None where a row has not one class of several."""
    if plan.competition.task not in ("binary", "multiclass"):
        return None
    counts: list[list[int]] = confusion_matrix(target[:], ensemble.oof[:], len(plan.competition.classes)).tolist()
    return counts
