"""A picture of how the scores of a run's trials came about, for a mail."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kaggle_ray.errors import ConfigError
from kaggle_ray.types import EpochMetrics, Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_EXPERIMENTS = 8
"""Experiments that are drawn: more cannot be told apart by their colours."""


@dataclass(kw_only=True, slots=True)
class Curves:
    """Score of each epoch of each trial."""

    of_trial: dict[Trial, dict[int, float]] = field(default_factory=dict)
    """Trial -> epoch, 1 for the first -> score; an epoch that was not scored is left out."""

    def add(self, trial: Trial, metrics: EpochMetrics) -> None:
        """Take in what an epoch measured; one that is trained again replaces what it had."""
        if math.isfinite(metrics.score):
            self.of_trial.setdefault(trial, {})[metrics.epoch] = metrics.score

    def best_experiments(self, *, greater_is_better: bool) -> list[str]:
        """Return the ids of the experiments with the best last epochs, best first, as many as are drawn."""
        last: dict[str, list[float]] = {}
        for trial, scores in self.of_trial.items():
            last.setdefault(trial.experiment_id, []).append(scores[max(scores)])
        ranked = sorted(last, key=lambda each: sum(last[each]) / len(last[each]), reverse=greater_is_better)
        return ranked[:_MOST_EXPERIMENTS]


def draw(curves: Curves, *, names: Mapping[str, str], metric: str, greater_is_better: bool) -> bytes | None:
    """Return a PNG with a line for each fold of the best experiments; None where no epoch was scored.

    Args:
        curves: what was measured.
        names: experiment id -> name.
        metric: title of the vertical axis.
        greater_is_better: of the metric.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    best = curves.best_experiments(greater_is_better=greater_is_better)
    if not best:
        return None
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError as error:
        raise ConfigError("the mail's picture needs the extra: pip install 'kaggle-ray[mail]'.") from error
    figure = Figure(figsize=(7.0, 4.0), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    for number, experiment_id in enumerate(best):
        trials = sorted(trial for trial in curves.of_trial if trial.experiment_id == experiment_id)
        _draw_folds(axes, [curves.of_trial[trial] for trial in trials], f"C{number}", names.get(experiment_id, "?"))
    axes.set(xlabel="epoch", ylabel=f"{metric} of the fold")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize="small", frameon=False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _draw_folds(axes: Axes, folds: Sequence[Mapping[int, float]], color: str, name: str) -> None:
    """Draw a line per fold; the first has the name, whose dollar signs are no mathematics."""
    for number, scores in enumerate(folds):
        epochs = sorted(scores)
        label = name.replace("$", r"\$") if number == 0 else "_"
        axes.plot(epochs, [scores[epoch] for epoch in epochs], color=color, linewidth=1.2, marker=".", label=label)
