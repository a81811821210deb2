"""The confusion matrix of the report, as a table of HTML: its names stay beside their cells on any screen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np

from kaggle_ray.counted import counted
from kaggle_ray.reporters.texts import shortened
from kaggle_ray.types import IntArray

MAX_CLASSES = 60
"""Most classes that are shown, those that are mistaken most: nobody reads a larger table, and it fills the page."""
_STRONG = 0.6
"""Shade from which a number is white."""


def confusion_table(confusion: IntArray, class_names: Sequence[str]) -> str:
    """Return a confusion matrix as a table, shaded by the share of each true class.

    The shade is the square root of the share: confusions of a few percent are what one looks for. A cell without a row
    is empty, and the others tell their share where one points at them.

    Args:
        confusion: (C, C) counts; rows are the truth, columns the prediction.
        class_names: C names.
    """
    shares = confusion / confusion.sum(axis=1, keepdims=True).clip(min=1)
    shown = _most_mistaken(confusion)
    names = [escape(shortened(name)) for name in class_names]
    head = "".join(f'<th scope="col"><span>{names[column]}</span></th>' for column in shown)
    rows = "".join(
        f'<tr><th scope="row">{names[row]}</th>'
        + "".join(_cell(int(confusion[row, at]), float(shares[row, at]), names[row], names[at]) for at in shown)
        + "</tr>"
        for row in shown
    )
    how_many = ""
    if len(shown) < len(names):
        how_many = f" These are the {len(shown)} of {counted(len(names), 'class')} with the most mistakes."
    return (
        '<p class="hint">Out-of-fold rows, predicted by the ensemble: a line per true class, a column per predicted'
        f" one. Numbers are rows; the shade grows with their share of the true class.{how_many}</p>"
        '<div class="scroll"><table class="confusion">'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _most_mistaken(confusion: IntArray) -> list[int]:
    """Return the classes to show, in their own order."""
    mistakes = confusion.sum(axis=0) + confusion.sum(axis=1) - 2 * np.diagonal(confusion)
    most: list[int] = np.argsort(-mistakes, kind="stable")[:MAX_CLASSES].tolist()
    return sorted(most)


def _cell(count: int, share: float, truth: str, predicted: str) -> str:
    if not count:
        return "<td></td>"
    shade = math.sqrt(share)
    strong = ' class="strong"' if shade > _STRONG else ""
    title = f"true {truth}, predicted {predicted}: {share:.1%} of the class"
    return f'<td{strong} style="--shade-of:{shade:.0%}" title="{title}">{count}</td>'
