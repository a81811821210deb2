"""A student learns what teachers say of rows that they have not seen: each is fitted without two folds."""

from __future__ import annotations

import dataclasses
import shutil
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kaggle_ray
from kaggle_ray.config import Hyperparameters
from kaggle_ray.errors import ConfigError
from kaggle_ray.pipeline.plan_table import plan_table
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.toy import TINY
from kaggle_ray.train import teachers
from kaggle_ray.train.assembling import trial_data
from kaggle_ray.train.estimate import Estimate
from kaggle_ray.train.loop import Fit
from kaggle_ray.train.run_data import RunData
from kaggle_ray.types import FULL_DATA, JsonValue, Trial

NUM_FOLDS = 3
NUM_PAIRS = 3
TEACHER: dict[str, JsonValue] = {"model_args": {"width": 8, "blocks": [1]}, "epochs": 1, "lr": 2e-2}
STUDENT: dict[str, JsonValue] = {**TINY, "epochs": 1, "lr": 2e-2, "distill_from": TEACHER, "distill_out_of_fold": True}
FILE = """
from dataclasses import replace
from kaggle_ray import FoldScheme
from kaggle_ray.testing import toy

COMPETITION = replace(toy.COMPETITION, folds=FoldScheme({}))
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KAGGLE_RAY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[frozenset[int]]:
    """Return the rows of each fit of a teacher that is made from now on, beside those of trials."""
    made: list[frozenset[int]] = []

    def noted(data: Any, *arguments: Any, **options: Any) -> Fit:
        made.append(frozenset(data.train_rows.tolist()))
        return Fit(data, *arguments, **options)

    monkeypatch.setattr(teachers, "Fit", noted)
    return made


def run(
    folder: Path, data: Path, *, folds: str = f"num_folds={NUM_FOLDS}", student: dict[str, JsonValue] = STUDENT,
    **options: Any,
) -> RunResult:  # fmt: skip
    folder.mkdir(exist_ok=True)
    file = folder / "toy.py"
    file.write_text(FILE.format(folds))
    return kaggle_ray.run(
        file, experiments=[student], data=data, runs=folder, launcher="local", reporters=[], **options
    )


def test_each_two_folds_have_one_teacher_whose_answers_students_share_and_the_next_run_finds(
    tmp_path: Path, toy_data: Path, cache: Path, fitted: list[frozenset[int]]
) -> None:
    result = run(tmp_path / "a", toy_data)
    folds = result.plan.folds
    rows_of = [frozenset(folds.train_rows(fold).tolist()) for fold in range(NUM_FOLDS)]
    assert len(fitted) == NUM_PAIRS
    assert set(fitted) == {rows_of[one] & rows_of[other] for one, other in combinations(range(NUM_FOLDS), 2)}
    assert not result.pool.unproven
    again = run(tmp_path / "b", toy_data)
    assert len(fitted) == NUM_PAIRS, "their answers were kept"
    shutil.rmtree(cache)
    anew = run(tmp_path / "c", toy_data)
    assert len(fitted) == 2 * NUM_PAIRS
    assert result.submission.read_bytes() == again.submission.read_bytes() == anew.submission.read_bytes()


def test_a_student_of_all_rows_learns_what_the_folds_own_teachers_said_of_the_rows_that_they_scored(
    tmp_path: Path, toy_data: Path, cache: Path
) -> None:
    result = run(tmp_path, toy_data, refit=True, ensemble="mean")
    teacher, student = result.plan.experiments
    store = open_run(result.run_dir)
    full_data_epochs = {student.experiment_id: 1, teacher.experiment_id: 1}
    context = dataclasses.replace(result.plan.trial_context(), full_data_epochs=full_data_epochs)
    data = trial_data(RunData(context, store), Trial(experiment_id=student.experiment_id, fold=FULL_DATA))
    assert data.teachers == ()
    assert data.fit.teacher is not None
    for fold in range(NUM_FOLDS):
        committed = store.result(Trial(experiment_id=teacher.experiment_id, fold=fold))
        assert committed is not None
        predicted, _ = store.predictions(committed)
        by_id = dict(zip(predicted.sample_ids.tolist(), predicted.values[:, 0], strict=True))
        for row in result.plan.folds.valid_rows(fold):
            assert data.fit.teacher[row, 0] == by_id[result.plan.samples.train_ids[row]]


def test_a_teacher_answers_for_no_row_that_it_is_fitted_on_and_chooses_nothing_by_them(
    tmp_path: Path, toy_data: Path, cache: Path
) -> None:
    result = run(tmp_path, toy_data)
    _, student = result.plan.experiments
    data = RunData(result.plan.trial_context(), open_run(result.run_dir))
    for fold in range(NUM_FOLDS):
        of_fold = trial_data(data, Trial(experiment_id=student.experiment_id, fold=fold))
        asked = np.unique(np.concatenate([teacher.rows for teacher in of_fold.teachers]))
        assert set(of_fold.fit.train_rows.tolist()) <= set(asked.tolist())
        for teacher in of_fold.teachers:
            unseen = set(of_fold.fit.valid_rows.tolist()) | set(teacher.rows.tolist())
            assert not unseen & set(teacher.fit.train_rows.tolist())
            assert len(teacher.fit.valid_rows) == 0


def test_the_cost_is_told_before(tmp_path: Path, toy_data: Path, cache: Path) -> None:
    told: list[str] = []

    class Listener:
        def emit(self, envelope: kaggle_ray.Envelope) -> None:
            if envelope.kind == "run_warned":
                told.append(envelope.event.text)

        def close(self) -> None:
            pass

    file = tmp_path / "toy.py"
    file.write_text(FILE.format(f"num_folds={NUM_FOLDS}"))
    result = kaggle_ray.run(
        file, experiments=[STUDENT], data=toy_data, runs=tmp_path, launcher="local", reporters=[Listener()]
    )
    text = "teachers are fitted 3 times more, each without two folds: they answer for rows they have not seen"
    assert text in told
    estimates = {each.experiment_id: Estimate(trial_s=10.0) for each in result.plan.examples}
    caption = str(plan_table(result.plan, estimates).caption)
    assert "Teachers are fitted 3 times more, each without two folds: 30.0s of one slot." in caption
    assert "about 1:30 in all" in caption


def test_a_fast_dev_run_has_such_teachers_too(
    tmp_path: Path, toy_data: Path, cache: Path, fitted: list[frozenset[int]]
) -> None:
    run(tmp_path, toy_data, fast_dev=True)
    assert len(fitted) == NUM_PAIRS


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"distill_from": {**TEACHER, "epoch_rule": "scored_fold"}}, "a teacher of epoch_rule last or inner"),
        ({"pseudolabel_share": 0.2}, "got one that starts or learns from another"),
    ],
)
def test_a_teacher_that_would_take_more_than_the_rows_left_is_refused(
    values: dict[str, JsonValue], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        _ = Hyperparameters(**{**STUDENT, **values}).teacher


def test_without_a_teacher_or_folds_to_leave_out_it_is_refused_before_anything_is_trained(
    tmp_path: Path, toy_data: Path
) -> None:
    with pytest.raises(ConfigError, match="'distill_out_of_fold': expected a teacher, got an empty distill_from"):
        run(tmp_path, toy_data, student={**STUDENT, "distill_from": {}})
    with pytest.raises(ConfigError, match=r"expected 3 folds or more, in no order, .* got 2 folds"):
        run(tmp_path, toy_data, folds="num_folds=2")
    assert not list(tmp_path.glob("*/*/trials/*/fold*"))
