"""Groups of near-duplicates: which rows share a fold because of them, and what a person should know of the rest.

Shape legend: N training rows, T rows to predict, P pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from kaggle_ray.counted import counted
from kaggle_ray.data.samples import Samples
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import BoolArray, IntArray, JsonValue, StrArray, Target

_FEWEST = 8
"""Rows that a group may always have, however few there are in all."""
_LARGEST_SHARE = 0.01
"""Share of the training rows above which a group is rather a pattern that many images have, and is only reported."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DuplicateGroup:
    """Rows whose images are near-duplicates of one another, each of at least one other."""

    train_ids: tuple[str, ...]
    """Sorted; at least one."""
    test_ids: tuple[str, ...] = ()
    """Sorted; they are reported, and change nothing."""
    is_merged: bool = False
    """Whether its rows, at least two of which are not left out, share a fold."""
    is_too_large: bool = False
    """Whether it has too many rows for a group of near-duplicates, so that it is only reported."""
    labels_differ: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class NearDuplicates:
    """The near-duplicates of a competition."""

    groups: tuple[DuplicateGroup, ...] = ()
    """Sorted by their first row."""
    left_out: tuple[str, ...] = ()
    """Ids of train-only rows that no fold may train on, since a near-duplicate of them, or of another row of their
    declared group, is scored."""

    def to_json(self) -> dict[str, JsonValue]:
        """Return the JSON value."""
        return {"groups": [asdict(group) for group in self.groups], "left_out": list(self.left_out)}

    @staticmethod
    def from_json(value: Mapping[str, JsonValue] | None) -> NearDuplicates:
        """Return the near-duplicates that ``to_json`` wrote; none where ``value`` is None."""
        if value is None:
            return NearDuplicates()
        return from_json(NearDuplicates, value, where="near_duplicates.json")

    def summary(self) -> str:
        """Return one sentence that counts what was found; empty where nothing was."""
        merged = [group for group in self.groups if group.is_merged]
        with_test = [group for group in self.groups if group.test_ids]
        too_large = [group for group in self.groups if group.is_too_large]
        differing = [group for group in self.groups if group.labels_differ]
        num_merged = sum(len(set(group.train_ids) - set(self.left_out)) for group in merged)
        apart = [
            group
            for group in self.groups
            if not group.is_merged and not group.is_too_large and len(set(group.train_ids) - set(self.left_out)) > 1
        ]
        parts = [
            f"{counted(num_merged, 'training row is', 'training rows are')} assigned to folds in "
            f"{counted(len(merged), 'group')}"
            if merged
            else "",
            f"{counted(len(self.left_out), 'train-only row is', 'train-only rows are')} left out: their "
            "near-duplicates are scored"
            if self.left_out
            else "",
            f"{counted(sum(len(group.test_ids) for group in with_test), 'test row has', 'test rows have')} a "
            "near-duplicate in train"
            if with_test
            else "",
            f"{counted(len(too_large), 'group is', 'groups are')} too large to be merged, and may leak"
            if too_large
            else "",
            f"{counted(len(apart), 'group is', 'groups are')} split between folds by time, and may leak"
            if apart
            else "",
            f"in {counted(len(differing), 'group')} the labels differ" if differing else "",
        ]
        return "; ".join(part for part in parts if part)


def group_near_duplicates(
    pairs: IntArray,
    samples: Samples,
    *,
    labels: Target | None,
    num_folds: int,
    ordered: bool = False,
) -> tuple[NearDuplicates, StrArray | None]:
    """Return the groups of near-duplicates, and (N,) the groups that folds keep together: None for those declared.

    Near-duplicates of near-duplicates belong together. A group joins the declared groups that it has rows
    of. Nothing depends on the order of rows or pairs.

    A train-only row with a scored near-duplicate is left out of the run: every fold would train on it, also the one
    that scores its near-duplicate. It is not scored instead, for it was declared not to be; and the other folds have
    its near-duplicate to train on.

    Args:
        pairs: (P, 2) positions among the training rows and, from N on, the test rows.
        samples: the rows, with their declared groups.
        labels: (N,) or (N, L) what near-duplicates should have in common; None where near-duplicates may differ.
        num_folds: a group that is larger than a fold is too large.
        ordered: the rows go to folds by their times, so that groups are reported and not assigned together.
    """
    num_rows, groups, external = len(samples.train_ids), samples.groups, samples.is_train_only
    most = max(1, min(max(_FEWEST, int(_LARGEST_SHARE * num_rows)), num_rows // num_folds))
    component_of = _components(num_rows + len(samples.test_ids), pairs)
    members = [rows for rows in _members(component_of) if len(rows) > 1 and rows[0] < num_rows]
    fitting = [rows[rows < num_rows] for rows in members if np.count_nonzero(rows < num_rows) <= most]
    joined = _joined(num_rows, fitting, groups)
    is_left_out = external & _shares(joined, ~external)
    if groups is not None:  # rows that a declared group ties to scored ones are for the user to sort out
        is_left_out &= ~_shares(np.unique(groups, return_inverse=True)[1], ~external)
    # What is left out joins nothing any more.
    kept = [rows[~is_left_out[rows]] for rows in fitting]
    described = (_describe(rows, samples, is_left_out, labels, most=most, ordered=ordered) for rows in members)
    near_duplicates = NearDuplicates(
        groups=tuple(sorted(described, key=lambda group: group.train_ids)),
        left_out=tuple(sorted(samples.train_ids[is_left_out].tolist())),
    )
    if ordered or not any(len(rows) > 1 for rows in kept):
        return near_duplicates, None
    return near_duplicates, _merged(samples, kept)


def merged_groups(near_duplicates: NearDuplicates, samples: Samples) -> StrArray | None:
    """Return (N,) the groups that folds were made with: the declared ones, joined where near-duplicates were merged.

    Args:
        near_duplicates: of the run.
        samples: the rows, without those that are left out, with their declared groups.
    """
    ids, merged = samples.train_ids, [group for group in near_duplicates.groups if group.is_merged]
    together = [np.flatnonzero(np.isin(ids, group.train_ids)) for group in merged]
    return _merged(samples, together) if together else samples.groups


def _merged(samples: Samples, together: list[IntArray]) -> StrArray:
    """Return (N,) the declared groups, joined where rows of theirs are together."""
    names = samples.train_ids if samples.groups is None else samples.groups
    return _smallest_name(_joined(len(names), together, samples.groups), names)


def _describe(
    rows: IntArray,
    samples: Samples,
    is_left_out: BoolArray,
    labels: Target | None,
    *,
    most: int,
    ordered: bool,
) -> DuplicateGroup:
    num_rows = len(samples.train_ids)
    train, test = rows[rows < num_rows], rows[rows >= num_rows] - num_rows
    is_too_large = len(train) > most
    return DuplicateGroup(
        train_ids=tuple(sorted(samples.train_ids[train].tolist())),
        test_ids=tuple(sorted(samples.test_ids[test].tolist())),
        is_merged=not is_too_large and not ordered and int(np.count_nonzero(~is_left_out[train])) > 1,
        is_too_large=is_too_large,
        labels_differ=labels is not None and len(np.unique(labels[train], axis=0)) > 1,
    )


def _components(number: int, links: IntArray) -> IntArray:
    """Return (number,) which connected component each of them is in."""
    from scipy.sparse import (
        coo_array,  # takes as long as a tenth of torch, and whatever reads a run imports this module
    )
    from scipy.sparse.csgraph import connected_components

    ones = np.ones(len(links), dtype=np.int64)
    graph = coo_array((ones, (links[:, 0], links[:, 1])), shape=(number, number))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _members(component_of: IntArray) -> list[IntArray]:
    """Return the positions in each component, ascending."""
    order = np.argsort(component_of, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(component_of[order])) + 1)


def _joined(num_rows: int, together: list[IntArray], groups: StrArray | None) -> IntArray:
    """Return (N,) the components of rows that are together, or in one declared group."""
    links = [np.stack([np.full(len(rows), rows[0]), rows], axis=1) for rows in together if len(rows)]
    if groups is not None:
        _, first, group_of = np.unique(groups, return_index=True, return_inverse=True)
        links.append(np.stack([first[group_of], np.arange(num_rows)], axis=1))
    return _components(num_rows, np.concatenate([np.zeros((0, 2), dtype=np.int64), *links]))


def _shares(component_of: IntArray, marked: BoolArray) -> BoolArray:
    """Return (N,) whether a row's component has a marked row."""
    return np.isin(component_of, component_of[marked])


def _smallest_name(component_of: IntArray, names: StrArray) -> StrArray:
    """Return (N,) the smallest of the names in each row's component."""
    by_name = np.argsort(names, kind="stable")
    _, first, inverse = np.unique(component_of[by_name], return_index=True, return_inverse=True)
    smallest = np.empty(len(names), dtype=names.dtype)
    smallest[by_name] = names[by_name][first[inverse]]
    return smallest
