"""The story of further epochs: an experiment of a run that is over is trained on, and ensembled with the rest.

What comes of it is the run's own from then on, an experiment that knows its parent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kaggle_ray.pipeline.added import Addition
from kaggle_ray.pipeline.adding import Worth, execute_adding, worth_of
from kaggle_ray.pipeline.options import TrainOnOptions
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.report.explain import find_experiment
from kaggle_ray.reporters import Reporter
from kaggle_ray.reporters.texts import known_score, plain, score_text
from kaggle_ray.store.run import RunStore


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedOn:
    """What came of further epochs."""

    result: RunResult
    """The run as it is now: ensembles, submission and report are made anew."""
    name: str
    """Name of the experiment."""
    of: str
    """Name of the one whose weights it was trained on from."""
    worth: Worth
    """The honest score of the experiment beside that of the one that it comes from."""

    def table(self) -> RenderableType:
        """Return the experiment with its gain."""
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for title in ("experiment", "before", "after", "gain", "±"):
            table.add_column(title, overflow="fold", justify="left" if title == "experiment" else "right")
        worth = self.worth
        scores = (known_score(worth.score_before), known_score(worth.score))
        table.add_row(*map(plain, (self.name, *scores, score_text(worth.gain), score_text(worth.standard_error))))
        return Group(table, Text(f"scores: honest, out of fold. before: {self.of}."))


def train_on_run(
    options: TrainOnOptions, *, reporters: Sequence[Reporter] = (), command: Sequence[str] | None = None
) -> TrainedOn:
    """Train an experiment of a run on, each fold from its last weights; predict, ensemble, and submit.

    Called again, it goes on where it was.

    Args:
        options: of which run and experiment, and how.
        reporters: who is told of the events, beside those of the options.
        command: words that begin a command that goes on with a run; None in a script or notebook.

    Raises:
        StoreError: it is no run, or has no such experiment.
        ConfigError: the run's code is not known to be one's own, or the experiment cannot be trained on so.
        RunMismatchError: the files are not those that the run was begun with.
        NothingToSubmitError: weights are gone, or the run has this experiment already.
    """
    asked = _Asked(options)
    result = execute_adding(options, options.run, asked.add, reporters=reporters, command=command)
    (addition,) = asked.found
    names = {each.experiment_id: each.name for each in result.tried}
    return TrainedOn(
        result=result,
        name=names[addition.experiment.experiment_id],
        of=names[addition.of.experiment_id],
        worth=worth_of(result, asked.found)[0],
    )


class _Asked:
    """What a person asks to be trained on."""

    def __init__(self, options: TrainOnOptions) -> None:
        self._options = options
        self.found: Sequence[Addition] = ()

    def add(self, plan: RunPlan, store: RunStore) -> None:
        """Add the experiment to the run."""
        from kaggle_ray.pipeline.additions import further_addition  # with torch, which knows the models

        options = self._options
        wanted = find_experiment(store, options.experiment)
        found = further_addition(plan, store, wanted, epochs=options.epochs, overrides=options.overrides or {})
        self.found = (found,)
        store.add([found.experiment])
