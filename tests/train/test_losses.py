from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from torch.nn import functional

from kaggle_ray.train.losses import mean_loss, probabilities, soft_targets
from kaggle_ray.types import Task

TASKS: list[tuple[Task, int]] = [("binary", 1), ("multiclass", 4)]


def examples(num_columns: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits (32, C) and labels (32,)."""
    generator = torch.Generator().manual_seed(0)
    return (
        3 * torch.randn(32, num_columns, generator=generator),
        torch.arange(32) % max(num_columns, 2),
    )


@pytest.mark.parametrize(("task", "num_columns"), TASKS)
def test_the_loss_is_the_log_loss_of_the_probabilities(task: Task, num_columns: int) -> None:
    logits_NC, labels_N = examples(num_columns)
    targets_NC = soft_targets(labels_N, task=task, num_columns=num_columns, label_smoothing=0.0)
    values = probabilities(logits_NC, task).double().numpy()
    expected = log_loss(labels_N.numpy(), values[:, 0] if task == "binary" else values / values.sum(1, keepdims=True))
    assert mean_loss(logits_NC, targets_NC, task).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 0.5])
def test_smoothed_multiclass_loss_is_torchs(label_smoothing: float) -> None:
    logits_NC, labels_N = examples(4)
    targets_NC = soft_targets(labels_N, task="multiclass", num_columns=4, label_smoothing=label_smoothing)
    expected = functional.cross_entropy(logits_NC, labels_N, label_smoothing=label_smoothing)
    assert mean_loss(logits_NC, targets_NC, "multiclass").item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 0.5])
def test_smoothed_binary_loss_is_the_two_class_loss_of_torch(label_smoothing: float) -> None:
    logits_NC, labels_N = examples(1)
    targets_NC = soft_targets(labels_N, task="binary", num_columns=1, label_smoothing=label_smoothing)
    as_two = torch.cat([torch.zeros_like(logits_NC), logits_NC], dim=1)
    expected = functional.cross_entropy(as_two, labels_N, label_smoothing=label_smoothing)
    assert mean_loss(logits_NC, targets_NC, "binary").item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize(("task", "num_columns"), TASKS)
def test_targets_are_probabilities_of_float32(task: Task, num_columns: int) -> None:
    _, labels_N = examples(num_columns)
    targets_NC = soft_targets(labels_N, task=task, num_columns=num_columns, label_smoothing=0.2)
    assert targets_NC.shape == (32, num_columns)
    assert targets_NC.dtype == torch.float32
    if task == "multiclass":
        assert torch.allclose(targets_NC.sum(dim=1), torch.ones(32))
        assert torch.equal(targets_NC.argmax(dim=1), labels_N)
    else:
        assert torch.equal(targets_NC[:, 0] > 0.5, labels_N == 1)
        assert np.allclose(sorted(set(targets_NC.ravel().tolist())), [0.1, 0.9])


@pytest.mark.parametrize(("task", "num_columns"), TASKS)
def test_extreme_logits_give_finite_losses_and_probabilities(task: Task, num_columns: int) -> None:
    logits_NC, labels_N = examples(num_columns)
    targets_NC = soft_targets(labels_N, task=task, num_columns=num_columns, label_smoothing=0.0)
    assert torch.isfinite(mean_loss(1e4 * logits_NC, targets_NC, task))
    values = probabilities((1e4 * logits_NC).bfloat16(), task)
    assert values.dtype == torch.float32
    assert torch.all((values >= 0) & (values <= 1))
