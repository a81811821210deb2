"""Predictions that tests have in memory, written as an attempt at a trial writes them."""

from __future__ import annotations

from kaggle_ray.store.attempt import Attempt
from kaggle_ray.types import Predictions


def put_predictions(attempt: Attempt, valid: Predictions, test: Predictions) -> None:
    """Write the predictions of a fold's own rows and of the test rows, and the manifest.

    Raises:
        ValueError: ``valid`` does not say what it depends on.
    """
    if valid.lineage is None:
        raise ValueError("expected predictions of a trial with their lineage, got none")
    attempt.put_values("valid", [valid.values], num_rows=len(valid.values))
    attempt.put_values("test", [test.values], num_rows=len(test.values))
    attempt.put_manifest(valid.sample_ids, test.sample_ids, valid.lineage)
