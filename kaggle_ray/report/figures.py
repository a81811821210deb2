"""The report's figures as plotly.js specifications: plain dictionaries, so that plotly's Python side is not needed.

Colours that depend on light or dark (text, grid) are left to page.js.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from statistics import fmean
from typing import Any, NamedTuple

from kaggle_ray.reporters.texts import score_text, shortened
from kaggle_ray.types import EpochMetrics

Figure = dict[str, Any]
"""A figure of plotly.js, ``{"data": traces, "layout": layout}``."""
Folds = Sequence[Sequence[EpochMetrics]]
"""The epochs of each fold."""
FEW_EPOCHS = 10
"""Epochs that are no longer so few that each is a tick, and a point of its curve."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """What an epoch measured, to be drawn."""

    words: str
    value_of: Callable[[EpochMetrics], float | None]


TRAIN_LOSS = Quantity("train loss", lambda epoch: epoch.train_loss)
VALID_LOSS = Quantity("valid loss", lambda epoch: epoch.valid_loss)
SCORE = Quantity("score", lambda epoch: epoch.score)
TRAIN_SCORE = Quantity("score in training", lambda epoch: epoch.train_score)


def of_metric(name: str) -> tuple[Quantity, Quantity]:
    """Return what a metric beside the heads' own is in validation, and in training."""
    return (
        Quantity(name, lambda epoch: epoch.metrics.get(name)),
        Quantity(f"{name} in training", lambda epoch: epoch.train_metrics.get(name)),
    )


NUM_SHOWN = 10
"""Experiments whose curves are drawn at first."""
MOST_DRAWN = 100
"""Experiments that the page can draw, the best ones: it is to open fast on a phone, however many there are."""
_MOST_POINTS = 100
"""Epochs of a curve that are drawn."""

PALETTE = ("#2f7fc1", "#d55e00", "#0b9268", "#c0609a", "#9a7d00", "#7a70d0", "#2b97b5", "#808892")
"""Colours after Okabe and Ito (2008), with at least 3:1 contrast on both of the page's backgrounds."""
SYMBOLS = (
    ("circle", "●"),
    ("square", "■"),
    ("triangle-up", "▲"),
    ("diamond", "◆"),
    ("triangle-down", "▼"),
    ("star", "★"),
    ("cross", "✚"),
)
"""plotly.js name and glyph. 7 and 8 have no common divisor: 56 experiments differ in colour or symbol."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """How one experiment looks, everywhere on the page."""

    index: int
    """Rank of the experiment on the page: 0 for the best."""
    colour: str
    """``#rrggbb``."""
    symbol: str
    glyph: str


def marks(names: Iterable[str]) -> dict[str, Mark]:
    """Return a mark per experiment, best first as given: alike ones are 56 ranks apart."""
    return {
        name: Mark(
            index=index,
            colour=PALETTE[index % len(PALETTE)],
            symbol=SYMBOLS[index % len(SYMBOLS)][0],
            glyph=SYMBOLS[index % len(SYMBOLS)][1],
        )
        for index, name in enumerate(names)
    }


def learning_curves(
    histories: Mapping[str, Folds], mark_of: Mapping[str, Mark], *, solid: Quantity, dashed: Quantity, title: str
) -> Figure:
    """Return a figure of the mean over the folds by epoch, in a band from the lowest fold to the highest.

    Args:
        histories: Experiment name -> per fold its epochs.
        mark_of: Experiment name -> its mark.
        solid: What is drawn with its band.
        dashed: What is drawn beside it as a dashed mean.
        title: Of the y axis.
    """
    data = [
        trace
        for name, mark in mark_of.items()
        if name in histories
        for trace in _curves_of(name, histories[name], mark, solid, dashed)
    ]
    last = max((each.epoch for folds in histories.values() for fold in folds for each in fold), default=0)
    layout = {
        "height": 340,
        "margin": {"l": 56, "r": 12, "t": 30, "b": 44},
        "showlegend": False,
        "hovermode": "closest",
        "xaxis": {"title": {"text": "epoch"}, "rangemode": "tozero", "tickformat": "d", **ticks_of(last)},
        "yaxis": {"title": {"text": escape(title)}, "automargin": True},
    }
    return {"data": data, "layout": layout}


def ticks_of(last_epoch: int) -> dict[str, float]:
    """Return how far plotly's ticks of an axis of epochs are apart, where it would put some between two epochs."""
    return {"dtick": 1} if last_epoch < FEW_EPOCHS else {}


def fold_scores(scores: Mapping[str, Sequence[float | None]], mark_of: Mapping[str, Mark], *, metric: str) -> Figure:
    """Return a figure with one row per experiment, best on top: a mark per fold and a bar at the mean of all folds.

    Args:
        scores: Experiment name -> per fold its score; one that has none is left out, and with it the mean.
        mark_of: Experiment name -> its mark.
        metric: Name of the x axis.
    """
    names = [name for name in mark_of if name in scores]
    folds, means = list[_Point](), list[_Point]()
    for row, name in enumerate(names):
        known = ((fold, score) for fold, score in enumerate(scores[name]) if score is not None)
        finite = {fold: score for fold, score in known if math.isfinite(score)}
        folds += [_Point(score, row, mark_of[name], f"{escape(name)}<br>fold {fold}") for fold, score in finite.items()]
        if finite and len(finite) == len(scores[name]):
            means.append(_Point(fmean(finite.values()), row, mark_of[name], f"{escape(name)}<br>mean"))
    data = [
        _scattered(folds, {"symbol": [point.mark.symbol for point in folds], "size": 10, "opacity": 0.75}),
        _scattered(means, {"symbol": "line-ns-open", "size": 20, "line": {"width": 2.5}}),
    ]
    layout = {
        "height": 110 + (28 if len(names) <= 15 else 19) * max(2, len(names)),
        "margin": {"l": 12, "r": 12, "t": 30, "b": 44},
        "showlegend": False,
        "hovermode": "closest",
        "xaxis": {"title": {"text": escape(metric)}},
        "yaxis": {
            "tickvals": list(range(len(names))),
            "ticktext": [escape(shortened(name)) for name in names],
            "range": [len(names) - 0.4, -0.6],
            "automargin": True,
            "zeroline": False,
        },
    }
    return {"data": data, "layout": layout}


class _Point(NamedTuple):
    """A score in the row of its experiment."""

    score: float
    row: int
    mark: Mark
    text: str
    """What it is, as HTML."""


def _scattered(points: Sequence[_Point], marker: Mapping[str, Any]) -> dict[str, Any]:
    """Return one trace of all points, since plotly.js takes far longer for a trace of each experiment's."""
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [point.score for point in points],
        "y": [point.row for point in points],
        "marker": {"color": [point.mark.colour for point in points], **marker},
        "text": [point.text for point in points],
        "hovertemplate": "%{text}: %{x:.5f}<extra></extra>",
    }


def _curves_of(name: str, folds: Folds, mark: Mark, solid: Quantity, dashed: Quantity) -> Iterator[dict[str, Any]]:
    common = {"type": "scatter", "legendgroup": str(mark.index), "visible": mark.index < NUM_SHOWN}
    by_epoch = _thinned(_finite_by_epoch(folds, solid))
    epochs = list(by_epoch)
    low = [_short(min(values)) for values in by_epoch.values()]
    high = [_short(max(values)) for values in by_epoch.values()]
    yield {
        **common,
        "mode": "lines",
        "x": epochs + epochs[::-1],
        "y": high + low[::-1],
        "fill": "toself",
        "fillcolor": _translucent(mark.colour, 0.18),
        "line": {"width": 0},
        "hoverinfo": "skip",
    }
    if means := {epoch: _short(fmean(values)) for epoch, values in _thinned(_finite_by_epoch(folds, dashed)).items()}:
        yield {
            **common,
            "mode": "lines",
            "x": list(means),
            "y": list(means.values()),
            "line": {"color": mark.colour, "width": 1.5, "dash": "dash"},
            "hovertemplate": f"{escape(name)}<br>epoch %{{x}}: {escape(dashed.words)} %{{y:.5f}}<extra></extra>",
        }
    yield {
        **common,
        "mode": "lines+markers",
        "x": epochs,
        "y": [_short(fmean(values)) for values in by_epoch.values()],
        "line": {"color": mark.colour, "width": 2},
        "marker": {"color": mark.colour, "symbol": mark.symbol, "size": 7, "maxdisplayed": 12},
        "customdata": [[score_text(min(values)), score_text(max(values)), len(values)] for values in by_epoch.values()],
        "hovertemplate": (
            f"{escape(name)}<br>epoch %{{x}}: {escape(solid.words)} %{{y:.5f}}"
            "<br>%{customdata[0]} to %{customdata[1]} over %{customdata[2]} folds<extra></extra>"
        ),
    }


def _finite_by_epoch(folds: Folds, quantity: Quantity) -> dict[int, list[float]]:
    """Return epoch -> the folds' finite values, ascending by epoch."""
    by_epoch: dict[int, list[float]] = {}
    for metrics in sorted((metrics for fold in folds for metrics in fold), key=lambda metrics: metrics.epoch):
        value = quantity.value_of(metrics)
        if value is not None and math.isfinite(value):
            by_epoch.setdefault(metrics.epoch, []).append(value)
    return by_epoch


def _thinned(by_epoch: Mapping[int, list[float]]) -> dict[int, list[float]]:
    """Return as many epochs as a curve shows, evenly spaced, the first and the last among them."""
    epochs = list(by_epoch)
    if len(epochs) > _MOST_POINTS:
        epochs = [epochs[round(number * (len(epochs) - 1) / (_MOST_POINTS - 1))] for number in range(_MOST_POINTS)]
    return {epoch: by_epoch[epoch] for epoch in epochs}


def _short(value: float) -> float:
    """Return a value with the digits that a figure can show: the page has thousands of them."""
    return float(f"{value:.7g}")


def _translucent(colour: str, alpha: float) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"
