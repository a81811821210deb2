"""Metrics that a run is asked for, which its competition's file does not name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kaggle_ray
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.plan import make_plan
from kaggle_ray.testing.toy import TINY, TOY_FILE


def test_a_run_that_is_asked_for_metrics_is_measured_by_them_and_stays_the_same_run(
    tmp_path: Path, toy_data: Path
) -> None:
    of_run: dict[str, Any] = {
        "data": toy_data, "runs": tmp_path, "experiments": [{**TINY, "epochs": 1}], "threads": 1, "launcher": "local",
    }  # fmt: skip
    plain = make_plan(RunOptions(competition=TOY_FILE, **of_run))
    result = kaggle_ray.run(TOY_FILE, **of_run, metrics=["accuracy", "auc"], reporters=[])
    assert (result.plan.run_id, result.tried) == (plain.run_id, plain.experiments)
    (row,) = (row for row in result.board.rows if row.kind == "experiment")
    assert row.metrics.keys() == {"accuracy", "auc"}
