"""The sections of the report on a run's answers: labels and their curves, members, an atlas of errors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from kaggle_ray.counted import counted
from kaggle_ray.evaluation.members import MemberAnalysis
from kaggle_ray.report.analysis import Analysis, Atlas, HeadAnalysis
from kaggle_ray.report.cards import Card, gallery_html
from kaggle_ray.report.figures import PALETTE, Figure, Folds, Mark, Quantity, learning_curves
from kaggle_ray.report.page import section
from kaggle_ray.reporters.texts import score_text, shortened

_LEARNING_RATE = Quantity("learning rate", lambda epoch: epoch.lr)
_NOTHING = Quantity("", lambda epoch: None)


def analysis_sections(analysis: Analysis | None, histories: Mapping[str, Folds]) -> str:
    """Return the sections as HTML; figures are drawn in their elements by ``analysis_figures``."""
    of_rates = _rates_section() if histories else ""
    if analysis is None:
        return of_rates
    several = len(analysis.heads) > 1
    of_heads = (_head_section(number, head, several=several) for number, head in enumerate(analysis.heads))
    members = analysis.kept.members
    return "".join([of_rates, *of_heads, "" if members is None else _members_section(members), *_atlas(analysis)])


def analysis_figures(
    analysis: Analysis | None, histories: Mapping[str, Folds], mark_of: Mapping[str, Mark]
) -> dict[str, Figure]:
    """Return the id of the page's element -> the figure to draw in it."""
    figures: dict[str, Figure] = {}
    if histories:
        figures["rates"] = learning_curves(
            histories, mark_of, solid=_LEARNING_RATE, dashed=_NOTHING, title="learning rate"
        )
    for number, head in enumerate(() if analysis is None else analysis.heads):
        figures |= _head_figures(number, head)
    if analysis is not None and analysis.kept.members is not None:
        figures["member-path"] = _path(analysis.kept.members)
    return figures


def _rates_section() -> str:
    hint = "Learning rate of each epoch's last step: the mean over the folds, in a band where these differ."
    return section("Learning rate", f'<p class="hint">{hint}</p><div class="plot" id="rates"></div>')


def _head_section(number: int, head: HeadAnalysis, *, several: bool) -> str:
    titles = ["label", "TP", "FP", "FN", "TN", "precision", "recall", "F1", "AP"]
    rows = (
        [
            escape(shortened(row.label)),
            *map(str, row.counts),
            *("" if math.isnan(s) else f"{s:.3f}" for s in row.scores),
        ]
        for row in head.labels
    )
    how_many = ""
    if len(head.labels) < head.num_labels:
        how_many = f" These are the {len(head.labels)} of {head.num_labels} with the least average precision (AP)."
    hint = (
        '<p class="hint">Out-of-fold rows, answered by the ensemble under a rule that never saw them: each label'
        f" against all others, with true and false positives and negatives.{how_many} Curves are of the labels with"
        " the least AP. Reliability: how often came true what was said, in bins; expected calibration error"
        f" {head.reliability.error:.3f}.</p>"
    )
    plots = "".join(f'<div class="plot" id="{name}-{number}"></div>' for name in ("roc", "precision", "reliability"))
    title = "Labels" + (f" of {escape(head.name)}" if several else "")
    return section(title, f'{hint}{_table(titles, rows)}<div class="pair">{plots}</div>')


def _score(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"


def _head_figures(number: int, head: HeadAnalysis) -> dict[str, Figure]:
    diagonal = _line((0.0, 1.0), (0.0, 1.0), "by chance", "#808892", dash="dot")
    colours = [PALETTE[at % len(PALETTE)] for at in range(len(head.curves))]
    of_each = list(zip(head.curves, colours, strict=True))
    roc = [_line(c.roc.x, c.roc.y, f"{c.label}: {c.roc.area:.3f}", colour) for c, colour in of_each]
    precision = [
        _line(c.precision_recall.x, c.precision_recall.y, f"{c.label}: {c.precision_recall.area:.3f}", colour)
        for c, colour in of_each
    ]
    said = head.reliability
    bins = _line(said.said, said.true, "answers", PALETTE[0]) | {
        "mode": "lines+markers",
        "text": [f"{count} of them" for count in said.counts],
        "hovertemplate": "said %{x:.3f}, true %{y:.3f}<br>%{text}<extra></extra>",
    }
    return {
        f"roc-{number}": _figure([diagonal, *roc], "false positive rate", "true positive rate (ROC)"),
        f"precision-{number}": _figure(precision, "recall", "precision"),
        f"reliability-{number}": _figure([diagonal | {"name": "perfect"}, bins], "probability", "came true"),
    }


def _members_section(members: MemberAnalysis) -> str:
    numbers = range(1, len(members.names) + 1)
    names = [f"{number} {escape(shortened(name))}" for number, name in zip(numbers, members.names, strict=True)]
    rows = (
        [name, score_text(score), "" if gain is None else f"{gain:+.5f}", *map(_correlation_cell, of_row)]
        for name, score, gain, of_row in zip(names, members.scores, members.gains, members.correlation, strict=True)
    )
    hint = (
        '<p class="hint">The members with most weight or the best scores, the best first, on'
        f" {counted(members.num_rows, 'row')}. Gain: how much better the ensemble of all these is than that of the "
        "others, each fitted anew and scored honestly. The numbered columns are the correlation of what they predict "
        "out of"
        " fold: what is alike adds little. The plot: a greedy ensemble of the best one, the best two, and so on, scored"
        " honestly, and on the rows that chose it.</p>"
    )
    table = _table(["member", "score", "gain", *map(str, numbers)], rows, css="plain")
    return section("Members", f'{hint}{table}<div class="plot" id="member-path"></div>')


def _correlation_cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _path(members: MemberAnalysis) -> Figure:
    numbers = tuple(range(1, len(members.names) + 1))
    lines = [
        _line(numbers, members.honest, "honest", PALETTE[0]) | {"mode": "lines+markers"},
        _line(numbers, members.in_sample, "in-sample", PALETTE[1], dash="dash") | {"mode": "lines+markers"},
    ]
    figure = _figure(lines, "members to choose among", "score")
    figure["layout"]["xaxis"] |= {"tickformat": "d", "dtick": 1}
    return figure


def _atlas(analysis: Analysis) -> Iterable[str]:
    atlas = analysis.kept.atlas
    suspects = (
        f"Suspected label errors: {counted(atlas.num_suspects, 'row')}, for whose label less speaks than for another "
        "one"
        if atlas.num_suspects
        else ""
    )
    parts = [
        ("The worst rows, by their loss", atlas.worst),
        ("Rows on which the members disagree most", atlas.disagreements),
        (suspects, atlas.suspects),
    ]
    shown = [_atlas_part(title, cards, atlas) for title, cards in parts if cards]
    if shown:
        yield section("Error atlas", "".join(shown))


def _atlas_part(title: str, cards: Sequence[Card], atlas: Atlas) -> str:
    return (
        f"<details><summary><small>{escape(title)}</small></summary>"
        f"{gallery_html(cards, are_masks=atlas.are_masks)}</details>"
    )


def _line(x: Sequence[float], y: Sequence[float], name: str, colour: str, *, dash: str = "solid") -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": list(x),
        "y": list(y),
        "name": escape(shortened(name)),
        "line": {"color": colour, "width": 2, "dash": dash},
    }


def _figure(lines: Sequence[Mapping[str, Any]], x_title: str, y_title: str) -> Figure:
    layout = {
        "height": 400,
        "margin": {"l": 56, "r": 12, "t": 12, "b": 44},
        "showlegend": True,
        "legend": {"orientation": "h", "y": -0.3, "font": {"size": 11}},
        "hovermode": "closest",
        "xaxis": {"title": {"text": x_title}},
        "yaxis": {"title": {"text": y_title}, "automargin": True},
    }
    return {"data": [dict(line) for line in lines], "layout": layout}


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, css: str = "plain") -> str:
    """Return a table that scrolls sideways; the cells are HTML already."""
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table class="{css}"><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'
    )
