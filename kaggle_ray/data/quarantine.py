"""Leaves out rows: those whose files cannot be read, where the user asks for it, and those that would leak."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path

import numpy as np

from kaggle_ray.data.competition import ImagePaths, Samples
from kaggle_ray.data.subset import train_rows_of
from kaggle_ray.errors import DataError


def without_unreadable(samples: Samples, unreadable: Collection[Path], *, placeholder: Path) -> Samples:
    """Return the samples without the training rows that need one of the ``unreadable`` files.

    A test row cannot be left out, since the submission needs it: the ``placeholder``, an even grey image, stands in for
    its file.

    Raises:
        DataError: no training row is left.
    """
    if not unreadable:
        return samples
    bad = set(unreadable)
    masks = samples.train_masks
    keep = np.array(
        [
            not (bad & set(_files(paths))) and (masks is None or masks[row] not in bad)
            for row, paths in enumerate(samples.train_paths)
        ]
    )
    if not keep.any():
        raise DataError(f"none of the {len(keep)} training rows can be read, for example {sorted(bad)[0]}.")
    return dataclasses.replace(
        train_rows_of(samples, keep),
        test_paths=tuple(_replaced(paths, bad, placeholder) for paths in samples.test_paths),
    )


def without_rows(samples: Samples, sample_ids: Collection[str]) -> Samples:
    """Return the samples without some of the training rows; what is no training row is passed over."""
    return train_rows_of(samples, ~np.isin(samples.train_ids, list(sample_ids))) if sample_ids else samples


def _files(paths: ImagePaths) -> tuple[Path, ...]:
    return (paths,) if isinstance(paths, Path) else paths


def _replaced(paths: ImagePaths, bad: set[Path], placeholder: Path) -> ImagePaths:
    if isinstance(paths, Path):
        return placeholder if paths in bad else paths
    return tuple(placeholder if path in bad else path for path in paths)
