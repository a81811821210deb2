"""Puts a submission in its place once it has been checked as Kaggle would check it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kaggle_ray.ensemble import Ensemble
from kaggle_ray.errors import SubmissionError
from kaggle_ray.gather import Pool
from kaggle_ray.metrics import constant_predictions
from kaggle_ray.schedule.plan import RunPlan
from kaggle_ray.store.run import RunStore
from kaggle_ray.submission.check import check_submission
from kaggle_ray.submission.write import read_submission, render_submission
from kaggle_ray.types import FloatArray, JsonValue, Predictions

FINAL, BASELINE = "submission", "baseline"
"""Names of the submissions."""


def submit_baseline(plan: RunPlan, store: RunStore) -> tuple[Path, float]:
    """Submit the class frequencies; return the file and its score, each row's predicted without the row's own fold.

    Raises:
        SubmissionError: the file is not what the sample submission asks for.
    """
    target, folds, num_columns = plan.samples.target, plan.folds, plan.competition.num_columns
    oof = np.empty((len(target), num_columns), dtype=np.float32)
    for fold in range(folds.num_folds):
        rows = folds.valid_rows(fold)
        oof[rows] = constant_predictions(target[folds.train_rows(fold)], num_columns, len(rows))
    scored = folds.scored_rows()
    score = plan.competition.metric.score(target[scored], oof[scored])
    values = constant_predictions(target, num_columns, len(plan.samples.test_ids))
    return _submit(plan, store, BASELINE, values, {"method": "constant", "score_honest": score}), score


def submit_ensemble(plan: RunPlan, store: RunStore, ensemble: Ensemble, pool: Pool) -> Path:
    """Submit the ensemble's test predictions; return the file.

    Raises:
        SubmissionError: the file is not what the sample submission asks for.
    """
    made_of = {"method": ensemble.method, "weights": dict(ensemble.weights), "score_honest": ensemble.score_honest}
    return _submit(plan, store, FINAL, ensemble.apply(pool.test), made_of)


def _submit(plan: RunPlan, store: RunStore, name: str, values: FloatArray, made_of: Mapping[str, JsonValue]) -> Path:
    """Render (T, C) test predictions, check the draft, and only then save it."""
    fmt = plan.competition.submission
    predictions = Predictions(sample_ids=plan.samples.test_ids, values=values)
    csv = render_submission(predictions, fmt, order=plan.samples.test_ids)
    with tempfile.TemporaryDirectory(prefix="kaggle_ray_") as folder:
        draft = Path(folder) / f"{name}.csv"
        draft.write_text(csv)
        check_submission(draft, plan.data_dir / fmt.sample_file, fmt)
        if not np.array_equal(read_submission(draft, fmt).values, values):
            raise SubmissionError(f"{name}: reads back with other values than were written.")
    return store.save_submission(name, csv, made_of)
