"""Which rows an epoch is made of, and in which steps: each once, or as a sampler draws them.

A sampler is a function of the rows and of a generator that seed, fold and epoch make: all ranks draw the same, and so
does whoever goes on in the middle of an epoch.

Shape legend: n rows that a fold trains on, T columns of a target.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kaggle_ray.config.users_code import users_code
from kaggle_ray.counted import counted
from kaggle_ray.data.head import Head, classes_of, is_of_classes, place_heads
from kaggle_ray.errors import ConfigError
from kaggle_ray.registry import Registry
from kaggle_ray.train.inputs import FitData
from kaggle_ray.train.process import derive_seed
from kaggle_ray.types import Float64Array, IntArray, Target

UNIFORM, WEIGHTED = "uniform", "weighted"


@dataclass(frozen=True, kw_only=True, slots=True)
class RowsToSample:
    """The rows that a fold trains on, as a sampler sees them."""

    heads: tuple[Head, ...]
    target: Target | None
    """(n,) or (n, T) what the heads are to answer, side by side; None of masks."""
    weights: Float64Array
    """(n,) ``Samples.train_weights`` of a mean of 1; ones where there are none."""
    epoch: int
    """1 for the first."""


Sampler = Callable[[RowsToSample, np.random.Generator], IntArray]
"""Returns (n,) positions of rows, 0..n-1, in the order of training; one may come several times, or never."""

SAMPLERS: Registry[Sampler] = Registry("sampler", reserved=(UNIFORM,), of_given=lambda name, build: build)


def register_sampler(name: str) -> Callable[[Sampler], Sampler]:
    """Register a function ``(rows, generator) -> (n,) positions`` under ``name``, for the hyperparameter ``sampler``.

    ``rows`` has their ``target``, ``weights``, ``heads`` and the ``epoch``. As many positions come back as there are
    rows, each from 0 to n - 1; all that is random is drawn from the generator. ``kaggle_ray.testing.sampler_contract``
    checks one.

    >>> import numpy as np
    >>> from kaggle_ray import register_sampler
    >>> @register_sampler("curriculum")
    ... def curriculum(rows, generator):
    ...     easy = np.flatnonzero(rows.weights >= (1 if rows.epoch < 3 else 0))
    ...     return generator.choice(easy, size=len(rows.weights))

    Raises:
        ConfigError: the name is built in, or another function has it.
    """
    return SAMPLERS.register(name)


def check_samplable(name: str, heads: Sequence[Head], *, has_weights: bool) -> None:
    """Raise ConfigError where there is no sampler ``name``, or it has nothing to go by."""
    SAMPLERS.check(name)
    if name == "balanced" and not any(is_of_classes(head) for head in heads):
        raise ConfigError(
            f"hyperparameter 'sampler': expected uniform where no class or label is predicted, got {name!r}."
        )
    if name == WEIGHTED and not has_weights:
        raise ConfigError("hyperparameter 'sampler': weighted draws by Samples(train_weights=...), got none.")


def rows_of_steps(data: FitData, sampler: str, seeds: tuple[int, int, int], num_steps: int) -> list[IntArray]:
    """Return the rows of each step of an epoch, in nearly equal batches that have nearly the same share of test rows.

    The last batch is the smallest.

    Args:
        data: of the fold.
        sampler: that draws the training rows; pseudolabelled test rows are taken each once at most.
        seeds: of the experiment, the fold and the epoch.
        num_steps: steps of the epoch.

    Raises:
        ConfigError: the sampler returns what are no positions of the rows.
    """
    generator = np.random.default_rng(derive_seed("order", *seeds))
    steps: list[IntArray] = np.array_split(_drawn(data, sampler, seeds[2], generator), num_steps)
    if data.pseudolabelled is None:
        return steps
    drawn = generator.permutation(data.pseudolabelled.rows)[: data.pseudolabelled.num_per_epoch]
    # From the other end, so that no batch has one more of both kinds; mixed, as ranks take a batch's rows in parts.
    of_steps = np.array_split(drawn, num_steps)[::-1]
    mixed = [generator.permutation(np.concatenate(parts)) for parts in zip(steps, of_steps, strict=True)]
    return sorted(mixed, key=len, reverse=True)


def repeats_of(steps: Sequence[IntArray]) -> list[IntArray]:
    """Return for each row of each step how often it has come before in the epoch."""
    rows = np.concatenate(steps)
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    first_of = np.maximum.accumulate(np.where(np.r_[True, ordered[1:] != ordered[:-1]], np.arange(len(rows)), 0))
    repeats = np.empty(len(rows), dtype=np.int64)
    repeats[order] = np.arange(len(rows)) - first_of
    return np.split(repeats, np.cumsum([len(step) for step in steps])[:-1])


def _drawn(data: FitData, sampler: str, epoch: int, generator: np.random.Generator) -> IntArray:
    rows, num_rows = data.train_rows, len(data.train_rows)
    if sampler == UNIFORM:
        return generator.permutation(rows)
    to_sample = RowsToSample(
        heads=data.heads,
        target=None if data.segments else data.target[rows],
        weights=np.ones(num_rows) if data.weights is None else data.weights[rows].astype(np.float64),
        epoch=epoch,
    )
    with users_code(f"sampler {sampler!r}"):
        positions = np.asarray(SAMPLERS[sampler](to_sample, generator))
    is_whole = positions.dtype.kind in "iu" and positions.shape == (num_rows,)
    if not is_whole or positions.min() < 0 or positions.max() >= num_rows:
        raise ConfigError(
            f"sampler {sampler!r}: expected {counted(num_rows, 'position')} of rows, whole numbers of "
            f"0..{num_rows - 1}, got {positions.dtype} "
            f"{positions.shape}{f' from {positions.min()} to {positions.max()}' if is_whole else ''}."
        )
    return rows[positions]


def _in_proportion(shares: Float64Array, generator: np.random.Generator) -> IntArray:
    """Return (n,) positions, each as often as its share of n says, rounded up or down by chance.

    Source: Kitagawa, "Monte Carlo filter and smoother", J. Comp. Graph. Stat. 1996 (systematic resampling).
    """
    order = generator.permutation(len(shares))
    ends = np.cumsum(shares[order])
    points = (generator.random() + np.arange(len(shares))) * (ends[-1] / len(shares))
    return generator.permutation(order[np.searchsorted(ends[:-1], points, side="right")])


@SAMPLERS.register(WEIGHTED)
def _weighted(rows: RowsToSample, generator: np.random.Generator) -> IntArray:
    """Draw each row in proportion to its weight."""
    return _in_proportion(rows.weights, generator)


@SAMPLERS.register("balanced")
def _balanced(rows: RowsToSample, generator: np.random.Generator) -> IntArray:
    """Draw each class of the first head with classes equally often; a row of labels as the rarest of them."""
    place = next(place for place in place_heads(rows.heads) if is_of_classes(place.head))
    assert rows.target is not None, "the heads have classes"
    columns = classes_of(place.head, rows.target.reshape(len(rows.target), -1)[:, place.targets])
    if place.head.task == "multilabel":
        has = np.concatenate([columns > 0, ~columns.any(axis=1, keepdims=True)], axis=1)
    else:
        has = columns == np.arange(len(place.head.classes))
    drawn_as = (has / np.maximum(has.sum(axis=0), 1)).argmax(axis=1)
    return _in_proportion(1 / np.bincount(drawn_as)[drawn_as], generator)
