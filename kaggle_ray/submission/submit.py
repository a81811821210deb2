"""Puts a submission in its place once it has been checked as Kaggle would check it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from kaggle_ray.data.baseline import constant_answer
from kaggle_ray.data.competition import Competition
from kaggle_ray.decide import Decision, decided, default_decision
from kaggle_ray.ensemble import Ensemble
from kaggle_ray.errors import SubmissionError
from kaggle_ray.gather import Pool
from kaggle_ray.metrics import over_folds
from kaggle_ray.rows import LazyRows, Rows, take
from kaggle_ray.schedule.plan import RunPlan
from kaggle_ray.store.run import RunStore
from kaggle_ray.submission.cells import to_cells
from kaggle_ray.submission.check import check_submission
from kaggle_ray.submission.table import digest_of_cells
from kaggle_ray.submission.write import write_submission
from kaggle_ray.types import JsonValue, StrArray

FINAL, BASELINE, REFIT = "submission", "baseline", "refit"
"""Names of the submissions."""


def submit_baseline(plan: RunPlan, store: RunStore, target: Rows) -> tuple[Path, float]:
    """Submit a constant answer; return the file and its score, each row's predicted without the row's own fold.

    Raises:
        SubmissionError: the file is not what the sample submission asks for.
    """
    competition, folds = plan.competition, plan.folds
    of_folds = np.concatenate(
        [constant_answer(competition.heads, take(target, folds.train_rows(n)), 1) for n in range(folds.num_folds)]
    )
    scored = folds.scored_rows()
    fold_of = folds.fold_of[scored]
    oof = LazyRows((len(scored), competition.num_columns), lambda rows: of_folds[fold_of[rows]])
    decision = default_decision(competition.metric, competition.num_columns)
    metric = over_folds(decided(competition.metric, decision), fold_of)
    score = metric.score(take(target, scored), oof)
    values = constant_answer(competition.heads, target, len(plan.samples.test_ids))
    return _submit(plan, store, BASELINE, values, decision, {"method": "constant", "score_honest": score}), score


def submit_ensemble(plan: RunPlan, store: RunStore, ensemble: Ensemble, pool: Pool) -> Path:
    """Submit the ensemble's test predictions; return the file.

    Raises:
        SubmissionError: the file is not what the sample submission asks for.
    """
    made_of = {
        "method": ensemble.method,
        "weights": dict(ensemble.weights),
        "decision": ensemble.decision.to_json(),
        "score_honest": None if pool.unproven & ensemble.weights.keys() else ensemble.score_honest,
    }
    return _submit(plan, store, FINAL, ensemble.apply(pool.test), ensemble.decision, made_of)


def submit_refit(plan: RunPlan, store: RunStore, ensemble: Ensemble, pool: Pool, test: Mapping[str, Rows]) -> Path:
    """Submit what models of all rows predict, under the weights and the decision of their cross-validated twins.

    Args:
        plan: of the run.
        store: its store.
        ensemble: of the twins.
        pool: that it was chosen from.
        test: member id -> (T, C) predictions by models that were trained on all rows.

    Raises:
        SubmissionError: the file is not what the sample submission asks for.
    """
    made_of = {
        "method": ensemble.method,
        "weights": dict(ensemble.weights),
        "decision": ensemble.decision.to_json(),
        "score_honest": None,
        "score_of_twin": None if pool.unproven & ensemble.weights.keys() else ensemble.score_honest,
        "note": "The models were trained on all rows, so no row is left to score them by: the score is that of "
        "the cross-validated ensemble with the same weights.",
    }
    return _submit(plan, store, REFIT, ensemble.apply(test), ensemble.decision, made_of)


def _submit(
    plan: RunPlan,
    store: RunStore,
    name: str,
    values: Rows,
    decision: Decision,
    made_of: Mapping[str, JsonValue],
) -> Path:
    competition, test_ids = plan.competition, plan.samples.test_ids
    with checked_draft(values, decision, competition, test_ids, plan.data_dir, only_ids=plan.only_ids) as draft:
        return store.save_submission(name, draft, made_of)


@contextmanager
def checked_draft(
    values: Rows,
    decision: Decision,
    competition: Competition,
    test_ids: StrArray,
    data_dir: Path,
    *,
    only_ids: frozenset[str] | None = None,
) -> Iterator[Path]:
    """Yield the file of a submission of (T, C) test predictions, which was read back and checked; it does not stay.

    Some rows at a time are in memory.

    Args:
        values: not yet decided.
        decision: turns predictions into an answer.
        competition: says what the file looks like.
        test_ids: (T,) of the rows.
        data_dir: the folder with the sample submission.
        only_ids: that a fast-dev run is cut to; None is all.

    Raises:
        SubmissionError: the file is not what the sample submission asks for.
    """
    fmt = competition.submission
    with tempfile.TemporaryDirectory(prefix="kaggle_ray_") as folder:
        draft = Path(folder) / "draft.csv"
        written = write_submission(draft, test_ids, to_cells(values, competition, decision), fmt)
        check_submission(draft, data_dir / fmt.sample_file, competition, only_ids=only_ids)
        if digest_of_cells(draft) != written:
            raise SubmissionError("the submission reads back with other values than were written.")
        yield draft
