"""Experiments that only predict otherwise are trained once, and predict what they would if each were trained anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kaggle_ray.pipeline.driver import execute
from kaggle_ray.pipeline.inference import predict_new
from kaggle_ray.pipeline.options import PredictOptions, RunOptions
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.store.attempt import kept_epochs
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.types import Experiment, Trial

NUM_FOLDS = 2
PLAIN: dict[str, Any] = {**TINY, "epochs": 2, "train_size": 6, "ema_decay": 0.5}
SNAPSHOTS = {**PLAIN, "schedule": "snapshot", "schedule_args": {"num_cycles": 2}}
OTHER_FOLDS = {**PLAIN, "epoch_rule": "other_folds"}


def run(data: Path, runs: Path, experiments: list[dict[str, Any]], **named: Any) -> RunResult:
    return execute(
        RunOptions(
            competition=TOY_FILE, data=data, runs=runs, experiments=experiments, ignore_near_duplicates=True,
            device="cpu", threads=1, dtype="float32", launcher="local", **named,
        )
    )  # fmt: skip


def predictions_of(result: RunResult, experiment: Experiment) -> list[Any]:
    """Return score, digest of the weights and the bytes of both parts' predictions, of each fold and kept epoch."""
    store = open_run(result.run_dir)
    found: list[Any] = []
    for fold in range(NUM_FOLDS):
        committed = store.result(Trial(experiment_id=experiment.experiment_id, fold=fold))
        assert committed is not None
        for epoch in (*kept_epochs(committed), None):
            valid, test = store.predictions(committed, epoch=epoch)
            digest = store.lineage(committed).weights_digest
            found.append(
                (committed.score, digest, np.asarray(valid.values).tobytes(), np.asarray(test.values).tobytes())
            )
    return found


@pytest.mark.parametrize("values", [PLAIN, SNAPSHOTS, OTHER_FOLDS], ids=["last", "snapshots", "other_folds"])
def test_two_experiments_that_differ_in_tta_are_trained_once_and_predict_the_same_bits_as_trained_anew(
    toy_data: Path, tmp_path: Path, values: dict[str, Any]
) -> None:
    both = run(toy_data, tmp_path / "both", [values, {**values, "tta": "hflip_sizes"}])
    assert both.num_epochs_trained == NUM_FOLDS * values["epochs"]
    trained, predicted = both.plan.experiments
    assert (trained.weights_of, predicted.weights_of) == (None, trained.experiment_id)
    assert predicted.needs == (trained.experiment_id,)

    alone = run(toy_data, tmp_path / "alone", [{**values, "tta": "hflip_sizes"}])
    (anew,) = alone.plan.experiments
    assert anew.experiment_id == predicted.experiment_id
    assert anew.weights_of is None
    assert alone.num_epochs_trained == NUM_FOLDS * values["epochs"]
    assert predictions_of(both, predicted) == predictions_of(alone, anew)
    assert predictions_of(both, predicted) != predictions_of(both, trained)


def test_what_they_depend_on_names_the_experiment_that_was_trained(toy_data: Path, tmp_path: Path) -> None:
    result = run(toy_data, tmp_path, [PLAIN, {**PLAIN, "tta": "hflip"}])
    store = open_run(result.run_dir)
    trained, predicted = result.plan.experiments
    for fold in range(NUM_FOLDS):
        results = [store.result(Trial(experiment_id=each.experiment_id, fold=fold)) for each in (trained, predicted)]
        first, second = (store.lineage(each) for each in results if each is not None)
        assert second.parents == (trained.experiment_id,)
        assert np.array_equal(first.trained_rows, second.trained_rows)
        assert first.is_proven
        assert second.is_proven


def test_a_rerun_a_refit_and_new_rows_are_predicted_as_of_any_other_experiment(toy_data: Path, tmp_path: Path) -> None:
    experiments = [PLAIN, {**PLAIN, "tta": "hflip"}]
    first = run(toy_data, tmp_path, experiments, run_id="x", refit=True)
    assert first.num_epochs_trained == (NUM_FOLDS + 1) * PLAIN["epochs"]
    assert first.refit is not None
    again = run(toy_data, tmp_path, experiments, run_id="x", refit=True)
    assert again.num_epochs_trained == 0
    assert again.submission.read_bytes() == first.submission.read_bytes()
    for refit, submission in ((False, first.submission), (True, first.refit)):
        out = predict_new(PredictOptions(run=first.run_dir, data=toy_data, out=tmp_path / "out.csv", refit=refit))
        assert out.read_bytes() == submission.read_bytes()


def test_a_child_of_a_parent_that_only_predicts_otherwise_is_not_trained_anew(toy_data: Path, tmp_path: Path) -> None:
    child = {**PLAIN, "init_from": {"epochs": 1}}
    result = run(toy_data, tmp_path, [child, {**child, "tta": "hflip"}])
    parent, heir, other_parent, other_heir = result.plan.experiments
    assert (other_parent.weights_of, other_heir.weights_of) == (parent.experiment_id, heir.experiment_id)
    assert result.num_epochs_trained == NUM_FOLDS * (1 + PLAIN["epochs"])
