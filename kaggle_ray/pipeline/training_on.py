"""The story of further epochs: an experiment of a run that is over is trained on, and ensembled with the rest.

What comes of it is the run's own from then on, an experiment that knows its parent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from kaggle_ray.pipeline.added import Addition
from kaggle_ray.pipeline.adding import Worth, add_row, execute_adding, gains_table
from kaggle_ray.pipeline.addition_options import TrainOnOptions
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.report.explain import find_experiment
from kaggle_ray.reporters import Reporter
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
        table = gains_table("experiment", "before", "after", "gain", "±")
        add_row(table, self.name, *self.worth.cells())
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

    def find(plan: RunPlan, store: RunStore) -> Sequence[Addition]:
        from kaggle_ray.pipeline.additions import further_addition  # with torch, which knows the models

        wanted = find_experiment(store, options.experiment)
        return [further_addition(plan, store, wanted, epochs=options.epochs, overrides=options.overrides or {})]

    result, (added,) = execute_adding(options, find, reporters=reporters, command=command)
    return TrainedOn(result=result, name=added.name, of=added.of, worth=added.worth)
