from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import kaggle_ray
from kaggle_ray.report.collect import board_of, report_of
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.toy import TINY, TOY_FILE


@pytest.mark.parametrize("values", [{"tta": "hflip"}, {"epoch_rule": "inner", "inner_share": 0.3, "epochs": 4}])
def test_scores_by_fold_are_of_the_predictions_that_the_leaderboard_scores(
    values: dict[str, object], toy_data: Path, tmp_path: Path
) -> None:
    experiment = {**TINY, "epochs": 2, "lr": 0.05, **values}
    result = kaggle_ray.run(
        TOY_FILE, data=toy_data, runs=tmp_path, launcher="local", reporters=[], experiments=[experiment]  # type: ignore[list-item]
    )  # fmt: skip
    report = report_of(open_run(result.run_dir))
    ((name, scores),) = report.fold_scores.items()
    # The toy's folds are of one size, and its log loss is a mean over rows, so that the mean over folds is the pooled.
    known = [score for score in scores if score is not None]
    assert len(known) == 2
    assert np.mean(known) == pytest.approx(result.experiments["score"][0])
    last_epochs = [fold[-1].score for fold in report.histories[name]]
    assert np.mean(last_epochs) != pytest.approx(result.experiments["score"][0], rel=1e-6)


def test_of_a_run_whose_folds_are_missing_the_board_has_the_mean_of_those_that_are_done(
    toy_data: Path, tmp_path: Path
) -> None:
    result = kaggle_ray.run(
        TOY_FILE, data=toy_data, runs=tmp_path, launcher="local", reporters=[], experiments=[{**TINY, "epochs": 1}]
    )
    store = open_run(result.run_dir)
    (whole,) = [row for row in board_of(store).rows if row.kind == "experiment"]
    shutil.rmtree(next(result.run_dir.glob("trials/*/fold1")))
    shutil.rmtree(result.run_dir / "ensembles")
    (row,) = [row for row in board_of(open_run(result.run_dir)).rows if row.kind == "experiment"]
    assert whole.mean_so_far is None
    assert (row.score, row.folds_done) == (None, 1)
    assert row.mean_so_far is not None
