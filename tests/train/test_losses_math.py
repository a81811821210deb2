from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import fbeta_score, log_loss, mean_absolute_error, mean_squared_error
from sklearn.utils.class_weight import compute_sample_weight
from torch import Tensor
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

from kaggle_ray.data.head import Head
from kaggle_ray.metrics import metric_by_name
from kaggle_ray.train.losses import LOSSES, Outputs, PixelOutputs, distill_loss, make_losses
from kaggle_ray.train.losses.classification import binary_focal, cross_entropy, focal
from kaggle_ray.train.losses.overlap import smooth_f_beta, tversky
from kaggle_ray.train.losses.regression import huber
from kaggle_ray.types import JsonValue

N = 12
LOG_LOSS, RMSE, DICE, MEAN_IOU = map(metric_by_name, ("log_loss", "rmse", "dice", "mean_iou"))
HEADS = {
    "binary": Head(task="binary", classes=("no", "yes"), metric=LOG_LOSS),
    "multiclass": Head(task="multiclass", classes=tuple("abcd"), metric=LOG_LOSS),
    "multilabel": Head(task="multilabel", classes=tuple("xyz"), metric=LOG_LOSS),
    "regression": Head(task="regression", metric=RMSE),
    "mask": Head(task="segmentation", classes=("car",), metric=DICE),
    "masks": Head(task="segmentation", classes=("none", "sky", "sea"), metric=MEAN_IOU),
}
ARGS: dict[str, list[tuple[str, dict[str, JsonValue]]]] = {
    "binary": [("cross_entropy", {"class_weights": [1, 3]}), ("bce", {"pos_weight": 3}), ("focal", {"alpha": 0.25})],
    "multiclass": [
        ("cross_entropy", {"class_weights": {"a": 5}}),
        ("focal", {"gamma": 1.5, "class_weights": [1, 2, 3, 4]}),
    ],
    "multilabel": [("bce", {"pos_weight": [1, 2, 3]}), ("focal", {"gamma": 1})],
    "regression": [("huber", {"delta": 0.5})],
    "mask": [("bce", {"pos_weight": 3}), ("focal", {"alpha": 0.25})],
    "masks": [("cross_entropy", {"class_weights": [1, 2, 3]}), ("focal", {"class_weights": [1, 2, 3]})],
}
MISSING = set() if importlib.util.find_spec("segmentation_models_pytorch") else {"lovasz"}
EVERY = [
    (kind, name, args)
    for kind, head in HEADS.items()
    for name, args in [*((name, {}) for name, loss in LOSSES.items() if head.task in loss.tasks), *ARGS[kind]]
    if name not in MISSING and (kind, name) != ("masks", "bce")
]
"""Every loss of every task, and with arguments."""

each_loss = pytest.mark.parametrize(("kind", "name", "args"), EVERY, ids=str)


def loss_of(kind: str, name: str, **args: JsonValue) -> Callable[[Tensor, Tensor], Tensor]:
    return make_losses([HEADS[kind]], name, args)[0]


def outputs_of(kind: str, name: str, args: dict[str, JsonValue]) -> Outputs | PixelOutputs:
    head, losses = HEADS[kind], make_losses([HEADS[kind]], name, args)
    if head.task == "segmentation":
        return PixelOutputs(head, loss=losses[0])
    return Outputs([head], np.zeros((N, head.num_target_columns)), losses=losses)


def batch_of(kind: str, *, soft: bool = False, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Return logits and targets: 0 and 1 or, as after mixing, in between."""
    generator = torch.Generator().manual_seed(0)
    head = HEADS[kind]
    shape = (N, head.num_outputs, *((6, 7) if head.task == "segmentation" else ()))
    logits, noise = 2 * torch.randn(2, *shape, generator=generator, dtype=dtype)
    if kind == "regression":
        return logits, noise
    if kind in ("multiclass", "masks"):
        hard = functional.one_hot(noise.argmax(dim=1), head.num_outputs).movedim(-1, 1)
        return logits, torch.softmax(noise, dim=1) if soft else hard.to(dtype)
    return logits, torch.sigmoid(noise) if soft else (noise > 0).to(dtype)


# Every loss ---------------------------------------------------------------------------------------------------------


@each_loss
@pytest.mark.parametrize("soft", [False, True])
def test_a_samples_loss_does_not_depend_on_its_batch(
    kind: str, name: str, args: dict[str, JsonValue], soft: bool
) -> None:
    outputs, (logits, targets) = outputs_of(kind, name, args), batch_of(kind, soft=soft)
    together = outputs.sample_losses(logits, targets)
    assert together.shape == (N,)
    assert together.dtype == torch.float32
    alone = [outputs.sample_losses(logits[i : i + 1], targets[i : i + 1]) for i in range(N)]
    assert torch.allclose(together, torch.cat(alone), rtol=1e-5, atol=1e-7)
    assert len(set(together.tolist())) > 1
    assert torch.equal(outputs.sample_losses(logits, targets).mean(), together.mean())


@each_loss
def test_parts_of_a_batch_add_up_to_its_gradient(kind: str, name: str, args: dict[str, JsonValue]) -> None:
    outputs, (logits, targets) = outputs_of(kind, name, args), batch_of(kind)
    logits.requires_grad_()
    (whole,) = torch.autograd.grad(outputs.sample_losses(logits, targets).mean(), logits)
    parts = torch.zeros_like(logits)
    for rows in (slice(0, 5), slice(5, 7), slice(7, N)):
        parts += torch.autograd.grad(outputs.sample_losses(logits[rows], targets[rows]).sum() / N, logits)[0]
    assert torch.allclose(whole, parts, rtol=1e-5, atol=1e-8)
    assert whole.abs().max() > 0


@each_loss
@pytest.mark.parametrize("scale", [0.0, 1e4])
def test_no_logits_give_a_loss_or_gradient_that_is_not_finite(
    kind: str, name: str, args: dict[str, JsonValue], scale: float
) -> None:
    outputs = outputs_of(kind, name, args)
    for soft in (False, True):
        logits, targets = batch_of(kind, soft=soft)
        for extreme in (logits * scale, (targets - 0.5) * scale, (0.5 - targets) * scale):
            extreme = extreme.detach().requires_grad_()
            losses = outputs.sample_losses(extreme, targets)
            (gradient,) = torch.autograd.grad(losses.sum(), extreme)
            assert torch.isfinite(losses).all()
            assert torch.isfinite(gradient).all()


@each_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_losses_are_computed_in_float32(kind: str, name: str, args: dict[str, JsonValue], dtype: torch.dtype) -> None:
    outputs, (logits, targets) = outputs_of(kind, name, args), batch_of(kind)
    expected = outputs.sample_losses(logits.to(dtype).float(), targets)
    with torch.autocast("cpu", dtype=dtype):
        losses = outputs.sample_losses(logits.to(dtype), targets)
    assert losses.dtype == torch.float32
    assert torch.equal(losses, expected)


@pytest.mark.parametrize(("kind", "name", "args"), [case for case in EVERY if case[1] != "lovasz"], ids=str)
def test_the_gradients_are_those_of_the_losses(kind: str, name: str, args: dict[str, JsonValue]) -> None:
    loss, (logits, targets) = loss_of(kind, name, **args), batch_of(kind, soft=True, dtype=torch.float64)
    few = (slice(2), slice(None), slice(2), slice(2))[: logits.ndim]
    logits, targets = logits[few], targets[few]
    assert torch.autograd.gradcheck(lambda logits: loss(logits, targets), logits.clone().requires_grad_())


@each_loss
def test_following_the_gradient_lowers_the_loss(kind: str, name: str, args: dict[str, JsonValue]) -> None:
    outputs, (logits, targets) = outputs_of(kind, name, args), batch_of(kind)
    logits.requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.3)
    first = outputs.sample_losses(logits, targets).mean().item()
    for _ in range(30):
        optimizer.zero_grad()
        loss = outputs.sample_losses(logits, targets).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert loss.item() < first / 3


# The same as others' ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_balanced_cross_entropy_is_that_of_scikit_learn(kind: str) -> None:
    head = HEADS[kind]
    target = np.random.default_rng(0).integers(len(head.classes), size=200) ** 2 // 3  # rare and frequent ones
    target = np.minimum(target, len(head.classes) - 1)
    target[: len(head.classes)] = range(len(head.classes))
    counts = np.bincount(target, minlength=len(head.classes))[np.newaxis].astype(float)
    (loss,) = make_losses([head], "cross_entropy", {"class_weights": "balanced"}, lambda place: counts)
    outputs = Outputs([head], target, losses=[loss])
    logits = torch.randn(200, head.num_outputs, generator=torch.Generator().manual_seed(0))
    values = outputs.values(logits).double().numpy()
    values = np.hstack([1 - values, values]) if kind == "binary" else values / values.sum(axis=1, keepdims=True)
    expected = log_loss(target, values, sample_weight=compute_sample_weight("balanced", target))
    measured = outputs.sample_losses(logits, outputs.soft_targets(torch.from_numpy(target))).mean().item()
    assert measured == pytest.approx(expected, rel=1e-5)


def test_cross_entropy_with_class_weights_is_torchs() -> None:
    logits, targets = batch_of("multiclass", soft=True)
    weights = torch.tensor([0.4, 0.8, 1.2, 1.6])  # a mean of 1 where the classes are even
    expected = functional.cross_entropy(logits, targets, weight=weights)
    measured = loss_of("multiclass", "cross_entropy", class_weights=[1, 2, 3, 4])(logits, targets).mean()
    assert measured.item() == pytest.approx(expected.item())


def test_binary_class_weights_are_those_of_a_softmax_over_both_classes() -> None:
    logits, targets = batch_of("binary", soft=True)
    both = torch.cat([torch.zeros_like(logits), logits], dim=1)
    expected = cross_entropy(both, torch.cat([1 - targets, targets], dim=1), torch.tensor([0.5, 1.5]))
    measured = loss_of("binary", "cross_entropy", class_weights=[1, 3])(logits, targets)
    assert torch.allclose(measured, expected)


@pytest.mark.parametrize("kind", ["binary", "multilabel", "mask"])
def test_pos_weight_is_torchs(kind: str) -> None:
    logits, targets = batch_of(kind, soft=True)
    expected = functional.binary_cross_entropy_with_logits(logits, targets, pos_weight=torch.tensor(2.5))
    measured = loss_of(kind, "bce", pos_weight=2.5)(logits, targets).mean()
    assert measured.item() == pytest.approx(expected.item())


@pytest.mark.parametrize("kind", ["binary", "multilabel", "mask"])
@pytest.mark.parametrize("alpha", [None, 0.25])
def test_focal_loss_of_sigmoids_is_torchvisions(kind: str, alpha: float | None) -> None:
    logits, targets = batch_of(kind, soft=True)
    expected = sigmoid_focal_loss(logits, targets, -1 if alpha is None else alpha, gamma=3.0, reduction="mean")
    measured = loss_of(kind, "focal", gamma=3, alpha=alpha)(logits, targets).mean()
    assert measured.item() == pytest.approx(expected.item())


@pytest.mark.parametrize("kind", ["multiclass", "masks"])
def test_focal_loss_of_a_softmax_is_that_of_segmentation_models(kind: str) -> None:
    functions = pytest.importorskip("segmentation_models_pytorch.losses._functional")
    logits, targets = batch_of(kind)
    expected = functions.softmax_focal_loss_with_logits(logits, targets.argmax(dim=1), gamma=2.0)
    assert loss_of(kind, "focal")(logits, targets).mean().item() == pytest.approx(expected.item())


def test_focal_loss_of_two_classes_is_that_of_one_sigmoid() -> None:
    logits, targets = batch_of("binary")
    both = torch.cat([torch.zeros_like(logits), logits], dim=1)
    measured = focal(both, torch.cat([1 - targets, targets], dim=1), gamma=2.0)
    assert torch.allclose(measured, binary_focal(logits, targets, gamma=2.0), atol=1e-7)


@pytest.mark.parametrize("kind", ["mask", "masks"])
@pytest.mark.parametrize(
    ("name", "theirs", "args"),
    [("dice", "DiceLoss", {}), ("jaccard", "JaccardLoss", {}), ("tversky", "TverskyLoss", {"alpha": 0.2, "beta": 0.6})],
)
def test_overlaps_are_those_of_segmentation_models_on_one_image(
    kind: str, name: str, theirs: str, args: dict[str, float]
) -> None:
    smp = pytest.importorskip("segmentation_models_pytorch")
    logits, targets = batch_of(kind)
    labels = targets.argmax(dim=1) if kind == "masks" else targets
    reference = getattr(smp.losses, theirs)("multiclass" if kind == "masks" else "binary", smooth=0.5, **args)
    expected = [reference(logits[i : i + 1], labels[i : i + 1]).item() for i in range(N)]
    assert loss_of(kind, name, **args)(logits, targets).tolist() == pytest.approx(expected, abs=1e-6)


def test_overlaps_with_soft_targets_are_those_of_segmentation_models() -> None:
    functions = pytest.importorskip("segmentation_models_pytorch.losses._functional")
    logits, targets = batch_of("masks", soft=True)
    values = torch.softmax(logits, dim=1)
    scores = functions.soft_tversky_score(values, targets, 0.3, 0.7, smooth=0.5, dims=(2, 3))
    measured = tversky(values, targets, alpha=0.3, beta=0.7, smooth=0.5)
    assert torch.allclose(measured, 1 - scores.mean(dim=1), atol=1e-6)


@pytest.mark.parametrize("kind", ["mask", "masks"])
def test_the_lovasz_loss_is_that_of_segmentation_models(kind: str) -> None:
    smp = pytest.importorskip("segmentation_models_pytorch")
    logits, targets = batch_of(kind)
    labels = targets.argmax(dim=1) if kind == "masks" else targets
    expected = smp.losses.LovaszLoss("multiclass" if kind == "masks" else "binary", per_image=True)(logits, labels)
    assert loss_of(kind, "lovasz")(logits, targets).mean().item() == pytest.approx(expected.item(), rel=1e-5)


def test_smooth_f2_of_certain_answers_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    target, answers = rng.integers(2, size=(2, 40, 8))
    logits = torch.from_numpy(200.0 * answers - 100).float()
    for beta in (1.0, 2.0):
        losses = smooth_f_beta(logits, torch.from_numpy(target).float(), beta, smooth=1e-6)
        expected = fbeta_score(target, answers, beta=beta, average="samples", zero_division=0)
        assert 1 - losses.mean().item() == pytest.approx(expected, abs=1e-5)


def test_distances_are_those_of_scikit_learn() -> None:
    logits, targets = batch_of("regression")
    pair = targets.numpy(), logits.numpy()
    assert loss_of("regression", "l1")(logits, targets).mean().item() == pytest.approx(mean_absolute_error(*pair))
    assert loss_of("regression", "mse")(logits, targets).mean().item() == pytest.approx(mean_squared_error(*pair))
    assert huber(logits, targets, 1e6).mean().item() == pytest.approx(mean_squared_error(*pair) / 2)
    assert huber(logits, targets, 1e-4).mean().item() / 1e-4 == pytest.approx(mean_absolute_error(*pair), rel=1e-3)


# Soft targets -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind, name, args in EVERY if name in ("cross_entropy", "bce") and not args]
    + [("multiclass", "focal"), ("masks", "focal")],
)
def test_the_loss_of_mixed_targets_is_the_mixed_loss(kind: str, name: str) -> None:
    loss, (logits, targets) = loss_of(kind, name), batch_of(kind)
    others = targets.flip(0)
    mixed = loss(logits, torch.lerp(others, targets, 0.3))
    assert torch.allclose(mixed, 0.3 * loss(logits, targets) + 0.7 * loss(logits, others), rtol=1e-5)


@pytest.mark.parametrize("name", ["dice", "jaccard", "tversky"])
def test_the_best_prediction_of_a_soft_mask_is_the_mask(name: str) -> None:
    _, targets = batch_of("mask", soft=True)
    exact = torch.logit(targets)
    losses = loss_of("mask", name)(exact, targets)
    assert losses.max() < 1e-5
    for shift in (-0.5, 0.5):
        assert torch.all(loss_of("mask", name)(exact + shift, targets) > losses + 0.01)


def test_an_empty_mask_is_learnt_from_too() -> None:
    logits = torch.tensor([-9.0, 0.0, 9.0]).view(3, 1, 1, 1).expand(3, 1, 8, 8)
    for name in ("dice", "jaccard", "tversky", "cross_entropy_dice"):
        losses = loss_of("mask", name)(logits, torch.zeros(3, 1, 8, 8))
        assert losses[0] < 0.02 < losses[1] < losses[2]


def test_the_default_of_masks_is_cross_entropy_plus_dice() -> None:
    for kind in ("mask", "masks"):
        logits, targets = batch_of(kind)
        entropy, dice = loss_of(kind, "cross_entropy")(logits, targets), loss_of(kind, "dice")(logits, targets)
        assert torch.allclose(loss_of(kind, "default")(logits, targets), entropy + dice)
        assert torch.allclose(loss_of(kind, "default", dice_weight=3)(logits, targets), entropy + 3 * dice)


# Distillation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_distillation_is_the_divergence_of_softened_probabilities(temperature: float) -> None:
    logits, _ = batch_of("multiclass", dtype=torch.float64)
    teacher_logits = logits.flip(0)
    expected = temperature**2 * functional.kl_div(
        torch.log_softmax(logits / temperature, dim=1),
        torch.softmax(teacher_logits / temperature, dim=1),
        reduction="none",
    ).sum(dim=1)
    measured = distill_loss(logits, torch.softmax(teacher_logits, dim=1), temperature)
    assert torch.allclose(measured, expected)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_distillation_of_a_sigmoid_is_that_of_two_classes(temperature: float) -> None:
    logits, teacher = batch_of("binary", soft=True, dtype=torch.float64)
    both = torch.cat([torch.zeros_like(logits), logits], dim=1)
    expected = distill_loss(both, torch.cat([1 - teacher, teacher], dim=1), temperature)
    assert torch.allclose(distill_loss(logits, teacher, temperature, activation="sigmoid"), expected)


@pytest.mark.parametrize(("kind", "activation"), [("multiclass", "softmax"), ("multilabel", "sigmoid")])
def test_the_teacher_itself_has_nothing_to_learn(kind: str, activation: Any) -> None:
    logits, _ = batch_of(kind, dtype=torch.float64)
    teacher = torch.softmax(logits, dim=1) if activation == "softmax" else torch.sigmoid(logits)
    for temperature in (1.0, 5.0):
        losses = distill_loss(logits.requires_grad_(), teacher, temperature, activation=activation)
        (gradient,) = torch.autograd.grad(losses.sum(), logits)
        assert losses.abs().max() < 1e-12
        assert gradient.abs().max() < 1e-12


@pytest.mark.parametrize(("kind", "activation"), [("multiclass", "softmax"), ("multilabel", "sigmoid")])
def test_at_temperature_1_distillation_has_the_gradient_of_cross_entropy(kind: str, activation: Any) -> None:
    logits, teacher = batch_of(kind, soft=True, dtype=torch.float64)
    logits.requires_grad_()
    (measured,) = torch.autograd.grad(distill_loss(logits, teacher, activation=activation).sum(), logits)
    (expected,) = torch.autograd.grad(loss_of(kind, "cross_entropy")(logits, teacher).sum(), logits)
    assert torch.allclose(measured, expected)
    assert torch.autograd.gradcheck(lambda x: distill_loss(x, teacher, 2.0, activation=activation), logits)


def test_high_temperatures_leave_the_size_of_gradients() -> None:
    logits, teacher = batch_of("multiclass", soft=True, dtype=torch.float64)
    logits.requires_grad_()
    sizes = [torch.autograd.grad(distill_loss(logits, teacher, t).sum(), logits)[0].norm().item() for t in (20.0, 80.0)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.1)


@pytest.mark.parametrize(("kind", "activation"), [("multiclass", "softmax"), ("multilabel", "sigmoid")])
def test_a_teacher_may_be_certain(kind: str, activation: Any) -> None:
    logits, certain = batch_of(kind)
    for scale in (1.0, 1e4):
        extreme = (scale * logits).requires_grad_()
        losses = distill_loss(extreme, certain, 1.0, activation=activation)
        (gradient,) = torch.autograd.grad(losses.sum(), extreme)
        assert torch.isfinite(losses).all()
        assert torch.isfinite(gradient).all()
        assert torch.allclose(losses, loss_of(kind, "cross_entropy")(extreme, certain), rtol=1e-4, atol=1e-5)
