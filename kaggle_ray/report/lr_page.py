"""The page of a learning-rate range test: the loss over the rate, and the rate that it suggests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape

from kaggle_ray.report.figures import PALETTE, Figure
from kaggle_ray.report.page import definitions, document, section, tiles
from kaggle_ray.train.lr_sweep import LrSweep
from kaggle_ray.types import JsonValue

_HEADROOM = 1.15
"""End of the y axis in losses of the first step: what diverges runs out of the picture."""


def render_lr_page(
    sweep: LrSweep, *, competition: str, experiment: str, hyperparameters: Mapping[str, JsonValue]
) -> str:
    """Return the page; like the report it needs nothing but a browser.

    Args:
        sweep: the range test.
        competition: its name.
        experiment: the name of what was tested.
        hyperparameters: of the experiment.
    """
    lowest = min(range(len(sweep.lrs)), key=sweep.smoothed.__getitem__)
    shown = [
        (
            "Suggested lr",
            suggestion_text(sweep),
            "a third of where the loss begins to rise again, or a tenth of the last rate",
        ),
        (
            "Lowest loss at",
            f"{sweep.lrs[lowest]:.1e}",
            f"{sweep.smoothed[lowest]:.4g}",
        ),
        ("Steps", str(len(sweep.lrs)), f"from {sweep.lrs[0]:.0e} to {sweep.lrs[-1]:.1e}"),
    ]
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in hyperparameters.items()}
    hint = (
        '<p class="hint">Each step trains one batch at a higher rate than the one before. Dots: the loss of each batch'
        " before its step. Line: the same, smoothed over neighbouring rates. The suggestion is a peak for a schedule"
        " that rises and falls; it was looked for on the training rows of fold 0, as the first epoch trains them.</p>"
    )
    body = "\n".join(
        [
            '<header><p class="eyebrow">kaggle_ray find-lr</p>'
            f'<h1>{escape(competition)}</h1><p class="sub">{escape(experiment)}</p></header>',
            tiles(shown),
            section("Loss by learning rate", f'{hint}<div class="plot" id="lr"></div>'),
            '<section class="card"><details><summary>Hyperparameters</summary>'
            f"{definitions(texts)}</details></section>",
        ]
    )
    return document(f"{competition} · find-lr", body, {"lr": lr_figure(sweep)})


def suggestion_text(sweep: LrSweep) -> str:
    """Return the suggested rate to two digits, or ``none``."""
    return "none" if sweep.suggestion is None else f"{sweep.suggestion:.1e}"


def lr_figure(sweep: LrSweep) -> Figure:
    """Return a figure of the losses over the learning rate, with a line at the suggestion."""
    common: dict[str, JsonValue] = {"type": "scatter", "x": list(sweep.lrs)}
    data: list[dict[str, JsonValue]] = [
        {
            **common,
            "mode": "markers",
            "y": list(sweep.losses),
            "marker": {"color": PALETTE[0], "size": 5, "opacity": 0.45},
            "hovertemplate": "lr %{x:.2e}: loss %{y:.4f}<extra></extra>",
        },
        {
            **common,
            "mode": "lines",
            "y": list(sweep.smoothed),
            "line": {"color": PALETTE[0], "width": 2.5},
            "hovertemplate": "lr %{x:.2e}: smoothed %{y:.4f}<extra></extra>",
        },
    ]
    low, high = min(sweep.smoothed), max(sweep.smoothed[0], min(sweep.smoothed))
    margin = (_HEADROOM - 1) * max(high - low, 1e-3 * abs(high))
    shapes = []
    if sweep.suggestion is not None:
        line = {"color": PALETTE[1], "width": 2, "dash": "dash"}
        x = {"xref": "x", "x0": sweep.suggestion, "x1": sweep.suggestion}
        shapes.append({"type": "line", "yref": "paper", "y0": 0, "y1": 1, "line": line, **x})
    layout = {
        "height": 420,
        "margin": {"l": 56, "r": 12, "t": 30, "b": 44},
        "showlegend": False,
        "hovermode": "closest",
        "shapes": shapes,
        "xaxis": {"title": {"text": "learning rate"}, "type": "log", "exponentformat": "power", "dtick": 1},
        "yaxis": {"title": {"text": "loss"}, "automargin": True, "range": [low - 2 * margin, high + 2 * margin]},
    }
    return {"data": data, "layout": layout}
