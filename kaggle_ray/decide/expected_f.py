"""The labels of a row that are worth most in expectation, by the mean F-beta of the rows.

Shape legend: N rows, L labels, k of them named.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kaggle_ray.types import BoolArray, Float64Array, FloatArray

_ROWS_AT_ONCE = 4096
"""Rows whose distributions are in memory together: of 17 labels 10 MB."""


def best_sets(probabilities: FloatArray | Float64Array, beta: float, weights: Sequence[float] = ()) -> BoolArray:
    """Return (N, L) the set of labels with the highest expected F-beta of each row.

    A set is as probable as if its labels were independent, times the weight of its size. The answer is exact: the best
    set of k labels are the k most probable ones, as two labels that change places leave the size as it is, so that
    L + 1 sets are compared by their true expectation. A row without labels of which none is named scores 1, as
    ``f_beta`` has it. Of sets that are worth the same the smaller one is taken.

    Args:
        probabilities: (N, L) of each label.
        beta: weight of recall over precision.
        weights: of rows of 0, 1, ..., L labels, at least 0; empty where the labels are independent.

    Source: Lewis, "Evaluating and optimizing autonomous text classification systems", SIGIR 1995; Ye et al.,
    "Optimizing F-measures: a tale of two approaches", ICML 2012.
    """
    of_sizes = np.array(weights or [1.0] * (probabilities.shape[1] + 1))
    blocks = range(0, len(probabilities), _ROWS_AT_ONCE)
    found = [
        _best_sets(np.asarray(probabilities[first : first + _ROWS_AT_ONCE], np.float64), beta, of_sizes)
        for first in blocks
    ]
    return np.concatenate(found)


def size_probabilities(probabilities: Float64Array) -> Float64Array:
    """Return (N, L + 1) how probable it is that 0, 1, ... of a row's independent labels are there, from (N, L)."""
    sizes = _with_none(*probabilities.shape)
    for probability_N in probabilities.T:
        sizes = _with_one_more(sizes, probability_N)
    return sizes


def _best_sets(probabilities_NL: Float64Array, beta: float, weights: Float64Array) -> BoolArray:
    num_labels = probabilities_NL.shape[1]
    order = np.argsort(-probabilities_NL, axis=1, kind="stable")
    descending_NL = np.take_along_axis(probabilities_NL, order, axis=1)
    # Of the labels from the k-th on: how probable it is that b of them are there.
    of_rest = [_with_none(len(descending_NL), num_labels)]
    for label in reversed(range(num_labels)):
        of_rest.append(_with_one_more(of_rest[-1], descending_NL[:, label]))
    of_named, expected = _with_none(len(descending_NL), num_labels), [of_rest[-1][:, 0] * weights[0]]
    for k in range(1, num_labels + 1):
        of_named = _with_one_more(of_named, descending_NL[:, k - 1])
        right, missed = np.arange(k + 1)[:, np.newaxis], np.arange(num_labels - k + 1)
        scores = (1 + beta**2) * right / (k + beta**2 * (right + missed)) * weights[right + missed]
        rest = of_rest[num_labels - k][:, : num_labels - k + 1]
        expected.append(((of_named[:, : k + 1] @ scores) * rest).sum(axis=1))
    worth = np.array(expected) / np.maximum(of_rest[-1] @ weights, np.finfo(np.float64).tiny)
    sizes = np.argmax(np.round(worth, 12), axis=0)  # so that rounding does not decide between equals
    named = np.zeros(probabilities_NL.shape, dtype=np.bool_)
    np.put_along_axis(named, order, np.arange(num_labels) < sizes[:, np.newaxis], axis=1)
    return named


def _with_none(num_rows: int, num_labels: int) -> Float64Array:
    """Return (N, L + 1) the distribution of how many of no labels are there."""
    counts = np.zeros((num_rows, num_labels + 1))
    counts[:, 0] = 1.0
    return counts


def _with_one_more(counts: Float64Array, probability_N: Float64Array) -> Float64Array:
    """Return the distribution of how many are there with one more label, independent of the others."""
    probability = probability_N[:, np.newaxis]
    more = counts * (1 - probability)
    more[:, 1:] += counts[:, :-1] * probability
    return more
