"""What a trial is called where its experiment's id would say nothing: ``resnet18-lr0.001-fold2``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable

from kaggle_ray.types import Experiment, Trial

_MAX_LETTERS = 64
"""Longest name of an experiment: Tune makes a folder of it, and a dashboard a column."""
_NUM_HEX = 6


class TrialNames:
    """Names the trials of a run: by their experiment's name and their rows, safe as a file's name.

    Names of experiments that are too long, or the same once they are safe, carry a part of the experiment's id.
    """

    def __init__(self, experiments: Callable[[], Iterable[Experiment]]) -> None:
        """Ask for the run's ``experiments`` whenever a trial is of one that is not known yet: a search adds some."""
        self._experiments = experiments
        self._names: dict[str, str] = {}

    def __call__(self, trial: Trial) -> str:
        """Return the trial's name; one of an experiment that the run has not is named by its id."""
        if trial.experiment_id not in self._names:
            self._names = {each.experiment_id: _safe(each.name) for each in self._experiments()}
        name = self._names.setdefault(trial.experiment_id, trial.experiment_id)
        if len(name) > _MAX_LETTERS or Counter(self._names.values())[name] > 1:
            name = f"{name[: _MAX_LETTERS - _NUM_HEX - 1]}-{trial.experiment_id[:_NUM_HEX]}"
        return f"{name}-{trial.rows}"


def _safe(name: str) -> str:
    """Return an experiment's name, such as ``resnet18 lr=0.001``, with nothing that a path or a shell would mind."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name.replace("=", "")).strip("-.")
