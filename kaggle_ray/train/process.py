"""Opens every fit, in every launcher, in the same state."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import cv2
import numpy as np
import torch

from kaggle_ray.config.settings import Settings
from kaggle_ray.errors import ConfigError
from kaggle_ray.train.heap import keep_freed_memory, return_freed_memory
from kaggle_ray.types import short_digest


def prepare_process(settings: Settings, seed: int) -> torch.device:
    """Set threads, memory, backend flags and the global seeds of this process; return the device to compute on.

    On the CPU the same settings give the same bits. On a GPU speed goes first: the fastest algorithm of each shape.

    Raises:
        ConfigError: the settings ask for a GPU and torch sees none.
    """
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("settings ask for device cuda, but torch sees no GPU in this process. Use --device cpu.")
    torch.set_num_threads(settings.threads_per_trial)
    cv2.setNumThreads(0)
    if settings.device == "cpu":
        keep_freed_memory()
    torch.use_deterministic_algorithms(settings.device == "cpu", warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = settings.device == "cuda"
    torch.set_float32_matmul_precision("high" if settings.device == "cuda" else "highest")
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    return torch.device(settings.device)


def gpu_name(settings: Settings) -> str | None:
    """Return the name of the GPU that this process computes on, None on a CPU."""
    return torch.cuda.get_device_name() if settings.device == "cuda" else None


def autocast(settings: Settings) -> AbstractContextManager[object]:
    """Return the context in which forward passes run at the settings' dtype."""
    if settings.dtype == "float32":
        return nullcontext()
    return torch.autocast(settings.device, dtype=getattr(torch, settings.dtype))


@contextmanager
def unprepared_after() -> Iterator[None]:
    """Put back what ``prepare_process`` set within the context, for what runs between a person's other work."""
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    deterministic = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    fills, benchmark = torch.utils.deterministic.fill_uninitialized_memory, torch.backends.cudnn.benchmark  # type: ignore[attr-defined]
    cv2_threads = cv2.getNumThreads()
    generators = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        try:
            yield
        finally:
            random.setstate(generators[0])
            np.random.set_state(generators[1])
            cv2.setNumThreads(cv2_threads)
            torch.set_float32_matmul_precision(precision)
            torch.backends.cudnn.benchmark = benchmark
            torch.utils.deterministic.fill_uninitialized_memory = fills  # type: ignore[attr-defined]
            torch.use_deterministic_algorithms(deterministic[0], warn_only=deterministic[1])
            torch.set_num_threads(threads)
            return_freed_memory()


def derive_seed(*parts: int | str) -> int:
    """Return a seed of 63 bits that is a pure function of ``parts``, such as seed, fold and epoch."""
    return int(short_digest(list(parts), num_hex=16), 16) >> 1


def seed_step(device: torch.device, seed: int) -> None:
    """Let what a model draws in a step, such as dropout, be a function of ``seed``, whatever was drawn before."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
