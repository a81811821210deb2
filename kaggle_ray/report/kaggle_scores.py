"""Scores on Kaggle against the honest ones, as submissions come in: whether the one can be trusted for the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from kaggle_ray.report.figures import PALETTE, Figure
from kaggle_ray.report.page import document, section
from kaggle_ray.reporters.texts import shortened
from kaggle_ray.store.run import RunStore
from kaggle_ray.submission.kaggle_records import KaggleRecord, records_of

FIGURE = "cv-to-lb"
"""Id of the page's element that the figure is drawn in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KaggleScore:
    """A submission that Kaggle has scored, and the honest score of what was submitted."""

    name: str
    """What a person knows it by."""
    honest: float
    standard_error: float | None
    """Standard error of the honest score; None where it is not known."""
    public: float
    private: float | None
    """Private score; None before Kaggle tells it."""


def kaggle_scores_of(store: RunStore) -> tuple[KaggleScore, ...]:
    """Return the submissions of a run that Kaggle has scored, the first one first.

    Those without an honest score, such as a refit, have nothing to be held against.

    Raises:
        StoreError: a record cannot be read.
    """
    scored = (_scored(record, store.run_id) for record in records_of(store))
    return tuple(score for score in scored if score is not None)


def kaggle_scores_page(stores: Sequence[RunStore]) -> str:
    """Return a page with a figure for each competition that runs were submitted to, and that has scored them.

    Raises:
        StoreError: a record cannot be read.
    """
    of_competition: dict[tuple[str, str], list[KaggleScore]] = {}
    for store in stores:
        if scores := kaggle_scores_of(store):
            record = store.known_record()
            of_competition.setdefault((record.competition, record.metric), []).extend(scores)
    drawn = {f"{FIGURE}-{number}": each for number, each in enumerate(of_competition.items())}
    cards = [kaggle_scores_section(scores, title=name, figure=id_) for id_, ((name, _), scores) in drawn.items()]
    figures = {id_: kaggle_scores_figure(scores, metric=metric) for id_, ((_, metric), scores) in drawn.items()}
    body = "\n".join(["<header><h1>Scores on Kaggle</h1></header>", *cards])
    return document("Scores on Kaggle", body, figures)


def kaggle_scores_section(
    scores: Sequence[KaggleScore], *, title: str = "Scores on Kaggle", figure: str = FIGURE
) -> str:
    """Return the card with the element that a figure is drawn in; empty where there is nothing to draw."""
    if not scores:
        return ""
    return section(
        escape(title),
        '<p class="hint">Each submission at its honest score, with one standard error to either side. Filled: the'
        " public score. Open: the private one, once Kaggle tells it. On the dashed line Kaggle says the same; where"
        " submissions keep their order, and their distance from it, the honest score can be trusted to choose.</p>"
        f'<div class="plot" id="{figure}"></div>',
    )


def kaggle_scores_figure(scores: Sequence[KaggleScore], *, metric: str) -> Figure:
    """Return a figure with the honest score of each submission across, and its scores on Kaggle up."""
    values = [value for each in scores for value in (each.honest, each.public, each.private) if value is not None]
    ends = [min(values), max(values)]
    private = [(each, each.private) for each in scores if each.private is not None]
    layout = {
        "height": 380,
        "margin": {"l": 64, "r": 12, "t": 30, "b": 48},
        "showlegend": False,
        "hovermode": "closest",
        "xaxis": {"title": {"text": f"honest {escape(metric)}"}},
        "yaxis": {"title": {"text": f"{escape(metric)} on Kaggle"}, "automargin": True},
    }
    line = {"mode": "lines", "x": ends, "y": ends, "line": {"dash": "dash", "width": 1, "color": PALETTE[-1]}}
    return {
        "data": [
            {"type": "scatter", "hoverinfo": "skip", **line},
            _points([(each, each.public) for each in scores], "public", {"symbol": "circle", "color": PALETTE[0]}),
            _points(private, "private", {"symbol": "circle-open", "color": PALETTE[1], "line": {"width": 2}}),
        ],
        "layout": layout,
    }


def _points(points: Sequence[tuple[KaggleScore, float]], part: str, marker: Mapping[str, object]) -> dict[str, object]:
    errors = [each.standard_error or 0.0 for each, _ in points]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [each.honest for each, _ in points],
        "y": [value for _, value in points],
        "error_x": {"type": "data", "array": errors, "visible": any(errors), "thickness": 1.5, "width": 4},
        "marker": {"size": 11, **marker},
        "text": [escape(shortened(each.name)) for each, _ in points],
        "hovertemplate": f"%{{text}}<br>honest %{{x:.5f}}<br>{part} %{{y:.5f}}<extra></extra>",
    }


def _scored(record: KaggleRecord, run_id: str) -> KaggleScore | None:
    if record.score_honest is None or record.public_score is None:
        return None
    return KaggleScore(
        name=f"{run_id}: {record.message or record.name}",
        honest=record.score_honest,
        standard_error=record.standard_error,
        public=record.public_score,
        private=record.private_score,
    )
