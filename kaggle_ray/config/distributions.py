"""What a hyperparameter may be drawn from: ranges of numbers, and choices."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from kaggle_ray.errors import ConfigError
from kaggle_ray.types import JsonValue, canonical_json

_DIGITS = 4
"""Significant digits of a float that is drawn: names stay short, and the last bits of a logarithm change no id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FloatRange:
    """Floats from ``low`` to ``high``, both included, drawn with four significant digits."""

    low: float
    high: float
    log: bool = False
    """Whether it is the logarithm that is drawn evenly, as befits a learning rate."""

    def __post_init__(self) -> None:
        """Raise ConfigError for ends that are no finite numbers, or leave nothing between them."""
        for end in (self.low, self.high):
            if not _is_number(end) or not math.isfinite(end):
                raise ConfigError(f"{self}: expected finite numbers, got {end!r}.")
        _check_range(self, self.low, self.high, log=self.log)
        object.__setattr__(self, "low", float(self.low))
        object.__setattr__(self, "high", float(self.high))

    def __str__(self) -> str:
        """Return it as a user writes it."""
        return f"{'log_uniform' if self.log else 'uniform'}({self.low!r}, {self.high!r})"

    @property
    def ends(self) -> tuple[float, float]:
        """The values that no other one exceeds."""
        return self.low, self.high

    def at(self, share: float) -> float:
        """Return the value below which a share of 0 to below 1 of all draws lies."""
        if self.log:
            return self.nearest(math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low))))
        return self.nearest(self.low + share * (self.high - self.low))

    def nearest(self, value: float) -> float:
        """Return ``value`` as it is drawn: within the range, and rounded."""
        return min(max(float(f"{value:.{_DIGITS}g}"), self.low), self.high)


@dataclass(frozen=True, kw_only=True, slots=True)
class IntRange:
    """Whole numbers from ``low`` to ``high``, both included, ``step`` apart."""

    low: int
    high: int
    step: int = 1
    log: bool = False
    """Whether it is the logarithm that is drawn evenly; ``step`` is 1 then."""

    def __post_init__(self) -> None:
        """Raise ConfigError for ends or a step that are no whole numbers, or do not fit together."""
        for number in (self.low, self.high, self.step):
            if not isinstance(number, int) or isinstance(number, bool):
                raise ConfigError(f"{self}: expected whole numbers, got {number!r}.")
        _check_range(self, self.low, self.high, log=self.log)
        if self.step < 1 or (self.high - self.low) % self.step:
            raise ConfigError(f"{self}: expected a step of at least 1 that leads from {self.low} to {self.high}.")
        if self.log and self.step != 1:
            raise ConfigError(f"{self}: expected a step of 1 where the logarithm is drawn, got {self.step}.")

    def __str__(self) -> str:
        """Return it as a user writes it."""
        others = f", step={self.step!r}" * (self.step != 1) + ", log=True" * self.log
        return f"int_uniform({self.low!r}, {self.high!r}{others})"

    @property
    def ends(self) -> tuple[int, int]:
        """The values that no other one exceeds."""
        return self.low, self.high

    def at(self, share: float) -> int:
        """Return the value below which a share of 0 to below 1 of all draws lies."""
        if self.log:  # from half below the lowest to half above the highest, so that each has its share
            low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
            return min(max(round(math.exp(low + share * (high - low))), self.low), self.high)
        return self.low + self.step * int(share * ((self.high - self.low) // self.step + 1))


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One of several values, none nearer to the first than another."""

    values: tuple[JsonValue, ...]

    def __post_init__(self) -> None:
        """Raise ConfigError where there is nothing to choose from."""
        if isinstance(self.values, str) or not isinstance(self.values, Sequence):
            raise ConfigError(f"choice({self.values!r}): expected a list of values.")
        object.__setattr__(self, "values", tuple(self.values))
        if given := [value for value in self.values if callable(value)]:
            raise ConfigError(
                f"{self}: expected values that a run's files can keep, got {given[0]!r}. Register it and draw its "
                f"name, or give it in experiments, of which one is drawn, too."
            )
        if len({canonical_json(value) for value in self.values}) < max(2, len(self.values)):
            raise ConfigError(f"{self}: expected at least two values, each of them once.")

    def __str__(self) -> str:
        """Return it as a user writes it."""
        return f"choice({list(self.values)!r})"

    @property
    def ends(self) -> tuple[JsonValue, ...]:
        """All values: each may be one that a hyperparameter refuses."""
        return self.values

    def at(self, share: float) -> JsonValue:
        """Return the value below which a share of 0 to below 1 of all draws lies."""
        return self.values[int(share * len(self.values))]

    def index(self, value: JsonValue) -> int:
        """Return the number of a value. Raises ValueError where it is none of them."""
        return [_as_read(each) for each in self.values].index(_as_read(value))


Distribution: TypeAlias = FloatRange | IntRange | Choice


def uniform(low: float, high: float) -> FloatRange:
    """Return the floats from ``low`` to ``high``, all equally likely.

    Raises:
        ConfigError: they are no finite numbers, or ``low`` is not below ``high``.

    >>> from kaggle_ray import uniform
    >>> uniform(0, 0.3).at(0.5)
    0.15
    """
    return FloatRange(low=low, high=high)


def log_uniform(low: float, high: float) -> FloatRange:
    """Return the floats from ``low`` to ``high``, each order of magnitude equally likely.

    Raises:
        ConfigError: they are no finite numbers above 0, or ``low`` is not below ``high``.

    >>> from kaggle_ray import log_uniform
    >>> log_uniform(1e-4, 1e-2).at(0.5)
    0.001
    """
    return FloatRange(low=low, high=high, log=True)


def int_uniform(low: int, high: int, *, step: int = 1, log: bool = False) -> IntRange:
    """Return the whole numbers from ``low`` to ``high``, both included.

    Args:
        low: the least.
        high: the greatest.
        step: from one to the next.
        log: whether each order of magnitude is equally likely, rather than each number.

    Raises:
        ConfigError: they are no whole numbers, or no step leads from one to the other.

    >>> from kaggle_ray import int_uniform
    >>> [int_uniform(10, 30, step=10).at(share) for share in (0.0, 0.5, 0.99)]
    [10, 20, 30]
    """
    return IntRange(low=low, high=high, step=step, log=log)


def choice(values: Sequence[JsonValue]) -> Choice:
    """Return one of ``values``, all equally likely.

    Raises:
        ConfigError: there are fewer than two, or one of them twice.

    >>> from kaggle_ray import choice
    >>> choice(["light", "heavy"]).at(0.5)
    'heavy'
    """
    return Choice(values=tuple(values) if isinstance(values, list) else values)  # type: ignore[arg-type]


def _as_read(value: JsonValue) -> JsonValue:
    """Return a value as it is read from a run's files: a tuple is a list there."""
    read: JsonValue = json.loads(canonical_json(value))
    return read


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_range(of: FloatRange | IntRange, low: float, high: float, *, log: bool) -> None:
    if not low < high:
        raise ConfigError(f"{of}: is empty: expected {low!r} below {high!r}.")
    if log and low <= 0:
        raise ConfigError(f"{of}: expected more than 0 where the logarithm is drawn, got {low!r}.")
