"""The story of a soup afterwards: weights that a run has kept are averaged fold by fold, and ensembled with the rest.

The soup is the run's own from then on, as if it had been asked for when it was begun.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kaggle_ray.pipeline.adding import Worth, execute_adding, worth_of
from kaggle_ray.pipeline.options import SoupOptions
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.report.explain import find_experiment
from kaggle_ray.reporters import Reporter
from kaggle_ray.reporters.texts import known_score, plain, score_text
from kaggle_ray.store.opening import open_run
from kaggle_ray.store.run import RunStore
from kaggle_ray.types import Trial

if TYPE_CHECKING:
    from kaggle_ray.pipeline.added import Addition


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
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for title in ("experiment", "in the soup of folds", "score", "gain", "±"):
            is_number = title in ("score", "gain", "±")
            table.add_column(title, overflow="fold", justify="right" if is_number else "left", no_wrap=is_number)
        for number, name in enumerate(self.of):
            folds = ", ".join(str(fold) for fold, names in enumerate(self.chosen) if name in names)
            score = known_score(self.worth.score_before) if number == 0 else ""
            table.add_row(*map(plain, (name, folds or "none", score, "", "")))
        worth = self.worth
        gains = (known_score(worth.score), score_text(worth.gain), score_text(worth.standard_error))
        table.add_row(*map(plain, (self.name, "", *gains)))
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
    asked = _Asked(options)
    result = execute_adding(options, options.run, asked.add, reporters=reporters, command=command)
    (addition,) = asked.found
    names = {each.experiment_id: each.name for each in result.tried}
    store, soup = open_run(result.plan.location), addition.experiment
    trials = (Trial(experiment_id=soup.experiment_id, fold=fold) for fold in range(result.plan.folds.num_folds))
    results = [each for each in map(store.result, trials) if each is not None]
    return SoupRun(
        result=result,
        name=names[soup.experiment_id],
        of=tuple(names[each] for each in soup.soup_ids),
        chosen=tuple(tuple(names[each] for each in of.averaged_experiments) for of in results),
        worth=worth_of(result, asked.found)[0],
    )


class _Asked:
    """What a person asks to be averaged."""

    def __init__(self, options: SoupOptions) -> None:
        self._options = options
        self.found: Sequence[Addition] = ()

    def add(self, plan: RunPlan, store: RunStore) -> None:
        """Add the soup to the run."""
        from kaggle_ray.pipeline.additions import soup_addition  # with torch, which knows the models

        wanted = [find_experiment(store, name) for name in self._options.experiments]
        self.found = (soup_addition(plan, store, wanted, self._options.method),)
        store.add([each.experiment for each in self.found])
