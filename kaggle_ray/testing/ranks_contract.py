"""The contract of the processes of a trial: each calls ``check_ranks``, all at the same time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kaggle_ray.counted import counted
from kaggle_ray.train.ranks import Ranks, in_turns


def check_ranks(ranks: Ranks) -> None:
    """Check what a fit relies on to be the same for any number of processes.

    Raises:
        AssertionError: this rank got something else than it should.
    """
    assert 0 <= ranks.rank < ranks.world_size, "the rank is none of the world's"
    _check_messages(ranks)
    _check_gradients(ranks)
    _check_buffers(ranks)


def _check_messages(ranks: Ranks) -> None:
    all_ranks = list(range(ranks.world_size))
    at_first = all_ranks if ranks.rank == 0 else []
    assert ranks.of_first({"rank": ranks.rank}) == {"rank": 0}, "of_first: this is not rank 0's value"
    assert ranks.of_first(None) is None, "of_first: None is a value, too"
    assert ranks.gather(ranks.rank) == at_first, "gather: expected all ranks' values in order, on rank 0 alone"
    assert ranks.sum(ranks.rank + 0.5) == sum(rank + 0.5 for rank in all_ranks), "sum: it is not the ranks' sum"
    for num_items in (0, 1, ranks.world_size, 2 * ranks.world_size + 1):
        squares = list(in_turns(ranks, range(num_items), lambda item: item * item))
        expected = [item * item for item in range(num_items)] if ranks.rank == 0 else []
        assert squares == expected, f"in_turns: {counted(num_items, 'item')}: expected {expected}, got {squares}"


def _check_gradients(ranks: Ranks) -> None:
    """Check gradients on a line through the origin, whose gradient is the mean of the inputs."""
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(1.0)
    parallel = ranks.parallel(model)
    mean = sum(range(1, ranks.world_size + 1)) / ranks.world_size
    own = torch.tensor([[float(ranks.rank + 1)]])
    parallel(own).sum().backward()
    assert _gradient(model) == mean, "the gradient is not the mean over the ranks"
    model.zero_grad()
    with ranks.without_exchange(parallel):
        parallel(own).sum().backward()
    assert _gradient(model) == own.item(), "a gradient was exchanged that should only be added up"
    parallel(own).sum().backward()
    assert _gradient(model) == 2 * mean, "what was added up is not exchanged with the next gradient"


def _check_buffers(ranks: Ranks) -> None:
    model = nn.BatchNorm1d(2)
    assert isinstance(model.running_mean, Tensor)
    model.running_mean.fill_(float(ranks.rank + 7))
    ranks.share_buffers(model)
    assert model.running_mean.tolist() == [7.0, 7.0], "the buffers are not rank 0's"


def _gradient(model: nn.Linear) -> float:
    assert model.weight.grad is not None
    return model.weight.grad.item()
