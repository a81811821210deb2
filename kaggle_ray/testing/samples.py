"""Samples of ids and targets alone: the image files that they name need not exist."""

from __future__ import annotations

from pathlib import Path

from kaggle_ray.data.samples import Samples
from kaggle_ray.types import BoolArray, Float64Array, StrArray, Target


def samples_of(
    train_ids: StrArray,
    target: Target,
    *,
    test_ids: StrArray,
    train_only: BoolArray | None = None,
    groups: StrArray | None = None,
    times: Float64Array | None = None,
) -> Samples:
    """Return the rows with these ids, for what looks at no image; see ``Samples`` for the shapes."""
    return Samples(
        train_ids=train_ids,
        train_paths=tuple(Path(f"{name}.png") for name in train_ids.tolist()),
        target=target,
        test_ids=test_ids,
        test_paths=tuple(Path(f"{name}.png") for name in test_ids.tolist()),
        train_only=train_only,
        groups=groups,
        times=times,
    )
