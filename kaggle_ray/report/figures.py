"""The report's figures as plotly.js specifications: plain dictionaries, so that plotly's Python side is not needed.

Colours that depend on light or dark (text, grid, the confusion matrix) are left to page.js.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from statistics import fmean
from typing import Any, Literal

import numpy as np

from kaggle_ray.reporters.texts import score_text
from kaggle_ray.types import EpochMetrics, IntArray

Figure = dict[str, Any]
"""A figure of plotly.js, ``{"data": traces, "layout": layout}``."""
Folds = Sequence[Sequence[EpochMetrics]]
"""The epochs of each fold."""
Quantity = Literal["train_loss", "valid_loss", "score"]

NUM_SHOWN = 10
"""Experiments whose curves are drawn at first."""
MAX_CLASSES_WITH_COUNTS = 20
"""A confusion matrix of more classes has its counts in the tooltips only."""

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
    histories: Mapping[str, Folds], mark_of: Mapping[str, Mark], *, solid: Quantity, dashed: Quantity | None, title: str
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
    layout = {
        "height": 340,
        "margin": {"l": 56, "r": 12, "t": 30, "b": 44},
        "showlegend": False,
        "hovermode": "closest",
        "xaxis": {"title": {"text": "epoch"}, "rangemode": "tozero", "tickformat": "d"},
        "yaxis": {"title": {"text": escape(title)}, "automargin": True},
    }
    return {"data": data, "layout": layout}


def fold_scores(scores: Mapping[str, Sequence[float | None]], mark_of: Mapping[str, Mark], *, metric: str) -> Figure:
    """Return a figure with one row per experiment, best on top: a mark per fold and a bar at the mean of all folds.

    Args:
        scores: Experiment name -> per fold its score; one that has none is left out, and with it the mean.
        mark_of: Experiment name -> its mark.
        metric: Name of the x axis.
    """
    names = [name for name in mark_of if name in scores]
    data: list[dict[str, Any]] = []
    for row, name in enumerate(names):
        mark = mark_of[name]
        known = ((fold, score) for fold, score in enumerate(scores[name]) if score is not None)
        finite = {fold: score for fold, score in known if math.isfinite(score)}
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": list(finite.values()),
                "y": [row] * len(finite),
                "marker": {"color": mark.colour, "symbol": mark.symbol, "size": 10, "opacity": 0.75},
                "customdata": list(finite),
                "hovertemplate": f"{escape(name)}<br>fold %{{customdata}}: %{{x:.5f}}<extra></extra>",
            }
        )
        if not finite or len(finite) < len(scores[name]):
            continue
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [fmean(finite.values())],
                "y": [row],
                "marker": {"color": mark.colour, "symbol": "line-ns-open", "size": 20, "line": {"width": 2.5}},
                "hovertemplate": f"{escape(name)}<br>mean: %{{x:.5f}}<extra></extra>",
            }
        )
    layout = {
        "height": 110 + (28 if len(names) <= 15 else 19) * max(2, len(names)),
        "margin": {"l": 12, "r": 12, "t": 30, "b": 44},
        "showlegend": False,
        "hovermode": "closest",
        "xaxis": {"title": {"text": escape(metric)}},
        "yaxis": {
            "tickvals": list(range(len(names))),
            "ticktext": [escape(_shortened(name)) for name in names],
            "range": [len(names) - 0.4, -0.6],
            "automargin": True,
            "zeroline": False,
        },
    }
    return {"data": data, "layout": layout}


def confusion_heatmap(confusion: IntArray, class_names: Sequence[str]) -> Figure:
    """Return a figure of a confusion matrix, shaded by the share of each true class.

    The shade is the square root of the share: confusions of a few percent are what one looks for.

    Args:
        confusion: (C, C) counts; rows are the truth, columns the prediction.
        class_names: C names.
    """
    row_sums = confusion.sum(axis=1, keepdims=True)
    shares = confusion / row_sums.clip(min=1)
    num_classes = len(class_names)
    names = [escape(_shortened(name)) for name in class_names]
    ticks = {"tickvals": list(range(num_classes)), "ticktext": names, "showgrid": False, "zeroline": False}
    trace = {
        "type": "heatmap",
        "z": np.sqrt(shares).round(4).tolist(),
        "zmin": 0,
        "zmax": 1,
        "text": confusion.tolist(),
        "texttemplate": "%{text}" if num_classes <= MAX_CLASSES_WITH_COUNTS else "",
        "customdata": [
            [[truth, predicted, f"{share:.1%}"] for predicted, share in zip(names, row, strict=True)]
            for truth, row in zip(names, shares.tolist(), strict=True)
        ],
        "hovertemplate": (
            "true %{customdata[0]}<br>predicted %{customdata[1]}"
            "<br>%{text} rows, %{customdata[2]} of the class<extra></extra>"
        ),
        "xgap": 1,
        "ygap": 1,
        "showscale": False,
    }
    layout = {
        "height": min(740, 128 + max(34 * num_classes, 160)),
        "margin": {"l": 12, "r": 12, "t": 30, "b": 12},
        "xaxis": {**ticks, "title": {"text": "predicted"}, "side": "bottom", "automargin": True},
        "yaxis": {**ticks, "title": {"text": "true"}, "autorange": "reversed", "automargin": True},
    }
    return {"data": [trace], "layout": layout}


def _curves_of(
    name: str, folds: Folds, mark: Mark, solid: Quantity, dashed: Quantity | None
) -> Iterator[dict[str, Any]]:
    common = {"type": "scatter", "legendgroup": str(mark.index), "visible": mark.index < NUM_SHOWN}
    by_epoch = _finite_by_epoch(folds, solid)
    epochs = list(by_epoch)
    low, high = [min(values) for values in by_epoch.values()], [max(values) for values in by_epoch.values()]
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
    if dashed is not None:
        means = {epoch: fmean(values) for epoch, values in _finite_by_epoch(folds, dashed).items()}
        yield {
            **common,
            "mode": "lines",
            "x": list(means),
            "y": list(means.values()),
            "line": {"color": mark.colour, "width": 1.5, "dash": "dash"},
            "hovertemplate": f"{escape(name)}<br>epoch %{{x}}: {_words(dashed)} %{{y:.5f}}<extra></extra>",
        }
    yield {
        **common,
        "mode": "lines+markers",
        "x": epochs,
        "y": [fmean(values) for values in by_epoch.values()],
        "line": {"color": mark.colour, "width": 2},
        "marker": {"color": mark.colour, "symbol": mark.symbol, "size": 7, "maxdisplayed": 12},
        "customdata": [[score_text(min(values)), score_text(max(values)), len(values)] for values in by_epoch.values()],
        "hovertemplate": (
            f"{escape(name)}<br>epoch %{{x}}: {_words(solid)} %{{y:.5f}}"
            "<br>%{customdata[0]} to %{customdata[1]} over %{customdata[2]} folds<extra></extra>"
        ),
    }


def _finite_by_epoch(folds: Folds, quantity: Quantity) -> dict[int, list[float]]:
    """Return epoch -> the folds' finite values, ascending by epoch."""
    by_epoch: dict[int, list[float]] = {}
    for metrics in sorted((metrics for fold in folds for metrics in fold), key=lambda metrics: metrics.epoch):
        value: float = getattr(metrics, quantity)
        if math.isfinite(value):
            by_epoch.setdefault(metrics.epoch, []).append(value)
    return by_epoch


def _translucent(colour: str, alpha: float) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def _shortened(name: str, num_chars: int = 28) -> str:
    """Leave out the middle: names of experiments differ at the end, and begin with the model."""
    left = num_chars // 2
    return name if len(name) <= num_chars else f"{name[:left]}…{name[left + 1 - num_chars :]}"


def _words(quantity: Quantity) -> str:
    return quantity.replace("_", " ")
