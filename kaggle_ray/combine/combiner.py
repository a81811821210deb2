"""What makes one prediction of several: combiners by name, ours and those that a competition's file registers.

Shape legend: M members, N rows, C columns of a prediction, T columns of a target.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from kaggle_ray.errors import ConfigError
from kaggle_ray.metrics import Metric
from kaggle_ray.registry import Registry
from kaggle_ray.rows import LazyRows, Rows
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import Float64Array, FloatArray, IntArray, JsonValue

FoldOf = npt.NDArray[np.signedinteger[Any]]
"""(N,) the fold of each row."""


class Fitted(Protocol):
    """What a combiner learnt from some rows, to be applied to others."""

    @property
    def weights(self) -> Mapping[str, float]:
        """Member id -> its share, above 0; all shares sum to 1. A member that is not named is never asked for."""
        ...

    def predict(self, members: Mapping[str, Rows]) -> Rows:
        """Return (N, C) one prediction of those of the members that are named in ``weights``.

        A row's depends on this row alone, so that some rows can be read at a time.
        """
        ...

    def to_json(self) -> dict[str, JsonValue]:
        """Return what the combiner's ``from_json`` makes the same of."""
        ...


class Combiner(Protocol):
    """A way to make one prediction of several. ``kaggle_ray.testing.combiner_contract`` checks one."""

    def fit(self, members: Mapping[str, Rows], target: Rows, fold_of: FoldOf, metric: Metric) -> Fitted:
        """Learn from some rows how the members are combined; their order does not matter.

        Args:
            members: member id -> (N, C) predictions, each row's by models that never saw it; there is at least one.
            target: (N,) or (N, T) what they predict.
            fold_of: (N,) the fold of each row.
            metric: scores predictions, under the decision that suits the members' mean.
        """
        ...

    def from_json(self, value: Mapping[str, JsonValue]) -> Fitted:
        """Return what ``to_json`` described."""
        ...


TABLE = "(table)"
"""Name beside those of the members under which a combiner with ``takes_table = True`` is given (N, D) the numbers that
come with the images, NaN where one is missing; a pool without a table has none."""

AUTO = "auto"
"""What is named instead of a combiner where one is to be chosen among ours."""

COMBINERS: Registry[Callable[[], Combiner]] = Registry("ensemble", reserved=[AUTO])
"""Builders of combiners."""


def register_combiner(name: str) -> Callable[[Callable[[], Combiner]], Callable[[], Combiner]]:
    """Register a class of combiners, or a function that returns one, under ``name``.

    One that only weights its members returns a ``WeightedMean`` from ``fit``, as here; any other returns a ``Fitted``
    of its own. In the competition's file, for ``--ensemble first_and_last``:

    >>> from kaggle_ray import WeightedMean, register_combiner
    >>> @register_combiner("first_and_last")
    ... class FirstAndLast:
    ...     def fit(self, members, target, fold_of, metric):
    ...         ends = {min(members), max(members)}
    ...         return WeightedMean(weights={member_id: 1 / len(ends) for member_id in ends})
    ...
    ...     def from_json(self, value):
    ...         return WeightedMean.from_json(value)
    >>> from kaggle_ray.testing.combiner_contract import check_combiner
    >>> check_combiner(FirstAndLast())

    Raises:
        ConfigError: the name does not suit a folder, it is built in, or another builder has it.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise ConfigError(f"ensemble {name!r}: expected a name of letters, digits, - and _: it names a folder, too.")
    return COMBINERS.register(name)


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightedMean:
    """The sum of the members, each times its weight: what a linear combiner learns.

    >>> import numpy as np
    >>> from kaggle_ray import WeightedMean
    >>> mean = WeightedMean(weights={"a": 0.75, "b": 0.25})
    >>> mean.predict({"a": np.array([[1.0], [0.5]]), "b": np.array([[0.0], [0.5]])})[:].tolist()
    [[0.75], [0.5]]
    """

    weights: Mapping[str, float]
    """Member id -> its weight, above 0; the weights sum to 1."""

    @staticmethod
    def of(member_ids: Sequence[str], weights: Float64Array) -> WeightedMean:
        """Return the mean of the members with a weight above 0, of (M,) ``weights``, in the order of their ids."""
        pairs = sorted(zip(member_ids, weights.tolist(), strict=True))
        return WeightedMean(weights={member_id: weight for member_id, weight in pairs if weight > 0})

    def predict(self, members: Mapping[str, Rows]) -> Rows:
        """Return (N, C) the weighted sum, computed where it is read."""
        return blend([members[member_id] for member_id in self.weights], np.array(list(self.weights.values())))

    def to_json(self) -> dict[str, JsonValue]:
        """Return the weights."""
        return {"weights": dict(self.weights)}

    @staticmethod
    def from_json(value: Mapping[str, JsonValue]) -> WeightedMean:
        """Return what ``to_json`` described."""
        return WeightedMean(weights=from_json(dict[str, float], value["weights"], where="weights of an ensemble"))


def blend(members: Sequence[Rows], weights: Float64Array) -> LazyRows:
    """Return (N, C) the sum of ``members``, each (N, C), weighted by ``weights`` (M,): in float64, clipped nowhere."""
    weighted = list(zip(members, weights, strict=True))

    def read(rows: IntArray) -> FloatArray:
        total = np.zeros((len(rows), *members[0].shape[1:]))
        product = np.empty_like(total)
        for member, weight in weighted:
            total += np.multiply(member[rows], weight, out=product, dtype=np.float64)
        return total.astype(np.float32)

    return LazyRows(members[0].shape, read)


_: Fitted = WeightedMean(weights={})
