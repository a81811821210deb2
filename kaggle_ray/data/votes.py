"""Votes of several annotators as the soft target of a head of classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from kaggle_ray.data.label_encoding import encode_labels
from kaggle_ray.errors import DataError
from kaggle_ray.types import Float64Array


def vote_shares(
    votes: Iterable[Sequence[str]], classes: Sequence[str], *, ids: Sequence[str], where: str
) -> Float64Array:
    """Return (N, K) the share of the annotators that say each class, for a head with ``soft=True``.

    >>> from kaggle_ray import vote_shares
    >>> votes = [("cat", "dog", "dog", ""), ("cat", "", "", "")]
    >>> vote_shares(votes, ("cat", "dog"), ids=["a", "b"], where="train.csv").round(2).tolist()
    [[0.33, 0.67], [1.0, 0.0]]

    A head of two classes has the share of the second: ``[:, 1]``.

    Args:
        votes: for each sample what each annotator says, blank where one says nothing.
        classes: (K,) names.
        ids: (N,) of the samples.
        where: names the table.

    Raises:
        DataError: a vote is for none of the classes, or a sample has none; it is named.
    """
    counts = np.zeros((len(ids), len(classes)))
    for row, (sample_id, of_row) in enumerate(zip(ids, votes, strict=True)):
        given = [vote for vote in of_row if vote.strip()]
        if not given:
            raise DataError(f"{where}: sample {sample_id!r} has no vote. Leave it out, or fill it in.")
        np.add.at(counts[row], encode_labels(given, classes, ids=[sample_id] * len(given), where=where), 1)
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))
