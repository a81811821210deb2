"""The ensembles of a run: of several combiners, for the board, each with its honest score."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import asdict

from kaggle_ray.combine import BUILT_IN, COMBINERS, Ensemble, Fits, Kept, select, select_from
from kaggle_ray.combine.saved import BestExperiment
from kaggle_ray.config.sources import source_digests
from kaggle_ray.data.head import without_shares
from kaggle_ray.metrics import confusion_matrix
from kaggle_ray.pipeline.evaluating import save_evaluation
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

    What was learnt of the same predictions before, by the same code, is not learnt again.

    Args:
        plan: of the run.
        store: its store.
        pool: what is combined.
        target: (N,) or (N, T) of all training rows.
        method: name of the combiner whose ensemble is submitted, or ``auto``.
        emit: is told of this ensemble.
    """
    rows = plan.folds.scored_rows()
    target, fold_of, metric = select_rows(target, rows), plan.folds.fold_of[rows], plan.competition.metric

    kept = Kept(store.learnt(), code=dict(source_digests(plan.competition_file)))

    def select_of(members: Mapping[str, Rows], method: str) -> Ensemble:
        return select(
            members, target, fold_of, metric, method,
            unproven=pool.unproven, forward=plan.folds.forward, with_error=False, kept=kept,
        )  # fmt: skip

    of_all_members = {**pool.oof, **pool.of_seeds}
    alone = {name: select_of({name: values}, "mean") for name, values in of_all_members.items()}
    scores = {name: ensemble.score_honest for name, ensemble in alone.items()}
    names = {experiment.experiment_id: experiment.name for experiment in store.experiments()}
    candidates = {each: of_all_members[each] for each in alone if each in names and scores[each] is not None}
    best = _best_experiment(select_of(candidates, "best"), candidates, names) if candidates else None
    of_all: dict[str, JsonValue] = {
        "members": [member.to_json() for name, member in pool.members.items() if name in pool.oof],
        "scores": scores,
        "best_experiment": None if best is None else asdict(best),
        "unproven": sorted(pool.unproven),
    }
    fits = Fits(pool.oof, target, fold_of, metric, forward=plan.folds.forward)
    for name in dict.fromkeys([*BUILT_IN, *_saved(store), method]):
        ensemble = select_from(fits, name, unproven=pool.unproven, kept=kept)
        full_size = full_size_score(plan.competition, plan.samples, plan.folds, ensemble) if name == method else None
        if name == method:
            chosen, event = ensemble, _event(ensemble, pool, full_size)
        store.save_ensemble(
            name,
            {
                **of_all,
                **described(ensemble),
                "chosen": name == method,
                "score_full_size": full_size,
                "confusion": _confusion(plan, target, ensemble),
            },
            oof=ensemble.oof,
            test=ensemble.apply(pool.test),
            are_masks=plan.competition.is_segmentation,
        )
    store.save_learnt(kept.to_json())
    save_evaluation(plan, store, pool, target, chosen, alone)
    emit(event)
    return chosen


def described(ensemble: Ensemble) -> dict[str, JsonValue]:
    """Return what is kept of an ensemble by itself."""
    return {
        "method": ensemble.method,
        "combiner": ensemble.combiner,
        "weights": dict(ensemble.weights),
        "fitted": ensemble.fitted.to_json(),
        "decision": ensemble.decision.to_json(),
        "score_honest": ensemble.score_honest,
        "standard_error": ensemble.standard_error,
        "score_in_sample": ensemble.score_in_sample,
        "why_no_score": ensemble.why_no_score,
    }


def _best_experiment(best: Ensemble, candidates: Collection[str], names: Mapping[str, str]) -> BestExperiment | None:
    """Return the one that was chosen, None where the choice has no honest score."""
    if best.score_honest is None:
        return None
    (chosen,) = best.weights
    return BestExperiment(name=names[chosen], score=best.score_honest, num_candidates=len(candidates))


def _event(ensemble: Ensemble, pool: Pool, score_full_size: float | None) -> EnsembleChosen:
    return EnsembleChosen(
        method=ensemble.method,
        combiner=ensemble.combiner,
        weights={pool.members[member_id].name: weight for member_id, weight in ensemble.weights.items()},
        score_honest=ensemble.score_honest,
        standard_error=ensemble.standard_error,
        score_in_sample=ensemble.score_in_sample,
        score_full_size=score_full_size,
    )


def _saved(store: RunStore) -> list[str]:
    """Return the combiners of the ensembles that are saved; what none is registered for any more is removed."""
    saved = store.ensemble_names()
    for name in (name for name in saved if name not in COMBINERS.names()):
        logger.warning("ensemble %r is removed: this command registers no combiner of that name", name)
        store.remove_ensemble(name)
    return [name for name in saved if name in COMBINERS.names()]


def _confusion(plan: RunPlan, target: Rows, ensemble: Ensemble) -> list[list[int]] | None:
    """Return the counts of truth x answer, None where a row has not one class of several, or they would flatter."""
    if plan.competition.task not in ("binary", "multiclass") or ensemble.score_honest is None:
        return None
    truth = without_shares(plan.competition.heads, target[:])
    counts: list[list[int]] = confusion_matrix(truth, ensemble.oof[:], len(plan.competition.classes)).tolist()
    return counts
