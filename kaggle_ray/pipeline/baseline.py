"""What a run submits before it trains: a constant answer, after the ways of every submission were rehearsed."""

from __future__ import annotations

import time
from dataclasses import dataclass

from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.reporters import Emit
from kaggle_ray.reporters.events import BaselineScored
from kaggle_ray.rows import Rows
from kaggle_ray.store.run import RunStore
from kaggle_ray.types import Location


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """The constant submission, and how long it took: what the submission at the end will take is told by it."""

    submission: Location
    rehearsal_s: float
    """Seconds that made-up predictions of training rows took to be written, read back and scored."""
    duration_s: float
    """Seconds that writing and checking the file took."""


def submit_baseline(plan: RunPlan, store: RunStore, target: Rows, emit: Emit) -> Baseline:
    """Rehearse the submission at the end, then submit a constant answer.

    Args:
        plan: of the run.
        store: its store.
        target: (N, T) of the training rows.
        emit: is told the baseline's score.

    Raises:
        SubmissionError: a submission would not be what was scored, or is not what the sample submission asks for.
    """
    submitter = plan.submitter(store)
    began_at = time.monotonic()
    submitter.rehearse(plan.folds, target)
    rehearsed_at = time.monotonic()
    submission, score = submitter.submit_baseline(plan.folds, target)
    submitted_at = time.monotonic()
    emit(BaselineScored(score=score, submission=submission))
    return Baseline(submission=submission, rehearsal_s=rehearsed_at - began_at, duration_s=submitted_at - rehearsed_at)
