"""The arguments of our learning-rate schedules: their names, types, ranges and defaults, known without torch.

Those of a schedule that a competition's file registers are known to its builder alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kaggle_ray.errors import ConfigError, suggest
from kaggle_ray.typed_json import is_number
from kaggle_ray.types import JsonValue


@dataclass(frozen=True, kw_only=True, slots=True)
class _Count:
    """A whole number."""

    default: int | None = None
    """Value where none is given; None where one has to be given."""
    least: int = 1

    @property
    def expected(self) -> str:
        """What will do, in words."""
        return f"a whole number of at least {self.least}"

    def read(self, value: JsonValue) -> int | None:
        """Return ``value`` where it will do, else None."""
        if not isinstance(value, int) or isinstance(value, bool):
            return None
        return value if value >= self.least else None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Share:
    """A number above 0 and below 1."""

    default: float | None = None

    @property
    def expected(self) -> str:
        """What will do, in words."""
        return "a number above 0 and below 1"

    def read(self, value: JsonValue) -> float | None:
        """Return ``value`` where it will do, else None."""
        return value if is_number(value) and 0 < value < 1 else None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rate:
    """A learning rate, or 0."""

    default: float | None = None

    @property
    def expected(self) -> str:
        """What will do, in words."""
        return "a number of at least 0"

    def read(self, value: JsonValue) -> float | None:
        """Return ``value`` where it will do, else None."""
        return value if is_number(value) and 0 <= value < math.inf else None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Word:
    """One of some words."""

    words: tuple[str, ...]
    """The first is the default."""

    @property
    def default(self) -> str:
        """The first."""
        return self.words[0]

    @property
    def expected(self) -> str:
        """What will do, in words."""
        return f"one of {', '.join(self.words)}"

    def read(self, value: JsonValue) -> str | None:
        """Return ``value`` where it will do, else None."""
        return value if isinstance(value, str) and value in self.words else None


_ARGS: Mapping[str, Mapping[str, _Count | _Share | _Rate | _Word]] = {
    "one_cycle": {},
    "cosine": {},
    "constant": {},
    "linear": {},
    "step": {"every": _Count(), "gamma": _Share(default=0.1)},
    "exponential": {"gamma": _Share()},
    "cyclical": {
        "num_cycles": _Count(),
        "low": _Share(default=0.1),
        "mode": _Word(words=("triangular", "triangular2", "exp_range")),
        "gamma": _Share(default=0.9),
    },
    "snapshot": {"num_cycles": _Count()},
    "plateau": {
        "patience": _Count(default=2, least=0),
        "gamma": _Share(default=0.1),
        "cooldown": _Count(default=0, least=0),
        "min_lr": _Rate(default=0.0),
    },
}
"""Schedule -> its arguments; ``by_epoch`` names epochs instead."""


def argument_names(schedule: str) -> tuple[str, ...]:
    """Return the names of the arguments of one of our schedules; those of by_epoch are epochs."""
    return tuple(_ARGS[schedule]) if schedule in _ARGS else ("epochs",)


def full_schedule_args(schedule: str, args: Mapping[str, JsonValue], *, epochs: int) -> dict[str, Any]:
    """Return ``args`` with the schedule's defaults filled in; those of a schedule that is not ours as they are.

    Args:
        schedule: its name.
        args: what the user gave.
        epochs: of the experiment.

    Raises:
        ConfigError: an argument is unknown, missing, or of the wrong type or range.
    """
    if schedule == "by_epoch":
        return dict(_rates_by_epoch(args))
    if schedule not in _ARGS:
        return dict(args)
    known = _ARGS[schedule]
    for name in args:
        if name not in known:
            what = suggest(name, known) if known else "; it takes none."
            raise ConfigError(f"schedule_args: {schedule} has no argument {name!r}{what}")
    full: dict[str, Any] = {}
    for name, spec in known.items():
        given = args.get(name, spec.default)
        if given is None:
            raise ConfigError(f"schedule_args: {schedule} needs {name!r}, such as {_example(schedule)}.")
        if (value := spec.read(given)) is None:
            raise ConfigError(f"schedule_args: {schedule}'s {name!r}: expected {spec.expected}, got {given!r}.")
        full[name] = value
    if schedule == "snapshot" and full["num_cycles"] > epochs:
        raise ConfigError(
            f"schedule_args: snapshot's 'num_cycles': expected at most one per epoch, {epochs}, "
            f"got {full['num_cycles']}."
        )
    return full


def _rates_by_epoch(args: Mapping[str, JsonValue]) -> dict[str, float]:
    """Return the epochs, ascending, and the learning rate from each on."""
    if not args:
        raise ConfigError(f"schedule_args: by_epoch needs an epoch, such as {_example('by_epoch')}.")
    rates: dict[str, float] = {}
    for epoch, rate in args.items():
        if not (isinstance(epoch, str) and epoch.isdecimal() and epoch == str(int(epoch)) and int(epoch) >= 1):
            raise ConfigError(f"schedule_args: by_epoch: expected epochs as text from '1', got {epoch!r}.")
        if not is_number(rate) or not 0 < rate < math.inf:
            raise ConfigError(f"schedule_args: by_epoch's {epoch!r}: expected a learning rate above 0, got {rate!r}.")
        rates[epoch] = float(rate)
    return {epoch: rates[epoch] for epoch in sorted(rates, key=int)}


def cycle_ends(epochs: int, num_cycles: int) -> tuple[int, ...]:
    """Return the last epoch of each of ``num_cycles`` cycles, whose lengths differ by at most one epoch."""
    return tuple(epochs * cycle // num_cycles for cycle in range(1, num_cycles + 1))


def _example(schedule: str) -> str:
    return {
        "step": '{"every": 10, "gamma": 0.1}',
        "exponential": '{"gamma": 0.9}',
        "cyclical": '{"num_cycles": 3, "low": 0.1}',
        "snapshot": '{"num_cycles": 4}',
        "by_epoch": '{"1": 1e-3, "10": 1e-4}',
    }[schedule]
