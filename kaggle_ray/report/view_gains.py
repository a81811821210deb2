"""What each view of test-time augmentation adds, by the folds of an experiment, and the report's section on it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from statistics import fmean, stdev

from kaggle_ray.report.figures import Mark
from kaggle_ray.report.page import marked, section, table
from kaggle_ray.reporters.texts import score_text
from kaggle_ray.types import TrialResult


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewGain:
    """What one view of test-time augmentation is worth, by the folds."""

    view: str
    """The view in words, such as ``mirrored``."""
    alone: float
    """Mean over the folds of the score of this view alone."""
    gain: float
    """Mean over the folds of how much better the mean over all views is than that without this one."""
    standard_error: float | None
    """Standard error of ``gain``, from its spread over the folds; None of one fold."""


def view_gains(results: Sequence[TrialResult | None], *, greater_is_better: bool) -> tuple[ViewGain, ...]:
    """Return what each view is worth, of the folds' results; nothing where one of them tells none, or has no score.

    Args:
        results: (K,) of an experiment's folds, None of one that is not over.
        greater_is_better: of the metric.
    """
    known = [(result.views, result.score) for result in results if result is not None and result.views]
    scored = [(views, score) for views, score in known if score is not None]
    if not scored or len(scored) < len(results):
        return ()
    found: list[ViewGain] = []
    for number, view in enumerate(scored[0][0]):
        differences = [score - views[number].without for views, score in scored]
        gains = [difference if greater_is_better else -difference for difference in differences]
        error = stdev(gains) / math.sqrt(len(gains)) if len(gains) > 1 else None
        alone = fmean(views[number].alone for views, _ in scored)
        found.append(ViewGain(view=view.view, alone=alone, gain=fmean(gains), standard_error=error))
    return tuple(found)


def views_section(gains: Mapping[str, Sequence[ViewGain]], mark_of: Mapping[str, Mark]) -> str:
    """Return the section as HTML, empty where no experiment tells of its views.

    Args:
        gains: experiment name -> what each of its views is worth.
        mark_of: experiment name -> its mark in the figures.
    """
    rows = [
        (
            "",
            [
                marked(name, mark_of),
                escape(view.view),
                score_text(view.alone),
                f"{view.gain:+.5f}",
                "" if view.standard_error is None else f"{view.standard_error:.5f}",
            ],
        )
        for name, views in gains.items()
        for view in views
    ]
    if not rows:
        return ""
    hint = (
        '<p class="hint">Scores of out-of-fold rows, the mean over the folds, under the rule that needs no fitting.'
        " Adds: how much better the mean over all views is than that without this one, above 0 where it is; ±: its"
        " standard error, from its spread over the folds.</p>"
    )
    shown = table(["experiment", "view", "alone", "adds", "±"], rows, css="plain")
    return section("Views of test-time augmentation", f"{hint}{shown}")
