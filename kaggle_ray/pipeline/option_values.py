"""Values of a run's options as people write them: durations, deadlines, ``name=value``, names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from kaggle_ray.errors import ConfigError, suggest

if TYPE_CHECKING:
    from kaggle_ray.reporters import Reporter
    from kaggle_ray.types import JsonValue

TTA = ("hflip", "hflip_sizes", "flips", "dihedral", "five_crop", "ten_crop", "scales", "none")
"""Values of the hyperparameter ``tta``, whose module takes a second to import."""

SOUPS = ("greedy", "uniform")
"""Values of the hyperparameter ``soup``."""

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1, "": 1}


def parse_duration(given: str | float) -> float:
    """Return the seconds of ``90s``, ``15m``, ``2h``, ``1h30m`` or plain seconds.

    Raises:
        ConfigError: it is none of these.
    """
    words = given.strip().lower() if isinstance(given, str) else f"{given:f}"
    if not re.fullmatch(rf"{_NUMBER}|({_NUMBER}[dhms])+", words):
        raise ConfigError(f"--budget {given}: expected a duration such as 90s, 15m, 2h or 1h30m.")
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9.]+)([dhms]?)", words))


def parse_deadline(given: str | float, *, now: datetime | None = None) -> float:
    """Return the Unix time of the next ``HH:MM``, or of an ISO date and time, both in local time; or as it is given.

    Args:
        given: the deadline; a number is a Unix time already.
        now: the time from which the next one is; the present.

    Raises:
        ConfigError: it is neither, or lies in the past.
    """
    if not isinstance(given, str):
        return float(given)
    now = now or datetime.now().astimezone()
    try:
        if len(given) <= 5:
            clock = datetime.strptime(given, "%H:%M")
            moment = now.replace(hour=clock.hour, minute=clock.minute, second=0, microsecond=0)
            moment += timedelta(days=1) if moment <= now else timedelta()
        else:
            moment = datetime.fromisoformat(given)
    except ValueError:
        raise ConfigError(f"--deadline {given}: expected HH:MM or YYYY-MM-DDTHH:MM.") from None
    if moment.timestamp() <= now.timestamp():
        raise ConfigError(f"--deadline {given}: is in the past.")
    return moment.timestamp()


def parse_overrides(given: Mapping[str, JsonValue] | Iterable[str]) -> Mapping[str, JsonValue] | None:
    """Return the names and values of texts ``name=value``, None of none; a mapping as it is.

    A value is read as JSON, else taken as text.

    Raises:
        ConfigError: there is no ``=``.
    """
    return dict(given if isinstance(given, Mapping) else map(_parse_override, given)) or None


def _parse_override(text: str) -> tuple[str, JsonValue]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigError(f"--set {text}: expected name=value, such as --set lr=3e-4.")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def parse_metrics(given: Sequence[str] | str) -> tuple[str, ...]:
    """Return the names of metrics, each once, of a text with commas between them or of several texts.

    >>> parse_metrics("accuracy, f1")
    ('accuracy', 'f1')

    Raises:
        ConfigError: a name is empty.
    """
    texts = (given,) if isinstance(given, str) else given
    names = [name.strip() for text in texts for name in text.split(",")]
    if not all(names):
        raise ConfigError(f"--metrics {','.join(names)}: expected names with commas between, such as accuracy,auc.")
    return tuple(dict.fromkeys(names))


def parse_tta(given: Sequence[str] | str) -> tuple[str, ...]:
    """Return the names of test-time augmentations, each once; one alone is one, too.

    >>> parse_tta("hflip"), parse_tta(["flips", "hflip", "flips"])
    (('hflip',), ('flips', 'hflip'))

    Raises:
        ConfigError: there is none, or none of that name.
    """
    names = tuple(dict.fromkeys((given,) if isinstance(given, str) else given))
    if not names:
        raise ConfigError(f"--tta: expected at least one of {', '.join(TTA)}.")
    for name in names:
        if name not in TTA:
            raise ConfigError(f"--tta: there is no {name!r}{suggest(name, TTA)}")
    return names


def parse_reporters(given: Sequence[Reporter | str] | str) -> tuple[Reporter | str, ...]:
    """Return reporters and the names of some, as they are; one name alone is one, too.

    Raises:
        ConfigError: a reporter is named twice.
    """
    chosen = (given,) if isinstance(given, str) else tuple(given)
    names = [each for each in chosen if isinstance(each, str)]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"--reporter {name}: is named twice.")
    return chosen
