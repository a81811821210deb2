"""The processes that train one trial together: one alone, or several that PyTorch's DDP keeps in step.

Rank 0 is the trial's own process: it has the store, and its values are the ones that count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from kaggle_ray.config.settings import Settings
from kaggle_ray.train.heartbeat import with_heartbeats

T = TypeVar("T")
Item = TypeVar("Item")


class Ranks(Protocol):
    """This process among those of the trial. What is done together is done by all ranks, equally often."""

    rank: int
    world_size: int

    def parallel(self, model: nn.Module) -> nn.Module:
        """Return the model to train with, whose gradients are the mean over the ranks'."""
        ...

    def of_first(self, value: T) -> T:
        """Return rank 0's value, on every rank."""
        ...

    def gather(self, value: T) -> list[T]:
        """Return all ranks' values in their order on rank 0, nothing elsewhere."""
        ...

    def sum(self, value: float) -> float:
        """Return the sum of the ranks' values, on every rank."""
        ...

    def share_buffers(self, model: nn.Module) -> None:
        """Give rank 0's buffers to all, such as the statistics of batch norm, which each took from its own samples."""
        ...

    def without_exchange(self, parallel: nn.Module) -> AbstractContextManager[None]:
        """Return the context in which gradients are added up here, and not yet exchanged."""
        ...


class Alone:
    """The only process of a trial."""

    rank = 0
    world_size = 1

    def parallel(self, model: nn.Module) -> nn.Module:
        """Return the model itself."""
        return model

    def of_first(self, value: T) -> T:
        """Return the value."""
        return value

    def gather(self, value: T) -> list[T]:
        """Return the one value."""
        return [value]

    def sum(self, value: float) -> float:
        """Return the value."""
        return value

    def share_buffers(self, model: nn.Module) -> None:
        """Do nothing: there is nobody to share with."""

    def without_exchange(self, parallel: nn.Module) -> AbstractContextManager[None]:
        """Return a context that changes nothing."""
        return nullcontext()


ALONE = Alone()


class Group:
    """Several processes, joined by torch.distributed: NCCL between GPUs, gloo for all else."""

    def __init__(self, settings: Settings) -> None:
        """Join the process group that is already initialised in this process."""
        self._on_gpu = settings.device == "cuda"
        self._control: dist.ProcessGroup | None = None
        if self._on_gpu:
            self._control = dist.new_group(backend="gloo")  # type: ignore[assignment]
        self.rank = dist.get_rank()
        self.world_size = dist.get_world_size()

    def parallel(self, model: nn.Module) -> nn.Module:
        """Return the model within DDP, which takes the mean of the ranks' gradients."""
        device_ids: Sequence[int] | None = [torch.cuda.current_device()] if self._on_gpu else None
        # Buffers are shared before they are used, in evaluation, rather than by a message in each step.
        return DistributedDataParallel(
            model, device_ids=device_ids, broadcast_buffers=False, gradient_as_bucket_view=True
        )  # fmt: skip

    def of_first(self, value: T) -> T:
        """Return rank 0's value, on every rank."""
        values = [value]
        dist.broadcast_object_list(values, src=0, group=self._control)
        return values[0]

    def gather(self, value: T) -> list[T]:
        """Return all ranks' values in their order on rank 0, nothing elsewhere."""
        values: list[Any] | None = [None] * self.world_size if self.rank == 0 else None
        dist.gather_object(value, values, dst=0, group=self._control)
        return values or []

    def sum(self, value: float) -> float:
        """Return the sum of the ranks' values, on every rank."""
        total = torch.tensor(value, dtype=torch.float64)
        dist.all_reduce(total, group=self._control)
        return float(total)

    def share_buffers(self, model: nn.Module) -> None:
        """Give rank 0's buffers to all."""
        buffers: list[Tensor] = list(model.buffers())
        for buffer in buffers:
            dist.broadcast(buffer, src=0)

    def without_exchange(self, parallel: nn.Module) -> AbstractContextManager[None]:
        """Return the context in which DDP adds up gradients here, and does not exchange them."""
        assert isinstance(parallel, DistributedDataParallel)
        context: AbstractContextManager[None] = parallel.no_sync()
        return context


def in_turns(ranks: Ranks, items: Sequence[Item], compute: Callable[[Item], T]) -> Iterator[T]:
    """Yield what ``compute`` makes of each item, in their order, on rank 0; nothing elsewhere.

    Every rank computes its share, whole items at a time, so that the results are the same to the bit for any number of
    ranks. All ranks have to iterate to the end.
    """
    for start in with_heartbeats(range(0, len(items), ranks.world_size)):
        own = start + ranks.rank
        value = compute(items[own]) if own < len(items) else None
        yield from ranks.gather(cast("T", value))[: len(items) - start]


_: tuple[type[Ranks], type[Ranks]] = (Alone, Group)
