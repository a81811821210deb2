"""Auxiliary heads: what a model learns beside what is asked for, from a truth that some rows may lack.

Shape legend: N rows, A columns of the auxiliary heads' targets, side by side.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kaggle_ray.counted import counted
from kaggle_ray.data.head import Head, is_of_classes, place_heads
from kaggle_ray.data.target import check_numbers, number_columns, shares_of
from kaggle_ray.errors import ConfigError, DataError
from kaggle_ray.types import BoolArray, Float64Array, StrArray, Target

_NOT_KNOWN = -1
"""What stands for a class or a label that is not known, beside NaN."""


def check_auxiliary(heads: Sequence[Head], auxiliary: Sequence[Head], *, where: str) -> None:
    """Raise ConfigError where auxiliary heads have the name of another head, or masks stand beside others.

    One network gives masks of one kind, and beside them what it says of whole images.
    """
    names = [head.name for head in (*heads, *auxiliary)]
    if len(set(names)) != len(names):
        raise ConfigError(f"{where}: expected heads and auxiliary heads of different names, got {', '.join(names)}.")
    segment = [head.name for head in auxiliary if head.task == "segmentation"]
    if segment and (len(auxiliary) > 1 or heads[0].task == "segmentation"):
        raise ConfigError(
            f"{where}: an auxiliary head of masks stands alone, and beside heads that predict none; got "
            f"{', '.join(f'{head.name} ({head.task})' for head in (*heads, *auxiliary))}."
        )


def canonical_auxiliary(
    auxiliary: Sequence[Head], given: Target | None, ids: StrArray, *, where: str
) -> Float64Array | None:
    """Return (N, A) the targets of auxiliary heads, NaN where one is not known; None of masks or without such heads.

    Args:
        auxiliary: the heads.
        given: by a competition's ``read``, (N,) or (N, A).
        ids: (N,) of the samples.
        where: names the competition.

    Raises:
        DataError: a target lacks its column, is none that its head can have, or is known of no row.
    """
    placed = place_heads([head for head in auxiliary if head.task != "segmentation"])
    if given is None:
        if placed:
            raise DataError(
                f"{where}: the auxiliary heads {', '.join(place.head.name for place in placed)} need "
                f"Samples(auxiliary_target=...), got none."
            )
        return None
    columns = number_columns(given, ids, where).copy()
    expected = placed[-1].targets.stop if placed else 0
    if columns.shape[1] != expected:
        raise DataError(
            f"{where}: expected {counted(expected, 'column')} of auxiliary targets, got {columns.shape[1]}."
        )
    for place in placed:
        of_head = columns[:, place.targets]
        if is_of_classes(place.head):
            of_head[of_head == _NOT_KNOWN] = np.nan
        known = known_rows(of_head)
        if not known.any():
            raise DataError(
                f"{where}: the auxiliary head {place.head.name!r} is known of none of {counted(len(ids), 'row')}."
            )
        check_numbers(place.head, of_head[known], ids[known], where)
        of_head[known] = shares_of(place.head, of_head[known])
    return columns


def known_rows(columns: Float64Array) -> BoolArray:
    """Return (N,) whether all of a head's columns (N, T) are known."""
    return np.asarray(~np.isnan(columns).any(axis=1))
