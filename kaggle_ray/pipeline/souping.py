"""The story of a soup afterwards: weights that a run has kept are averaged fold by fold, and ensembled with the rest.

The soup is the run's own from then on, as if it had been asked for when it was begun.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from kaggle_ray.pipeline.added import Addition
from kaggle_ray.pipeline.adding import Worth, add_row, execute_adding, gains_table
from kaggle_ray.pipeline.addition_options import SoupOptions
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.report.explain import find_experiment
from kaggle_ray.reporters import Reporter
from kaggle_ray.store.run import RunStore


@dataclass(frozen=True, kw_only=True, slots=True)
class SoupRun:
    """What came of a soup."""

    result: RunResult
    """The run as it is now: ensembles, submission and report are made anew."""
    name: str
    """Name of the soup."""
    of: tuple[str, ...]
    """Names of the experiments that might go in."""
    chosen: tuple[tuple[str, ...], ...]
    """Names of those that went in, the best first, of each fold that is over."""
    worth: Worth
    """The soup's honest score beside that of the first experiment."""

    def table(self) -> RenderableType:
        """Return the soup with its gain, and how many folds each experiment went into."""
        table = gains_table("experiment", "in the soup of folds", "score", "gain", "±")
        before, *gains = self.worth.cells()
        for number, name in enumerate(self.of):
            folds = ", ".join(str(fold) for fold, names in enumerate(self.chosen) if name in names)
            add_row(table, name, folds or "none", "" if number else before, "", "")
        add_row(table, self.name, "", *gains)
        return Group(table, Text("score: honest, out of fold. gain: over the first experiment."))


def soup_run(
    options: SoupOptions, *, reporters: Sequence[Reporter] = (), command: Sequence[str] | None = None
) -> SoupRun:
    """Average weights that a run has kept, fold by fold; predict, ensemble, and submit.

    Called again, it goes on where it was.

    Args:
        options: of which run and experiments, and how.
        reporters: who is told of the events, beside those of the options.
        command: words that begin a command that goes on with a run; None in a script or notebook.

    Raises:
        StoreError: it is no run, or has no such experiment.
        ConfigError: the run's code is not known to be one's own, the weights have no mean, or there are no rows that a
            greedy soup could be chosen by.
        RunMismatchError: the files are not those that the run was begun with.
        NothingToSubmitError: weights are gone, or the run has this soup already.
    """

    def find(plan: RunPlan, store: RunStore) -> Sequence[Addition]:
        from kaggle_ray.pipeline.additions import soup_addition  # with torch, which knows the models

        wanted = [find_experiment(store, name) for name in options.experiments]
        return [soup_addition(plan, store, wanted, options.method)]

    result, (soup,) = execute_adding(options, find, reporters=reporters, command=command)
    names = {each.experiment_id: each.name for each in result.tried}
    return SoupRun(
        result=result,
        name=soup.name,
        of=tuple(names[each] for each in soup.experiment.soup_ids),
        chosen=tuple(tuple(names[each] for each in of.averaged_experiments) for of in soup.results if of is not None),
        worth=soup.worth,
    )
