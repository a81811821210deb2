from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from kaggle_ray.train.start import EpochAverage, MovingAverage

DECAY = 0.9


def network(device: str = "cpu") -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(device)


def move(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point():
            tensor.detach().copy_(torch.randn(tensor.shape, generator=generator))
        else:
            tensor.add_(1)


def test_the_average_has_the_bits_that_torchs_own_machinery_gives() -> None:
    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], num_averaged: Tensor | int) -> None:
        num = int(num_averaged)
        for one, other in zip(averaged, current, strict=True):
            if one.is_floating_point():
                one.lerp_(other, 1 - min(DECAY, (1 + num) / (10 + num)))
            else:
                one.copy_(other)

    model = network()
    ours = MovingAverage(model, DECAY)
    theirs = AveragedModel(model, multi_avg_fn=torch.no_grad()(update), use_buffers=True)
    for seed in range(20):
        move(model, seed)
        ours.update_parameters(model)
        theirs.update_parameters(model)
    expected = theirs.state_dict()
    assert list(ours.state_dict()) == list(expected), "so that checkpoints of before are read"
    assert all(torch.equal(tensor, expected[name]) for name, tensor in ours.state_dict().items())


def test_the_average_asks_the_weights_device_for_no_number() -> None:
    model = network("meta")  # where asking for one is an error; on a GPU it waits until all is done
    average = MovingAverage(model, DECAY)
    for _ in range(3):
        average.update_parameters(model)
    assert int(average.n_averaged) == 3


def test_the_ends_of_the_last_epochs_are_averaged_and_those_before_are_not() -> None:
    model = network()
    average = EpochAverage(model, first_epoch=3)
    ends: list[Tensor] = []
    for epoch in range(1, 6):
        move(model, epoch)
        average.end_epoch(model, epoch)
        ends.append(next(model.parameters()).detach().clone())
        counted = ends[2:] or ends[-1:]
        found = next(average.module.parameters())
        assert torch.allclose(found, torch.stack(counted).mean(dim=0), atol=1e-6)
