"""What a window of Visdom is: its name, its place among the others, and a plot, a text or a picture."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kaggle_ray.types import JsonValue
from kaggle_ray.untrusted import printable

WIDTH = 340
"""Pixels of a window: a phone shows one beside its margins, and a screen of 1,500 pixels four in a row."""
TALL, LOW = 420, 290
"""Heights in pixels, one for the first row of a wide screen and one for the others, so that rows have no gaps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plot:
    """A figure of Plotly's."""

    traces: Sequence[Mapping[str, JsonValue]]
    layout: Mapping[str, JsonValue]


@dataclass(frozen=True, kw_only=True, slots=True)
class Html:
    """A text with markup; what comes from a run is escaped in it."""

    markup: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A picture, and a line beneath it, which is shown letter by letter."""

    jpeg: bytes
    caption: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """One window of a run's environment; one of the same name replaces it."""

    name: str
    title: str
    """What it is headed by, the same for all runs: the server compares them by windows of one title."""
    content: Plot | Html | Picture
    width: int = WIDTH
    height: int = LOW


def escaped(text: str) -> str:
    """Return a text that is shown letter by letter, within tags of HTML or in a plot, where ``$`` begins a formula.

    Quotes stay: a plot does not know their names.

    >>> escaped("<b>$x$")
    '&lt;b&gt;&#36;x&#36;'
    """
    return html.escape(printable(text), quote=False).replace("$", "&#36;")
