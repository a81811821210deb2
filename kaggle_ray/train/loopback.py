"""Joins processes of this machine as the ranks of a trial, by a store on its loopback address."""

from __future__ import annotations

import os

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import Store, TCPStore

from kaggle_ray.config.settings import Settings
from kaggle_ray.train.ranks import Group

_HOST = "127.0.0.1"


def open_store(settings: Settings) -> TCPStore:
    """Return the store that all ranks meet at, of which rank 0 tells the others the port."""
    return TCPStore(_HOST, 0, settings.world_size, is_master=True, wait_for_workers=False)


def store_at(port: int, settings: Settings) -> TCPStore:
    """Return the store that rank 0 has opened."""
    return TCPStore(_HOST, port, settings.world_size, is_master=False)


def join(settings: Settings, *, local_rank: int, store: Store) -> Group:
    """Make this process one of the ranks; each has a GPU of this machine where they compute on GPUs."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    if settings.device == "cuda":
        torch.cuda.set_device(local_rank)
    backend = "nccl" if settings.device == "cuda" else "gloo"
    dist.init_process_group(backend, store=store, rank=local_rank, world_size=settings.world_size)
    return Group(settings)


def leave() -> None:
    """Make this process a rank of nothing again."""
    dist.destroy_process_group()
