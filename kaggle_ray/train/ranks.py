"""The processes that train one trial together: one alone, or several that PyTorch's DDP keeps in step.

Rank 0 writes to the store, and its values are the ones that count. All ranks run the same story and meet in
``of_first``: there each learns what rank 0 decided, and what another one failed of. Who starts the processes and joins
them is no matter of this module: ``launch/local_peers.py`` does for this machine, Ray Train for a cluster.
"""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from kaggle_ray.config.settings import Settings
from kaggle_ray.errors import TrialError
from kaggle_ray.train.failures import named_error, reason_of
from kaggle_ray.train.heartbeat import with_heartbeats

T = TypeVar("T")
Item = TypeVar("Item")

_NO_FAILURE = 2**62

_SHARING_OF_BUFFERS = next(
    name
    for name in ("forward_sync_buffers", "broadcast_buffers")
    if name in inspect.signature(DistributedDataParallel).parameters
)
"""What DDP calls its message of each step that shares buffers; torch warns of the old name where it has the new one."""


class Ranks(Protocol):
    """This process among those of the trial. What is done together is done by all ranks, equally often."""

    rank: int
    world_size: int
    failed_together: bool
    """Whether the last meeting ended in an error that every rank raised, so that all are at the same point still."""

    def parallel(self, model: nn.Module) -> nn.Module:
        """Return the model to train with, whose gradients are the mean over the ranks'."""
        ...

    def of_first(self, value: T) -> T:
        """Return rank 0's value, on every rank, or raise there what one of them failed of."""
        ...

    def fail(self, error: Exception, *, at: int = 0) -> None:
        """Let every rank raise ``error`` in the next ``of_first``; of several that with the least ``at``, a step."""
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
    failed_together = True

    def parallel(self, model: nn.Module) -> nn.Module:
        """Return the model itself."""
        return model

    def of_first(self, value: T) -> T:
        """Return the value."""
        return value

    def fail(self, error: Exception, *, at: int = 0) -> None:
        """Raise ``error`` at once: nobody waits for this process."""
        raise error

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
        if self._on_gpu:  # messages are objects of the CPU, and go while the GPU computes
            self._control = dist.new_group(backend="gloo")  # type: ignore[assignment]
        self.rank = dist.get_rank()
        self.world_size = dist.get_world_size()
        self.failed_together = False
        self._failure: tuple[int, Exception] | None = None

    def parallel(self, model: nn.Module) -> nn.Module:
        """Return the model within DDP, which takes the mean of the ranks' gradients."""
        device_ids: Sequence[int] | None = [torch.cuda.current_device()] if self._on_gpu else None
        # Buffers are shared before they are used, in evaluation, rather than by a message in each step.
        options: dict[str, Any] = {_SHARING_OF_BUFFERS: False}
        return DistributedDataParallel(model, device_ids=device_ids, gradient_as_bucket_view=True, **options)

    def of_first(self, value: T) -> T:
        """Return rank 0's value, on every rank, or raise there what one of them failed of."""
        self._raise_failure()
        return self._of(0, value)

    def fail(self, error: Exception, *, at: int = 0) -> None:
        """Let every rank raise ``error`` in the next ``of_first``; of several that with the least ``at``, a step."""
        if self._failure is None or at < self._failure[0]:
            self._failure = (at, error)

    def _raise_failure(self) -> None:
        """Raise on all ranks the first failure that any of them has noted."""
        failure, self._failure, self.failed_together = self._failure, None, False
        order = torch.tensor(_NO_FAILURE if failure is None else failure[0] * self.world_size + self.rank)
        dist.all_reduce(order, dist.ReduceOp.MIN, group=self._control)
        if int(order) == _NO_FAILURE:
            return
        first = int(order) % self.world_size
        error = self._of(first, None if failure is None else _sendable(failure[1]))
        assert error is not None
        self.failed_together = True
        try:
            raise error
        finally:  # the error knows this frame, and would keep all of the trial's tensors with it
            del error, failure

    def _of(self, rank: int, value: T) -> T:
        values = [value]
        dist.broadcast_object_list(values, src=rank, group=self._control)
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


@contextmanager
def noting(ranks: Ranks, *, at: int = 0) -> Iterator[None]:
    """Keep an error from leaving the context, and let all ranks raise it when they next meet; one alone raises it."""
    if ranks.world_size == 1:
        yield
        return
    try:
        yield
    except Exception as error:
        ranks.fail(error, at=at)


@contextmanager
def together(ranks: Ranks) -> Iterator[None]:
    """Let all ranks meet at the end, and raise what any of them failed of; within, none may wait for another."""
    with noting(ranks):
        yield
    ranks.of_first(None)


def _sendable(error: Exception) -> Exception:
    """Return an error that another process can read, and that brings no tensors along."""
    named = named_error(error)
    try:
        pickle.loads(pickle.dumps(named))
    except Exception:  # libraries' errors need not survive it
        return TrialError(reason_of(named))
    return named


def in_turns(ranks: Ranks, items: Sequence[Item], compute: Callable[[Item], T]) -> Iterator[T]:
    """Yield what ``compute`` makes of each item, in their order, on rank 0; nothing elsewhere.

    Every rank computes its share, whole items at a time, so that the results are the same to the bit for any number of
    ranks. All ranks have to iterate to the end.
    """
    starts = range(0, len(items), ranks.world_size)
    for start in with_heartbeats(starts, "predicting", num_total=len(starts)):
        own = start + ranks.rank
        value = compute(items[own]) if own < len(items) else None
        yield from ranks.gather(cast("T", value))[: len(items) - start]


_: tuple[type[Ranks], type[Ranks]] = (Alone, Group)
