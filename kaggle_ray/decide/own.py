"""Decisions by name: ours, and rules of one's own that a competition's file registers.

Shape legend: N rows, C columns of a prediction, T columns of a target.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np

from kaggle_ray.config.users_code import users_code
from kaggle_ray.errors import ConfigError
from kaggle_ray.metrics import Metric
from kaggle_ray.registry import Registry
from kaggle_ray.types import Float64Array, FloatArray, JsonValue, Target

BUILT_IN: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "none": (),
        "label_thresholds": ("thresholds",),
        "expected_f": ("beta",),
        "mask": ("threshold", "min_pixels"),
        "cutpoints": ("cuts",),
        "by_head": ("heads",),
        "argmax": (),
        "round": (),
    }
)
"""Kind of decision -> the names of its parameters."""


class Rule(Protocol):
    """Makes answers of predictions. ``kaggle_ray.testing.decision_contract`` checks one."""

    def fit(self, metric: Metric, target: Target, values: FloatArray) -> Mapping[str, JsonValue]:
        """Return parameters, as JSON has them, under which ``values`` (N, C) score best against target (N,) or (N, T).

        They are never scored on the rows that they are fitted to. ``metric.score`` scores answers.
        """
        ...

    def default(self, num_columns: int) -> Mapping[str, JsonValue]:
        """Return the parameters as long as none are fitted: of a single epoch's score."""
        ...

    def apply(
        self, values: FloatArray | Float64Array, parameters: Mapping[str, JsonValue]
    ) -> FloatArray | Float64Array:
        """Return the answers (N, C): each row's a function of this row alone."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnDecision:
    """A rule with what is known of its answers; what it raises is an error of ours, with the user's line."""

    name: str
    rule: Rule
    whole_numbers: bool
    """Whether all answers are whole numbers, and are submitted as such."""

    @property
    def what(self) -> str:
        """The first line of the rule's docstring."""
        return (inspect.getdoc(type(self.rule)) or "").partition("\n")[0].rstrip(".") or "registered"

    def fitted(self, metric: Metric, target: Target, values: FloatArray) -> dict[str, JsonValue]:
        """Return the parameters that some rows teach."""
        with self._called():
            return dict(self.rule.fit(metric, target, values))

    def unfitted(self, num_columns: int) -> dict[str, JsonValue]:
        """Return the parameters that nothing has taught."""
        with self._called():
            return dict(self.rule.default(num_columns))

    def answers(self, values: FloatArray | Float64Array, parameters: Mapping[str, JsonValue]) -> FloatArray:
        """Return (N, C) float32 the answers. Raises ConfigError where they are of another shape."""
        with self._called():
            answers = np.asarray(self.rule.apply(values, parameters), dtype=np.float32)
        if answers.shape != values.shape:
            raise ConfigError(f"decision {self.name!r}: expected answers of shape {values.shape}, got {answers.shape}.")
        return answers

    def _called(self) -> AbstractContextManager[None]:
        return users_code(f"decision {self.name!r}")


DECISIONS: Registry[OwnDecision] = Registry("decision", reserved=tuple(BUILT_IN))
"""Decisions that a competition's file registers."""


def register_decision(name: str, *, whole_numbers: bool = False) -> Callable[[Callable[[], Rule]], Callable[[], Rule]]:
    """Register a class of rules under ``name``, for ``Metric(decision=name)``: fitted, applied and kept as ours are.

    Its answers are scored and submitted; ``whole_numbers`` says that they are such. In the competition's file:

    >>> import numpy as np
    >>> from kaggle_ray import register_decision
    >>> @register_decision("shrunk")
    ... class Shrunk:
    ...     '''Moves probabilities towards a half, as far as the metric likes it.'''
    ...
    ...     def fit(self, metric, target, values):
    ...         shares = [0.0, 0.02, 0.05, 0.1, 0.2]
    ...         scores = [metric.score(target, self.apply(values, {"share": share})) for share in shares]
    ...         return {"share": shares[np.argmax(scores) if metric.greater_is_better else np.argmin(scores)]}
    ...
    ...     def default(self, num_columns):
    ...         return {"share": 0.0}
    ...
    ...     def apply(self, values, parameters):
    ...         return values + parameters["share"] * (0.5 - values)
    >>> from kaggle_ray.testing.decision_contract import check_decision
    >>> check_decision(Shrunk())

    Raises:
        ConfigError: the name is built in, or another rule has it.
    """
    return DECISIONS.register_as(
        name, lambda builder: OwnDecision(name=name, rule=builder(), whole_numbers=whole_numbers)
    )
