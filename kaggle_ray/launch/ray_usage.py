"""Keeps Tune from importing trackers that a run does not use, only to count them for Ray's makers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ray.air._internal import usage


@contextmanager
def callbacks_uncounted() -> Iterator[None]:
    """Let Tune not look, within the context, which of Ray's own callbacks it was given.

    It would import Comet, MLflow and Weights & Biases for it, as far as they are installed: seconds, of a count that
    goes nowhere, as RAY_USAGE_STATS_ENABLED=0 says.
    """
    count = usage.tag_callbacks
    usage.tag_callbacks = lambda callbacks: False
    try:
        yield
    finally:
        usage.tag_callbacks = count
