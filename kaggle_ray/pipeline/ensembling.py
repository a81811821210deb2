"""The ensembles of a run: of several combiners, for the board, each with its honest score."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass

from kaggle_ray.combine import AUTO, BUILT_IN, COMBINERS, Ensemble, Fits, Kept, TimeLeft, select, select_from
from kaggle_ray.combine.saved import BestExperiment
from kaggle_ray.config.sources import source_digests
from kaggle_ray.data.head import without_shares
from kaggle_ray.metrics import confusion_matrix
from kaggle_ray.pipeline.evaluating import save_evaluation
from kaggle_ray.pipeline.members_alone import MembersAlone
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.pool.gather import Pool
from kaggle_ray.reporters import Emit
from kaggle_ray.reporters.events import EnsembleChosen, RunWarned
from kaggle_ray.rows import Rows, select_rows
from kaggle_ray.store.run import RunStore
from kaggle_ray.submission.full_size import full_size_score
from kaggle_ray.types import JsonValue

logger = logging.getLogger(__name__)


def save_ensembles(
    plan: RunPlan, store: RunStore, pool: Pool, target: Rows, method: str, emit: Emit, time_left: TimeLeft
) -> Ensemble:
    """Save the ensembles of our own combiners, of those that were asked for before, and of ``method``; return the last.

    What was learnt of the same predictions before, by the same code, is not learnt again. The best experiment and the
    mean are always there; what there is no time for beside them is told, and said in the description of each.

    Args:
        plan: of the run.
        store: its store.
        pool: what is combined.
        target: (N,) or (N, T) of all training rows.
        method: name of the combiner whose ensemble is submitted, or ``auto``.
        emit: is told of this ensemble, and before it of what is left out.
        time_left: for all this.
    """
    target = select_rows(target, plan.folds.scored_rows())
    kept = Kept(store.learnt(), code=dict(source_digests(plan.competition_file)))
    learnt = _learn(plan, store, pool, target, method, kept, time_left)
    for name in learnt.out_of_time:
        store.remove_ensemble(name)  # one that is saved may be of other members
    chosen, full_size = learnt.made[method], None
    if not plan.competition.is_segmentation or time_left.is_enough_for("the score of masks at full size"):
        full_size = full_size_score(plan.competition, plan.samples, plan.folds, chosen)
    is_time_to_analyse = time_left.is_enough_for("the analysis of members and errors")
    of_all: dict[str, JsonValue] = {
        "members": [member.to_json() for name, member in pool.members.items() if name in pool.oof],
        "scores": learnt.scores,
        "best_experiment": None if learnt.best is None else asdict(learnt.best),
        "unproven": sorted(pool.unproven),
        "left_out": dict(time_left.left_out),
    }
    for name, ensemble in learnt.made.items():
        its_own = {"chosen": name == method, "score_full_size": full_size if name == method else None}
        _save(plan, store, pool, target, name, ensemble, {**of_all, **its_own})
    store.save_learnt(kept.to_json())
    save_evaluation(plan, store, pool, target, chosen, learnt.alone, is_analysed=is_time_to_analyse)
    if time_left.left_out:
        emit(RunWarned(topic="left_out", text=_left_out(time_left.left_out, store)))
    emit(_event(chosen, pool, full_size))
    return chosen


@dataclass(frozen=True, kw_only=True, slots=True)
class _Learnt:
    """What of a pool there was time to learn."""

    made: Mapping[str, Ensemble]
    """Name of a combiner, or ``auto`` -> its ensemble."""
    out_of_time: tuple[str, ...]
    """Combiners that were wanted, too."""
    alone: Mapping[str, Ensemble]
    """Member or experiment id -> the ensemble of it alone, of those that there was time for."""
    scores: dict[str, JsonValue]
    """Member or experiment id -> its honest score, None where it has none or there was no time."""
    best: BestExperiment | None


def _learn(
    plan: RunPlan, store: RunStore, pool: Pool, target: Rows, method: str, kept: Kept, time_left: TimeLeft
) -> _Learnt:
    """Learn from the (N,) or (N, T) targets of the scored rows what is to be saved of them.

    The mean comes first, which is never left out; members by themselves have half of the time that it leaves.
    """
    fold_of, metric = plan.folds.fold_of[plan.folds.scored_rows()], plan.competition.metric

    def select_of(members: Mapping[str, Rows], method: str) -> Ensemble:
        return select(
            members, target, fold_of, metric, method,
            unproven=pool.unproven, forward=plan.folds.forward, with_error=False, kept=kept,
        )  # fmt: skip

    of_all_members = {**pool.oof, **pool.of_seeds}
    members_alone = MembersAlone(
        list(of_all_members), lambda name: select_of({name: of_all_members[name]}, "mean"), time_left
    )
    fits = Fits(pool.oof, target, fold_of, metric, forward=plan.folds.forward, table=pool.scored_table)
    made = {"mean": select_from(fits, "mean", unproven=pool.unproven, kept=kept)}
    members_alone.learn(share=0.5)
    wanted = dict.fromkeys(["mean", method, *BUILT_IN, *_saved(store)])
    for name in [each for each in wanted if each not in made]:
        made[name] = select_from(fits, name, unproven=pool.unproven, kept=kept, time_left=time_left)
    members_alone.learn(share=1.0)
    alone = members_alone.known()
    names = {experiment.experiment_id: experiment.name for experiment in store.experiments()}
    has_no_score = {name for name, each in alone.items() if each.score_honest is None} | pool.unproven
    candidates = {each: rows for each, rows in of_all_members.items() if each in names and each not in has_no_score}
    best = None
    if candidates.keys() == pool.oof.keys():
        best = _best_experiment(select_from(fits, "best", with_error=False, kept=kept), candidates, names)
    elif candidates:
        best = _best_experiment(select_of(candidates, "best"), candidates, names)
    made = {name: each for name, each in made.items() if name in (method, AUTO, each.combiner)}
    return _Learnt(
        made=made,
        out_of_time=tuple(name for name in wanted if name not in made),
        alone=alone,
        scores={name: alone[name].score_honest if name in alone else None for name in of_all_members},
        best=best,
    )


def _save(
    plan: RunPlan,
    store: RunStore,
    pool: Pool,
    target: Rows,
    name: str,
    ensemble: Ensemble,
    facts: Mapping[str, JsonValue],
) -> None:
    store.save_ensemble(
        name,
        {**facts, **described(ensemble), "confusion": _confusion(plan, target, ensemble)},
        oof=ensemble.oof,
        test=ensemble.apply(pool.test, pool.test_table),
        are_masks=plan.competition.is_segmentation,
    )


def _left_out(left_out: Mapping[str, str], store: RunStore) -> str:
    reasons = "; ".join(f"{what}: {why}" for what, why in left_out.items())
    return (
        f"ensembling left out, for lack of time, {reasons}. "
        f"In full, without training: kaggle-ray ensemble {store.location} --data DATA"
    )


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
