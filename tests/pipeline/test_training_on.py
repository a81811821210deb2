"""Further epochs of an experiment of a run that is over, as if they had been asked for at first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kaggle_ray.cli import main
from kaggle_ray.errors import ConfigError, NothingToSubmitError
from kaggle_ray.pipeline.addition_options import TrainOnOptions
from kaggle_ray.pipeline.training_on import TrainedOn, train_on_run
from kaggle_ray.report.collect import board_of
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.toy import TOY_FILE
from kaggle_ray.types import Trial
from tests.pipeline.test_predict_only import NUM_FOLDS, PLAIN, predictions_of, run

TWO: dict[str, Any] = {**PLAIN, "epochs": 2}


def trained_on(data: Path, run_dir: Path, experiment: str, **values: Any) -> TrainedOn:
    options = TrainOnOptions(run_dir, experiment, data=data, competition=TOY_FILE, launcher="local", **values)
    return train_on_run(options)


def test_the_bits_are_those_of_an_experiment_that_was_asked_for_at_first(toy_data: Path, tmp_path: Path) -> None:
    both = run(toy_data, tmp_path / "both", [TWO, {**TWO, "epochs": 1, "init_from": {"epochs": 2}}])
    first = run(toy_data, tmp_path / "first", [TWO])
    done = trained_on(toy_data, first.run_dir, first.tried[0].name, epochs=1)

    assert done.result.num_epochs_trained == NUM_FOLDS
    assert [each.experiment_id for each in done.result.tried] == [each.experiment_id for each in both.plan.experiments]
    assert predictions_of(done.result, done.result.tried[1]) == predictions_of(both, both.plan.experiments[1])
    assert done.result.submission.read_bytes() == both.submission.read_bytes()
    assert done.name == f"{done.of} +1 epoch"
    store = open_run(first.run_dir)
    scores = {row.name: row.score for row in board_of(store).rows}
    assert (done.worth.score_before, done.worth.score) == (scores[done.of], scores[done.name])
    (made,) = store.added()
    assert made.parent_id == first.tried[0].experiment_id


def test_what_was_trained_on_is_trained_on_again(toy_data: Path, tmp_path: Path) -> None:
    first = run(toy_data, tmp_path, [TWO], ensemble="mean")
    once = trained_on(toy_data, first.run_dir, first.tried[0].name, epochs=1, ensemble="mean")
    twice = trained_on(
        toy_data, first.run_dir, once.name, epochs=1, overrides={"lr": 1e-4, "schedule": "constant"}, ensemble="mean"
    )
    assert twice.of == once.name
    assert twice.name == f"{once.name} +1 epoch lr=0.0001 schedule=constant"
    assert len(twice.result.tried) == 3
    result = open_run(first.run_dir).result(Trial(experiment_id=twice.result.tried[2].experiment_id, fold=0))
    assert result is not None
    assert [each.lr for each in result.history] == [pytest.approx(1e-4)]


def test_it_goes_on_where_it_was(toy_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = run(toy_data, tmp_path, [TWO])
    words = ["train-on", str(first.run_dir), "small_resnet", "--epochs", "3", "--set", "lr=1e-3", "--data"]
    words += [str(toy_data), "--competition", str(TOY_FILE), "--launcher", "local"]
    for _ in range(2):
        main(words)
        assert "small_resnet +3 epochs lr=0.001" in capsys.readouterr().out
    assert len(open_run(first.run_dir).added()) == 1


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"epochs": 2}, "expected another number of epochs than its own, 2"),
        ({"epochs": 3, "overrides": {"image_size": 12}}, "image_size: expected"),
        ({"epochs": 3, "overrides": {"model": "resnet9"}}, "model: expected 'small_resnet'"),
        ({"epochs": 3, "overrides": {"optimizer": "adamx"}}, "adamx"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(
    values: dict[str, Any], said: str, toy_data: Path, tmp_path: Path
) -> None:
    first = run(toy_data, tmp_path, [TWO])
    with pytest.raises(ConfigError, match=said):
        trained_on(toy_data, first.run_dir, first.tried[0].name, **values)
    assert open_run(first.run_dir).added() == ()


def test_what_learns_from_others_is_refused(toy_data: Path, tmp_path: Path) -> None:
    student = {**TWO, "lr": 1e-2, "distill_from": {"lr": 3e-2}}
    first = run(toy_data, tmp_path, [student])
    with pytest.raises(ConfigError, match="learns from others"):
        trained_on(toy_data, first.run_dir, first.tried[-1].experiment_id, epochs=3)


def test_an_experiment_of_the_run_itself_is_not_added(toy_data: Path, tmp_path: Path) -> None:
    first = run(toy_data, tmp_path, [TWO, {**TWO, "epochs": 1, "init_from": {"epochs": 2}}], ensemble="mean")
    with pytest.raises(NothingToSubmitError, match="already"):
        trained_on(toy_data, first.run_dir, first.tried[0].experiment_id, epochs=1)
