from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from kaggle_ray.config import Hyperparameters
from kaggle_ray.data.head import Head, place_heads
from kaggle_ray.errors import ConfigError
from kaggle_ray.metrics import metric_by_name
from kaggle_ray.pipeline.driver import execute
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.train import losses
from kaggle_ray.train.losses import LOSSES, Outputs, check_loss, make_losses, make_outputs
from kaggle_ray.train.losses.class_weights import count_classes, even_counts
from kaggle_ray.train.losses.registry import DEFAULTS
from kaggle_ray.types import Float64Array, JsonValue

LOG_LOSS, RMSE, DICE, MEAN_IOU = map(metric_by_name, ("log_loss", "rmse", "dice", "mean_iou"))
BINARY = Head(task="binary", classes=("no", "yes"), metric=LOG_LOSS)
KIND = Head(name="kind", task="multiclass", classes=("cat", "dog", "emu"), metric=LOG_LOSS)
TAGS = Head(name="tags", task="multilabel", classes=("clear", "cloudy"), metric=LOG_LOSS)
AGE = Head(name="age", task="regression", metric=RMSE)
MASK = Head(name="salt", task="segmentation", classes=("salt",), metric=DICE)
MASKS = Head(name="land", task="segmentation", classes=("none", "sky", "sea"), metric=MEAN_IOU)
EVERY_HEAD = [BINARY, KIND, TAGS, AGE, MASK, MASKS]


# The table ----------------------------------------------------------------------------------------------------------


def test_the_table_of_losses_is_the_registry() -> None:
    rows = re.findall(r"^\| (\w+) \| ([^|]*)\| ([^|]*)\| [^|]+\|$", losses.__doc__ or "", flags=re.MULTILINE)
    documented = {
        name: (re.findall(r"\w+", tasks), re.findall(r"\w+", arguments))
        for name, tasks, arguments in rows
        if name != "name"
    }
    assert documented == {name: (list(loss.tasks), list(loss.argument_names)) for name, loss in LOSSES.items()}


@pytest.mark.parametrize("head", EVERY_HEAD, ids=lambda head: head.name)
def test_every_task_has_a_default_and_takes_its_arguments(head: Head) -> None:
    check_loss("default", {}, [head])
    assert head.task in LOSSES[DEFAULTS[head.task]].tasks
    missing = set() if importlib.util.find_spec("segmentation_models_pytorch") else {"lovasz"}
    for name, loss in LOSSES.items():
        if head.task in loss.tasks and name not in missing and (name, head) != ("bce", MASKS):
            check_loss(name, {}, [head])


# What is refused ----------------------------------------------------------------------------------------------------

REFUSED: list[tuple[Sequence[Head], str, dict[str, JsonValue], str]] = [
    ([AGE], "smooth_f2", {}, "'smooth_f2' is for multilabel, not for regression. Use one of mse, l1, huber."),
    ([TAGS], "smooth_f1", {}, "loss 'smooth_f1' is unknown. Did you mean 'smooth_f2'?"),
    ([AGE], "hubre", {}, "loss 'hubre' is unknown. Did you mean 'huber'?"),
    ([KIND], "distill", {}, "is unknown. Known: cross_entropy, default, focal."),
    ([MASKS], "bce", {}, "the masks have several classes. Use cross_entropy."),
    ([KIND], "focal", {"gama": 2}, "unknown argument 'gama'. Did you mean 'gamma'?"),
    ([AGE], "l1", {"delta": 2}, "takes no arguments, got 'delta'."),
    ([KIND], "focal", {"gamma": 0.5}, "gamma: expected a number of at least 1, got 0.5."),
    ([KIND], "focal", {"gamma": True}, "gamma: expected a number of at least 1, got True."),
    ([KIND], "focal", {"alpha": 0.25}, "alpha is for binary, labels, and masks of one class. Use class_weights."),
    ([TAGS], "focal", {"alpha": 2}, "alpha: expected a number from 0 to 1, got 2."),
    ([BINARY], "focal", {"class_weights": [1, 2]}, "Use alpha, from 0 to 1."),
    ([AGE], "huber", {"delta": 0}, "delta: expected a number above 0, got 0."),
    ([AGE], "huber", {"delta": "1"}, "delta: expected a number above 0, got '1'."),
    ([MASK], "dice", {"smooth": 0}, "smooth: expected a number above 0, got 0."),
    ([TAGS], "cross_entropy", {"class_weights": "balanced"}, "Use the loss bce with pos_weight."),
    ([MASK], "cross_entropy", {"class_weights": [1, 2]}, "Use the loss bce with pos_weight."),
    ([KIND], "default", {"class_weights": {"cow": 2}}, "unknown class 'cow'. Known: cat, dog, emu."),
    ([KIND], "default", {"class_weights": {"dgo": 2}}, "unknown class 'dgo'. Did you mean 'dog'?"),
    ([KIND], "default", {"class_weights": [1, 2]}, "positive numbers for the 3 classes cat, dog, emu"),
    ([KIND], "default", {"class_weights": [1, 2, 0]}, "got [1, 2, 0]."),
    ([KIND], "default", {"class_weights": "even"}, "expected 'balanced', or positive numbers"),
    ([TAGS], "bce", {"pos_weight": -1}, "pos_weight: expected 'balanced', or positive numbers for the 2 classes"),
    ([BINARY], "bce", {"pos_weight": {"no": 2}}, "unknown class 'no'. Known: yes."),
    ([KIND, AGE], "focal", {}, "the competition has the heads kind, age. Set loss to 'by_head'"),
    ([KIND, AGE], "default", {"delta": 2}, "such as {'kind': {'loss': 'cross_entropy'}}."),
    ([KIND, AGE], "by_head", {"agee": {"loss": "huber"}}, "no head 'agee'. Did you mean 'age'?"),
    ([KIND, AGE], "by_head", {"age": "huber"}, "head 'age': expected a dictionary such as {'loss': 'default'}"),
    ([KIND, AGE], "by_head", {"age": {"loss": "focal"}}, "head 'age': loss 'focal' is for"),
    ([KIND, AGE], "by_head", {"age": {"loss": "huber", "gamma": 2}}, "head 'age': loss 'huber': unknown argument"),
]


@pytest.mark.parametrize(("heads", "name", "args", "message"), REFUSED, ids=lambda value: str(value)[:40])
def test_a_loss_that_cannot_be_is_refused(
    heads: Sequence[Head], name: str, args: dict[str, JsonValue], message: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        check_loss(name, args, heads)
    assert "loss " in str(caught.value)


def test_lovasz_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'kaggle-ray\[smp\]'"):
        check_loss("lovasz", {}, [MASK])


def test_an_unknown_loss_is_noticed_before_anything_is_written(tmp_path: Path, toy_data: Path) -> None:
    experiment = {**TINY, "epochs": 1, "loss": "smooth_f2"}
    runs = tmp_path / "runs"
    options = RunOptions(
        launcher="local", competition=TOY_FILE, experiments=[experiment], data=toy_data, runs=runs, device="cpu"
    )
    with pytest.raises(ConfigError, match=r"loss 'smooth_f2' is for multilabel, not for binary"):
        execute(options)
    assert not list(runs.rglob("*.json"))


# Heads --------------------------------------------------------------------------------------------------------------


def test_each_head_has_the_loss_that_is_named_for_it_or_its_default() -> None:
    heads = [KIND, TAGS, AGE]
    target = np.array([[0, 1, 0, 10.0], [2, 1, 1, 20.0], [2, 0, 0, 30.0], [1, 0, 1, 40.0]])
    args: dict[str, JsonValue] = {"age": {"loss": "huber", "delta": 0.5}, "tags": {"pos_weight": 3, "loss": "bce"}}
    hyperparameters = Hyperparameters(loss="by_head", loss_args=args)
    outputs = make_outputs(heads, target, np.arange(4), hyperparameters.loss)
    assert isinstance(outputs, Outputs)
    logits = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    targets = outputs.soft_targets(torch.from_numpy(target))
    chosen: list[tuple[str, dict[str, JsonValue]]] = [
        ("default", {}),
        ("bce", {"pos_weight": 3}),
        ("huber", {"delta": 0.5}),
    ]
    parts = [
        make_losses([place.head], name, of_head)[0](logits[:, place.outputs], targets[:, place.outputs])
        for place, (name, of_head) in zip(place_heads(heads), chosen, strict=True)
    ]
    assert torch.allclose(outputs.sample_losses(logits, targets), sum(parts, torch.zeros(4)) / 3)


def test_hyperparameters_name_the_loss_of_masks_and_labels_are_smoothed_there_too() -> None:
    masks = torch.tensor([0, 255, 51], dtype=torch.uint8).view(1, 1, 3, 1)
    hyperparameters = Hyperparameters(loss="bce", loss_args={"pos_weight": "balanced"}, label_smoothing=0.2)
    target = np.array([[1, 1, 1], [0, 0, 1], [0, 0, 0]])
    outputs = make_outputs([MASK], target, np.array([1, 2]), hyperparameters.loss)
    targets = outputs.soft_targets(masks)
    assert targets.flatten().tolist() == pytest.approx([0.1, 0.9, 0.26])
    logits = torch.ones(1, 1, 1, 3)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, pos_weight=torch.tensor(5.0))
    assert outputs.sample_losses(logits, targets).mean().item() == pytest.approx(expected.item())
    several = make_outputs([MASKS], target, np.array([0]), Hyperparameters(label_smoothing=0.3).loss)
    shares = several.soft_targets(torch.full((1, 1, 1, 1), 2, dtype=torch.uint8))
    assert shares.flatten().tolist() == pytest.approx([0.1, 0.1, 0.8])


# Weights ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("weights", "ratio"), [("balanced", None), ([1, 5, 2], 5), ({"dog": 7}, 7)])
def test_class_weights_have_a_mean_of_1_over_the_training_rows(weights: JsonValue, ratio: int | None) -> None:
    target = np.array([0] * 6 + [1] * 2 + [2] * 3 + [1] * 50)
    hyperparameters = Hyperparameters(loss="cross_entropy", loss_args={"class_weights": weights})
    outputs = make_outputs([KIND], target, np.arange(11), hyperparameters.loss)
    targets = outputs.soft_targets(torch.from_numpy(target[:11]))
    losses_N = outputs.sample_losses(torch.zeros(11, 3), targets)
    assert losses_N.mean().item() == pytest.approx(np.log(3), rel=1e-6)
    sums = [losses_N[torch.from_numpy(target[:11] == number)].sum().item() for number in range(3)]
    if ratio is None:
        assert sums == pytest.approx([sums[0]] * 3)
    else:
        assert sums[1] / sums[0] == pytest.approx(ratio * 2 / 6)


def test_only_the_ratios_of_class_weights_count() -> None:
    logits, targets = torch.randn(4, 3), torch.eye(3)[[0, 1, 2, 2]]
    one, other, named = (
        make_losses([KIND], "default", {"class_weights": given})[0](logits, targets)
        for given in ([1, 2, 4], [0.5, 1.0, 2.0], {"dog": 2, "emu": 4})
    )
    assert torch.allclose(one, other)
    assert torch.allclose(one, named)


def test_a_class_without_training_rows_weighs_1() -> None:
    target, hyperparameters = np.array([0, 0, 0, 2]), Hyperparameters(loss_args={"class_weights": "balanced"})
    outputs = make_outputs([KIND], target, np.arange(4), hyperparameters.loss)
    losses_N = outputs.sample_losses(torch.zeros(3, 3), torch.eye(3)) / np.log(3)
    assert losses_N.tolist() == pytest.approx([4 / 6, 1, 4 / 2])


def test_a_balanced_pos_weight_is_the_absent_over_the_present_ones() -> None:
    target = np.array([[1, 1], [0, 1], [0, 1], [0, 1]])
    hyperparameters = Hyperparameters(loss="bce", loss_args={"pos_weight": "balanced"})
    outputs = make_outputs([TAGS], target, np.arange(4), hyperparameters.loss)
    losses_N = outputs.sample_losses(torch.zeros(3, 2), torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])) / np.log(2)
    assert losses_N.tolist() == pytest.approx([1, (3 + 1) / 2, 1])


def test_pixels_are_counted_in_the_training_rows_only_however_many_there_are() -> None:
    target = np.random.default_rng(0).integers(3, size=(3000, 4)).astype(np.uint8)
    rows = np.arange(0, 3000, 2)
    (place,) = place_heads([MASKS])
    assert count_classes(place, target, rows).tolist() == [np.bincount(target[rows].ravel(), minlength=3).tolist()]


def test_heads_side_by_side_are_counted_in_their_own_columns() -> None:
    target = np.array([[2, 1, 0, 10.0], [2, 1, 1, 20.0], [0, 0, 0, 30.0]])
    kind, tags, _ = place_heads([KIND, TAGS, AGE])
    assert count_classes(kind, target, np.arange(3)).tolist() == [[1, 0, 2]]
    assert count_classes(tags, target, np.array([0, 1])).tolist() == [[0, 2], [1, 1]]
    assert even_counts(tags).shape == count_classes(tags, target, np.arange(3)).shape


def test_classes_are_counted_only_for_a_loss_that_asks() -> None:
    def fail(place: object) -> Float64Array:
        raise AssertionError("counted")

    for head in EVERY_HEAD:
        make_losses([head], "default", {}, fail)
    with pytest.raises(ConfigError, match="AssertionError: counted"):
        make_losses([KIND], "default", {"class_weights": "balanced"}, fail)
