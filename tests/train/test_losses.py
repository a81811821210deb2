from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from torch.nn import functional

from kaggle_ray.data.head import Head
from kaggle_ray.metrics import metric_by_name
from kaggle_ray.train.losses import Outputs, PixelOutputs
from kaggle_ray.types import Target

LOG_LOSS, RMSE, DICE, MEAN_IOU = map(metric_by_name, ("log_loss", "rmse", "dice", "mean_iou"))
BINARY = Head(task="binary", classes=("no", "yes"), metric=LOG_LOSS)
CLASSES = Head(name="kind", task="multiclass", classes=tuple("abcd"), metric=LOG_LOSS)
LABELS = Head(name="tags", task="multilabel", classes=tuple("xyz"), metric=LOG_LOSS)
VALUE = Head(name="age", task="regression", metric=RMSE, loss_weight=3.0)
CASES: list[tuple[Head, Target]] = [
    (BINARY, np.arange(32) % 2),
    (CLASSES, np.arange(32) % 4),
    (LABELS, np.arange(96).reshape(32, 3) % 2),
]


def logits(num_columns: int) -> torch.Tensor:
    return 3 * torch.randn(32, num_columns, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("head", "target"), CASES, ids=lambda case: getattr(case, "task", ""))
def test_the_loss_is_the_log_loss_of_the_values(head: Head, target: Target) -> None:
    outputs = Outputs([head], target)
    logits_NC = logits(head.num_outputs)
    values = outputs.values(logits_NC).double().numpy()
    if head is CLASSES:
        expected = log_loss(target, values / values.sum(1, keepdims=True))
    else:
        columns = target.reshape(32, -1)
        expected = np.mean([log_loss(columns[:, column], values[:, column]) for column in range(columns.shape[1])])
    loss = outputs.sample_losses(logits_NC, outputs.soft_targets(torch.from_numpy(target))).mean()
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 0.5])
def test_smoothed_losses_are_torchs(label_smoothing: float) -> None:
    for head, target in CASES[:2]:
        outputs = Outputs([head], target, label_smoothing=label_smoothing)
        logits_NC = logits(head.num_outputs)
        labels_N = torch.from_numpy(target)
        both = logits_NC if head is CLASSES else torch.cat([torch.zeros_like(logits_NC), logits_NC], dim=1)
        expected = functional.cross_entropy(both, labels_N, label_smoothing=label_smoothing)
        loss = outputs.sample_losses(logits_NC, outputs.soft_targets(labels_N)).mean()
        assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize(("head", "target"), CASES, ids=lambda case: getattr(case, "task", ""))
def test_extreme_logits_give_finite_losses_and_probabilities(head: Head, target: Target) -> None:
    outputs = Outputs([head], target)
    logits_NC = 1e4 * logits(head.num_outputs)
    assert torch.isfinite(outputs.sample_losses(logits_NC, outputs.soft_targets(torch.from_numpy(target))).mean())
    values = outputs.values(logits_NC.bfloat16())
    assert values.dtype == torch.float32
    assert torch.all((values >= 0) & (values <= 1))


def test_regression_is_trained_on_scaled_values_and_read_in_the_targets_units() -> None:
    target = 1000 + 50 * np.random.default_rng(0).normal(size=32)
    outputs = Outputs([VALUE], target)
    scaled_N1 = outputs.soft_targets(torch.from_numpy(target))
    assert abs(scaled_N1.mean().item()) < 1e-4
    assert scaled_N1.std(correction=0).item() == pytest.approx(1, abs=1e-4)
    assert outputs.values(scaled_N1)[:, 0].numpy() == pytest.approx(target, rel=1e-5)
    assert outputs.sample_losses(scaled_N1, scaled_N1).mean().item() == 0


@pytest.mark.parametrize("scale", [1e-20, 1e-7, 1e9, 1e30])
def test_numbers_of_any_size_are_scaled_to_a_deviation_of_one(scale: float) -> None:
    target = scale * np.random.default_rng(0).normal(size=32)
    outputs = Outputs([VALUE], target)
    scaled_N1 = outputs.soft_targets(torch.from_numpy(target))
    assert scaled_N1.std(correction=0).item() == pytest.approx(1, abs=1e-4)
    assert outputs.values(scaled_N1)[:, 0].numpy() == pytest.approx(target, rel=1e-4, abs=1e-4 * scale)


def test_a_constant_regression_target_does_not_divide_by_zero() -> None:
    for constant in (7.0, 0.1, 0.0, -1e29):
        outputs = Outputs([VALUE], np.full(32, constant))
        assert outputs.std.tolist() == [1.0]
        assert torch.all(outputs.soft_targets(torch.full((32,), constant)) == 0)


def test_the_loss_of_several_heads_is_their_weighted_mean() -> None:
    rng = np.random.default_rng(0)
    target = np.column_stack([rng.integers(4, size=32), rng.integers(2, size=(32, 3)), rng.normal(size=32)])
    together = Outputs([CLASSES, LABELS, VALUE], target)
    logits_NC = logits(8)
    soft_NC = together.soft_targets(torch.from_numpy(target))
    assert soft_NC.shape == (32, 8)
    parts = [
        Outputs([head], target[:, of]).sample_losses(logits_NC[:, outputs], soft_NC[:, outputs]).mean().item()
        for head, of, outputs in [
            (CLASSES, slice(0, 1), slice(0, 4)),
            (LABELS, slice(1, 4), slice(4, 7)),
            (VALUE, slice(4, 5), slice(7, 8)),
        ]
    ]
    assert together.sample_losses(logits_NC, soft_NC).mean().item() == pytest.approx(
        (parts[0] + parts[1] + 3 * parts[2]) / 5
    )


def test_right_masks_cost_nothing_and_wrong_ones_much() -> None:
    outputs = PixelOutputs(Head(task="segmentation", classes=("salt",), metric=DICE))
    masks_NHW1 = torch.zeros(2, 8, 8, 1, dtype=torch.uint8)
    masks_NHW1[0, 2:6, 2:6] = 255  # the second mask is empty
    targets = outputs.soft_targets(masks_NHW1)
    assert targets.shape == (2, 1, 8, 8)
    right = outputs.sample_losses(40 * (targets - 0.5), targets).mean().item()
    wrong = outputs.sample_losses(-40 * (targets - 0.5), targets).mean().item()
    assert right < 1e-4
    assert wrong > 10


def test_pixels_of_several_classes_are_a_softmax() -> None:
    outputs = PixelOutputs(Head(task="segmentation", classes=("none", "sky", "sea"), metric=MEAN_IOU))
    masks_NHW1 = torch.randint(0, 3, (2, 8, 8, 1), generator=torch.Generator().manual_seed(0)).byte()
    targets = outputs.soft_targets(masks_NHW1)
    assert torch.equal(targets.argmax(dim=1), masks_NHW1[..., 0].long())
    values = outputs.values(targets * 30)
    assert torch.allclose(values.sum(dim=1), torch.ones(2, 8, 8))
    assert outputs.sample_losses(targets * 30, targets).mean().item() < 1e-3
