"""On a GPU a copy that is not told otherwise waits until all is done that the GPU was given before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from kaggle_ray.data.head import Head
from kaggle_ray.images.augment import recolor
from kaggle_ray.images.mix import draw_mix, mix_batch
from kaggle_ray.metrics import metric_by_name
from kaggle_ray.train.losses import Outputs
from kaggle_ray.train.losses.classification import binary_cross_entropy, cross_entropy, focal

NUM = 4


class Copies(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps whether each copy from the CPU to another device waits."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.wait: list[bool] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._to_copy.default and args[0].device.type == "cpu":
            self.wait.append(not kwargs.get("non_blocking", False))
        return func(*args, **(kwargs or {}))


def on_device(*shape: int) -> torch.Tensor:
    return torch.zeros(*shape, device="meta")


def colours() -> None:
    recolor(on_device(NUM, 3, 8, 8), on_device(NUM, 16), "heavy")


def mixtures() -> None:
    mix = draw_mix(0.4, 0.0, NUM, np.random.default_rng(0))
    assert mix is not None
    mix_batch(on_device(NUM, 3, 8, 8), on_device(NUM, 2), mix)


def weighted_losses() -> None:
    weights = torch.ones(2)
    cross_entropy(on_device(NUM, 2), on_device(NUM, 2), weights)
    focal(on_device(NUM, 2), on_device(NUM, 2), 2.0, weights)
    binary_cross_entropy(on_device(NUM, 2), on_device(NUM, 2), weights)


def numbers() -> None:
    head = Head(task="regression", classes=(), metric=metric_by_name("rmse"))
    outputs = Outputs([head], np.arange(NUM, dtype=np.float32))
    outputs.targets(on_device(NUM, 1))
    outputs.values(on_device(NUM, 1))


@pytest.mark.parametrize("bring", [colours, mixtures, weighted_losses, numbers])
def test_what_a_step_brings_to_the_device_waits_for_nothing(bring: Callable[[], None]) -> None:
    with Copies() as copies:
        bring()
    assert copies.wait, "it brings something"
    assert not any(copies.wait)
