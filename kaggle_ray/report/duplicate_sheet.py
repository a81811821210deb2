"""Which near-duplicates a contact sheet shows: pairs of each kind of group."""

from __future__ import annotations

from collections.abc import Sequence

from kaggle_ray.data.duplicate_groups import NearDuplicates

_NUM_SHOWN = 8
"""Pairs of each kind."""

Pair = tuple[str, str]


def shown_pairs(near_duplicates: NearDuplicates) -> dict[str, Sequence[Pair]]:
    """Return for each kind of group the ids of a few pairs: the first row of a group, and another."""
    left_out, groups = set(near_duplicates.left_out), near_duplicates.groups
    pairs: dict[str, list[Pair]] = {
        "merged": [group.train_ids[:2] for group in groups if group.is_merged],  # type: ignore[misc]
        "train and test": [(group.train_ids[0], group.test_ids[0]) for group in groups if group.test_ids],
        "too large": [group.train_ids[:2] for group in groups if group.is_too_large],  # type: ignore[misc]
        "labels differ": [group.train_ids[:2] for group in groups if group.labels_differ],  # type: ignore[misc]
        "left out": [
            (min(external), min(set(group.train_ids) - external))
            for group in groups
            if (external := left_out & set(group.train_ids)) and external != set(group.train_ids)
        ],
    }
    return {kind: found[:_NUM_SHOWN] for kind, found in pairs.items() if found}
