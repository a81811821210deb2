"""A student learns from the answers of a teacher of its own fold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

import kaggle_ray
from kaggle_ray.config import SearchSpace, parse_hyperparameters
from kaggle_ray.data.head import Head
from kaggle_ray.errors import ConfigError
from kaggle_ray.metrics import LOG_LOSS
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.train.losses import Outputs, distill_loss, make_distillation_losses
from kaggle_ray.types import JsonValue, Trial

TEACHER: dict[str, JsonValue] = {"model_args": {"width": 8, "blocks": [1]}, "epochs": 8, "lr": 2e-2}
STUDENT: dict[str, JsonValue] = {
    **TINY,
    "epochs": 3,
    "lr": 2e-2,
    "mixup": 0.2,
    "distill_from": TEACHER,
    "distill_weight": 0.7,
}


def run(folder: Path, data: Path, *experiments: Mapping[str, JsonValue]) -> RunResult:
    return kaggle_ray.run(
        TOY_FILE, experiments=experiments, data=data, runs=folder, launcher="local", reporters=[]
    )  # fmt: skip


def weights_of(result: RunResult, experiment_id: str, fold: int = 0) -> bytes:
    store = open_run(result.run_dir)
    committed = store.result(Trial(experiment_id=experiment_id, fold=fold))
    assert committed is not None
    return store.weights(committed)


def test_the_teacher_is_trained_first_and_the_student_learns_from_it(tmp_path: Path, toy_data: Path) -> None:
    result = run(tmp_path, toy_data, STUDENT)
    teacher, student = result.plan.experiments
    assert student.teacher_id == teacher.experiment_id
    assert student.needs == (teacher.experiment_id,)
    assert result.num_epochs_trained == 2 * (8 + 3)
    alone = run(tmp_path / "alone", toy_data, {**STUDENT, "distill_from": {}})
    assert weights_of(result, student.experiment_id) != weights_of(alone, alone.plan.experiments[0].experiment_id)
    again = run(tmp_path, toy_data, STUDENT)
    assert again.num_epochs_trained == 0
    assert again.submission.read_bytes() == result.submission.read_bytes()


def test_what_the_teacher_saw_the_student_depends_on(tmp_path: Path, toy_data: Path) -> None:
    result = run(tmp_path, toy_data, STUDENT)
    teacher, student = result.plan.experiments
    store, folds = open_run(result.run_dir), result.plan.folds
    for fold in range(2):
        committed = store.result(Trial(experiment_id=student.experiment_id, fold=fold))
        assert committed is not None
        lineage = store.lineage(committed)
        assert lineage.parents == (teacher.experiment_id,)
        assert not lineage.trained_rows[folds.valid_rows(fold)].any()


def test_a_student_of_what_is_unproven_is_unproven(tmp_path: Path, toy_data: Path) -> None:
    student = {**STUDENT, "distill_from": {**TEACHER, "epoch_rule": "scored_fold"}}
    result = run(tmp_path, toy_data, student, {**TINY, "epochs": 1})
    assert len(result.pool.unproven) == 2
    assert len(result.pool.oof) == 1


def test_the_loss_is_that_of_the_labels_and_that_of_the_teacher_by_their_shares() -> None:
    head = Head(task="multiclass", classes=("a", "b", "c"), metric=LOG_LOSS)
    outputs = Outputs([head], np.array([0, 1, 2]))
    hyperparameters = parse_hyperparameters({**STUDENT, "temperature": 3.0}, where="here")
    torch.manual_seed(0)
    logits, teacher = torch.randn(3, 3), torch.softmax(torch.randn(3, 3), dim=1)
    labels = outputs.soft_targets(torch.tensor([0, 1, 2]))
    found = make_distillation_losses(outputs, [head], hyperparameters.loss).sample_losses(
        logits, torch.cat([labels, teacher], dim=1)
    )
    expected = 0.3 * outputs.sample_losses(logits, labels) + 0.7 * distill_loss(logits, teacher, 3.0)
    assert torch.allclose(found, expected)


def test_a_head_of_numbers_cannot_be_distilled() -> None:
    head = Head(task="regression", metric=LOG_LOSS)
    with pytest.raises(ConfigError, match=r"'distill_from': expected one head of binary, multiclass, multilabel"):
        make_distillation_losses(
            Outputs([head], np.zeros(3)), [head], parse_hyperparameters(STUDENT, where="here").loss
        )


def test_a_teacher_that_is_the_student_is_an_error() -> None:
    with pytest.raises(ConfigError, match="expected values that differ"):
        SearchSpace(base={**STUDENT, "distill_from": {"epochs": 3}})


def test_a_fast_dev_run_has_the_teacher_too(tmp_path: Path, toy_data: Path) -> None:
    result = kaggle_ray.run(
        TOY_FILE, experiments=[STUDENT], data=toy_data, runs=tmp_path, fast_dev=True, reporters=[]
    )  # fmt: skip
    teacher, student = result.plan.experiments
    assert student.teacher_id == teacher.experiment_id
    assert len(result.pool.members) == 2
