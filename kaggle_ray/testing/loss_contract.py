"""The contract of a loss: call ``check_loss`` in a test of each one."""

from __future__ import annotations

import torch
from torch import Tensor

from kaggle_ray.counted import counted
from kaggle_ray.data.head import Head
from kaggle_ray.metrics import LOG_LOSS, metric_by_name
from kaggle_ray.train.losses import make_losses
from kaggle_ray.train.losses.registry import SampleLoss
from kaggle_ray.types import JsonValue, Task

_NUM_ROWS, _SIDE = 6, 4
_CLASSES: dict[Task, tuple[str, ...]] = {
    "binary": ("no", "yes"),
    "multiclass": ("a", "b", "c"),
    "multilabel": ("a", "b", "c"),
    "regression": (),
    "segmentation": ("found",),
}
_METRICS: dict[Task, str] = {"multilabel": "f2", "regression": "rmse", "segmentation": "dice"}


def check_loss(name: str, task: Task, **loss_args: JsonValue) -> None:
    """Check what a fit relies on: a finite loss for each row, which depends on that row alone and can be learnt by.

    Args:
        name: that the loss is registered under.
        task: of a head that it is for.
        loss_args: of the loss.

    Raises:
        AssertionError: it does not keep to it; or whatever the loss raised.
    """
    metric = metric_by_name(_METRICS[task]) if task in _METRICS else LOG_LOSS
    head = Head(task=task, classes=_CLASSES[task], metric=metric)
    (loss,) = make_losses([head], name, loss_args)
    generator = torch.Generator().manual_seed(0)
    sides = (_SIDE, _SIDE) if task == "segmentation" else ()
    logits = 2 * torch.randn(_NUM_ROWS, head.num_outputs, *sides, generator=generator)
    targets = torch.rand(logits.shape, generator=generator)
    if task == "multiclass":
        targets = targets / targets.sum(dim=1, keepdim=True)
    elif task != "regression":
        targets = targets.round()
    of_rows = _of_rows(loss, logits, targets)
    assert torch.equal(_of_rows(loss, logits, targets), of_rows), "the same rows have another loss: what is random?"
    alone = torch.cat([_of_rows(loss, logits[row : row + 1], targets[row : row + 1]) for row in range(_NUM_ROWS)])
    assert torch.allclose(alone, of_rows, atol=1e-5), "a row's loss depends on the rows beside it"
    learnt = logits.clone().requires_grad_()
    loss(learnt, targets).mean().backward()  # type: ignore[no-untyped-call]
    assert learnt.grad is not None, "no gradient comes back to the logits"
    assert bool(learnt.grad.isfinite().all()), "a gradient is not finite"
    assert bool(learnt.grad.any()), "all gradients are 0: nothing is learnt by it"
    if task == "multiclass":
        numbers = targets.argmax(dim=1)
        shares = torch.nn.functional.one_hot(numbers, head.num_outputs).float()
        same = torch.allclose(_of_rows(loss, logits, numbers), _of_rows(loss, logits, shares), atol=1e-5)
        assert same, "a class's number has another loss than a share of 1 of it"
    _of_rows(loss, torch.full_like(logits, 100.0), 1 - targets, of="of a confident mistake ")


def _of_rows(loss: SampleLoss, logits: Tensor, targets: Tensor, *, of: str = "") -> Tensor:
    found = loss(logits.clone(), targets.clone())
    assert found.shape == (len(logits),), (
        f"expected a loss for each of {counted(len(logits), 'row')}, got {tuple(found.shape)}"
    )
    assert bool(found.isfinite().all()), f"a loss {of}is not finite"
    return found
