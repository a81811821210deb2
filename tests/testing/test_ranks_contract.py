"""One process, and two that are joined by gloo, keep the contract; the contract refuses those that do not."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from torch import nn

from kaggle_ray.testing.ranks_contract import check_ranks
from kaggle_ray.train.ranks import ALONE, Alone, T

RANK = """
import sys
import torch.distributed as dist
from kaggle_ray.config.settings import Settings
from kaggle_ray.testing.ranks_contract import check_ranks
from kaggle_ray.train.ranks import Group

class EachItsOwn(Group):
    def of_first(self, value):
        super().of_first(value)
        return value

rank, port = int(sys.argv[1]), int(sys.argv[2])
store = dist.TCPStore("127.0.0.1", port, 2, is_master=rank == 0)
dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
settings = Settings(device="cpu", threads_per_trial=1, dtype="float32")
check_ranks(Group(settings))
print("kept", flush=True)
check_ranks(EachItsOwn(settings))
"""


def said_by_two() -> list[tuple[str, str]]:
    """Return what each of two processes has on its standard output and error."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error:`broadcast_buffers`", "-c", RANK, str(rank), port],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        return [process.communicate(timeout=120) for process in processes[::-1]][::-1]
    finally:
        for process in processes:
            process.kill()


def test_one_process_keeps_the_contract() -> None:
    check_ranks(ALONE)


@pytest.mark.slow
def test_two_processes_keep_the_contract_and_are_refused_where_they_do_not_share() -> None:
    (kept, _), (kept_too, second) = said_by_two()
    assert (kept, kept_too) == ("kept\n", "kept\n"), second
    assert "of_first: this is not rank 0's value" in second


class Silent(Alone):
    def gather(self, value: T) -> list[T]:
        return []


class Doubling(Alone):
    def sum(self, value: float) -> float:
        return 2 * value


class Frozen(Alone):
    def parallel(self, model: nn.Module) -> nn.Module:
        return nn.Sequential(model, nn.Flatten(), nn.Linear(1, 1, bias=False))


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (Silent, "gather: expected all ranks' values"),
        (Doubling, "sum: it is not the ranks' sum"),
        (Frozen, "the gradient is not the mean over the ranks"),
    ],
)
def test_a_process_that_breaks_the_contract_is_refused(broken: type[Alone], said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        check_ranks(broken())
