"""The best mask to add at each step of a selection, from the pixels on which the members are not of one mind.

Where all members are above the cut, or none is, every mean of them is, too: such pixels are counted once. The others, a
few in a hundred along the edges, are held in memory, and tell the counts of any mean, and by these its score, exactly.

Shape legend: M members, N images, P pixels of a mask, D disputed pixels of all images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kaggle_ray.metrics import CountsScore, Metric
from kaggle_ray.rows import Rows, blocks, select_rows
from kaggle_ray.types import BoolArray, Float64Array, FloatArray, IntArray

_MOST_VALUES = 2**24
"""Values of disputed pixels that are held at most: 64 MiB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Disputed:
    """Counts and pixels of some images."""

    num_true: IntArray
    """(N,) pixels of each true mask."""
    num_cut: IntArray
    """(N,) pixels that all members put into the mask."""
    num_both: IntArray
    """(N,) those of them that are right."""
    values: FloatArray
    """(M, D) what the members say of the disputed pixels."""
    is_true: BoolArray
    """(D,) whether they are of the true mask."""
    image_of: IntArray
    """(D,) the image of each."""


class BestMask:
    """Finds for the times (M,) that each member is chosen the member that is best added, and the score of the mean."""

    def __init__(self, members: Sequence[Rows], target: Rows, metric: Metric, score_of_counts: CountsScore) -> None:
        """Read all images once, or where their disputed pixels are too many, as many as fit, drawn by chance.

        Args:
            members: M predictions, each (N, P).
            target: (N, P) 0 or 1.
            metric: says which way is up, and where the mask is cut.
            score_of_counts: its score of each image.
        """
        self._metric, self._score_of_counts = metric, score_of_counts
        self._disputed = _disputed(members, target, metric.cut_at)
        self._least: FloatArray = self._disputed.values.min(axis=0)
        self._greatest: FloatArray = self._disputed.values.max(axis=0)
        self._total: Float64Array = np.zeros(self._disputed.values.shape[1])
        self._counts: IntArray = np.zeros(len(members), dtype=np.int64)

    def __call__(self, counts: IntArray) -> tuple[int, float]:
        """Return the number of the best member, the first of equals, and the score of the mean with it."""
        for index in np.flatnonzero(counts - self._counts).tolist():
            self._total += (counts - self._counts)[index] * self._disputed.values[index].astype(np.float64)
        self._counts = counts
        scores = self._scores()
        best = 0
        for index, score in enumerate(scores):
            best = index if self._metric.is_better(score, scores[best]) else best
        return best, scores[best]

    def _scores(self) -> list[float]:
        """Return the score of the mean with each member.

        As means only grow with what is added, the least and the greatest of all members tell most pixels for all.
        """
        pixels, total = self._disputed, self._total
        by_all = self._is_cut(total, self._least)
        is_open = by_all != self._is_cut(total, self._greatest)
        settled = self._counted(pixels.image_of[by_all], pixels.is_true[by_all])
        total, image_of, is_true = total[is_open], pixels.image_of[is_open], pixels.is_true[is_open]
        positions, scores = np.flatnonzero(is_open), []
        for values in pixels.values:
            is_cut = self._is_cut(total, values.take(positions))
            num_cut, num_both = self._counted(image_of[is_cut], is_true[is_cut])
            of_images = self._score_of_counts(
                pixels.num_true, pixels.num_cut + settled[0] + num_cut, pixels.num_both + settled[1] + num_both
            )
            scores.append(float(of_images.mean()))
        return scores

    def _is_cut(self, total: Float64Array, added: FloatArray) -> BoolArray:
        # Rounded to float32 as `blend` rounds, so that what is counted is what will be submitted.
        return np.asarray(((total + added) / (self._counts.sum() + 1)).astype(np.float32) > self._metric.cut_at)

    def _counted(self, image_of: IntArray, is_true: BoolArray) -> tuple[IntArray, IntArray]:
        """Return for each image how many of some pixels are its own, and how many of these are of the true mask."""
        num_images = len(self._disputed.num_true)
        return (
            np.bincount(image_of, minlength=num_images),
            np.bincount(image_of[is_true], minlength=num_images),
        )


def _disputed(members: Sequence[Rows], target: Rows, cut_at: float) -> _Disputed:
    order = np.random.default_rng(0).permutation(len(target))
    shuffled = [select_rows(member, order) for member in members]
    of_blocks: list[_Disputed] = []
    num_values = 0
    for block in blocks(members[0]):
        of_blocks.append(_of_block([member[block] for member in shuffled], target[order[block]] > 0, cut_at))
        num_values += of_blocks[-1].values.size
        if num_values > _MOST_VALUES:
            break
    firsts = np.cumsum([0, *(len(each.num_true) for each in of_blocks)]).tolist()
    return _Disputed(
        num_true=np.concatenate([each.num_true for each in of_blocks]),
        num_cut=np.concatenate([each.num_cut for each in of_blocks]),
        num_both=np.concatenate([each.num_both for each in of_blocks]),
        values=np.concatenate([each.values for each in of_blocks], axis=1),
        is_true=np.concatenate([each.is_true for each in of_blocks]),
        image_of=np.concatenate([each.image_of + first for each, first in zip(of_blocks, firsts, strict=False)]),
    )


def _of_block(members: Sequence[FloatArray], is_true: BoolArray, cut_at: float) -> _Disputed:
    are_above = [member > cut_at for member in members]
    by_all, by_any = np.logical_and.reduce(are_above), np.logical_or.reduce(are_above)
    images, pixels = np.nonzero(by_all != by_any)
    return _Disputed(
        num_true=np.count_nonzero(is_true, axis=1),
        num_cut=np.count_nonzero(by_all, axis=1),
        num_both=np.count_nonzero(by_all & is_true, axis=1),
        values=np.stack([member[images, pixels] for member in members]),
        is_true=is_true[images, pixels],
        image_of=images,
    )
