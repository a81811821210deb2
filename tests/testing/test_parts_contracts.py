"""The contracts of losses, models, augmentations and readers: ours keep them, and what breaks one is told."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import kaggle_ray
from kaggle_ray.registry import registrations_undone
from kaggle_ray.testing.augmentation_contract import check_augmentation
from kaggle_ray.testing.loss_contract import check_loss
from kaggle_ray.testing.model_contract import check_model_trains
from kaggle_ray.testing.reader_contract import check_reader
from kaggle_ray.train.losses.registry import LOSSES
from kaggle_ray.types import Task

OURS = [(name, task) for name, loss in LOSSES.items() for task in loss.tasks]


@pytest.fixture(autouse=True)
def _nothing_stays_registered() -> Iterator[None]:
    with registrations_undone():
        yield


@pytest.mark.parametrize(("name", "task"), OURS)
def test_our_losses_keep_the_contract(name: str, task: Task) -> None:
    check_loss(name, task)


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (lambda logits, targets: (logits - targets).square().mean(), "expected a loss for each of 6 rows"),
        (lambda logits, targets: (logits - targets.mean()).square().mean(dim=1), "depends on the rows beside it"),
        (lambda logits, targets: torch.rand(len(logits)) * logits.mean(dim=1), "what is random"),
        (lambda logits, targets: (logits.detach() * 0 + logits * 0).mean(dim=1), "nothing is learnt by it"),
        (
            lambda logits, targets: (1 - logits.sigmoid()).log().neg().mean(dim=1),
            "of a confident mistake is not finite",
        ),
    ],
)
def test_a_loss_that_breaks_it_is_told(broken: Any, told: str) -> None:
    kaggle_ray.register_loss("broken", "binary")(lambda head, count: broken)
    with pytest.raises(AssertionError, match=told):
        check_loss("broken", "binary")


def test_a_loss_of_a_file_gets_shares_of_classes_where_rows_have_their_numbers() -> None:
    @kaggle_ray.register_loss("squared", "multiclass")
    def squared(head: object, count: object) -> Any:
        return lambda logits, targets: (logits.softmax(dim=1) - targets).square().sum(dim=1)

    check_loss("squared", "multiclass")


@pytest.mark.parametrize(("name", "segments"), [("resnet9", False), ("small_resnet", False), ("unet", True)])
def test_our_models_keep_the_contract(name: str, segments: bool) -> None:
    check_model_trains(name, segments=segments, width=8)


class Broken(nn.Module):
    def __init__(self, num_outputs: int, how: str) -> None:
        super().__init__()
        self.linear, self.idle = nn.Linear(3, num_outputs), nn.Linear(1, 1)
        self.how = how

    def forward(self, images_NCHW: Tensor) -> Tensor:
        means_NC = images_NCHW.mean((2, 3))
        if self.how == "batch":
            means_NC = means_NC - means_NC.mean(dim=0)
        logits: Tensor = self.linear(means_NC)
        if self.how != "idle":
            logits = logits + self.idle.weight + self.idle.bias
        return logits + torch.rand(()) if self.how == "random" else logits


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("idle", r"nothing is learnt by: network\S*idle"),
        ("batch", "depend on the images beside it"),
        ("random", "other logits in evaluation mode"),
    ],
)
def test_a_model_that_breaks_it_is_told(how: str, told: str) -> None:
    kaggle_ray.register_model("broken")(Broken)
    with pytest.raises(AssertionError, match=told):
        check_model_trains("broken", how=how)


@pytest.mark.parametrize("name", ["medium", "dihedral", "segmentation"])
def test_our_augmentations_keep_the_contract(name: str) -> None:
    check_augmentation(name)


def test_an_augmentation_that_breaks_it_is_told() -> None:
    import albumentations

    class Noisy(albumentations.ImageOnlyTransform):  # type: ignore[misc]
        def apply(self, img: Any, **params: Any) -> Any:
            return np.full_like(img, random.randrange(256))

    kaggle_ray.register_augmentation("broken")(
        lambda height, width: albumentations.Compose([albumentations.Resize(height, width), Noisy(p=1)])
    )
    with pytest.raises(AssertionError, match="what else is random"):
        check_augmentation("broken")


def test_a_reader_that_breaks_it_is_told(tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    np.save(file, np.ones((4, 5)))
    check_reader(np.load, file)
    broken_readers: list[tuple[Any, str]] = [
        (lambda path: np.load(path).tolist(), "expected an array"),
        (lambda path: np.load(path)[0], r"expected \(H, W\)"),
        (lambda path: np.load(path) / 0 if path else None, "not finite"),
        (lambda path: np.random.default_rng().random((4, 5)), "read as another array"),
    ]
    for broken, told in broken_readers:
        with np.errstate(divide="ignore"), pytest.raises(AssertionError, match=told):
            check_reader(broken, file)
