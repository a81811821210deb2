"""The story of test-time augmentation afterwards: what a run has trained predicts once more, and is ensembled with it.

The experiments that come of it are the run's own from then on, as if they had been asked for when it was begun, and
their bits are the same.

Shape legend: S scored rows, C columns of a prediction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table

from kaggle_ray.errors import NothingToSubmitError
from kaggle_ray.pipeline.added import Addition
from kaggle_ray.pipeline.adding import Worth, execute_adding, worth_of
from kaggle_ray.pipeline.options import AugmentOptions
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.report.explain import find_experiment
from kaggle_ray.report.view_gains import ViewGain, view_gains
from kaggle_ray.reporters import Reporter
from kaggle_ray.reporters.texts import known_score, plain, score_text
from kaggle_ray.store.opening import open_run
from kaggle_ray.store.run import RunStore
from kaggle_ray.types import Trial


@dataclass(frozen=True, kw_only=True, slots=True)
class Augmented:
    """An experiment with test-time augmentation, beside the one that it is otherwise the same as."""

    name: str
    of: str
    """Name of that one."""
    score_before: float | None
    """Honest score of that one; None where it has none."""
    score: float | None
    """Honest score of the experiment; None where it has none."""
    gain: float | None
    """How much better ``score`` is than ``score_before``, above 0 where it is."""
    standard_error: float | None
    """Standard error of ``gain`` on the same rows; None where it is not known."""
    views: tuple[ViewGain, ...]
    """What each view is worth; empty without an honest score."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AugmentedRun:
    """What came of test-time augmentation afterwards."""

    result: RunResult
    """The run as it is now: ensembles, submission and report are made anew."""
    experiments: tuple[Augmented, ...]
    left_out: Mapping[str, str]
    """Experiment -> why it does not predict once more."""

    def table(self) -> RenderableType:
        """Return the experiments with their gains, the views of each, and what was left out."""
        of_experiments = _table(("experiment", "before", "after", "gain", "±"))
        of_views = _table(("experiment", "view", "alone", "adds", "±"))
        for each in self.experiments:
            scores = (known_score(each.score_before), known_score(each.score))
            of_experiments.add_row(
                *map(plain, (each.name, *scores, score_text(each.gain), score_text(each.standard_error)))
            )
            for view in each.views:
                gains = (view.alone, view.gain, view.standard_error)
                of_views.add_row(*map(plain, (each.name, view.view, *map(score_text, gains))))
        left_out = [plain(f"left out: {name}: {why}.") for name, why in self.left_out.items()]
        return Group(of_experiments, *([of_views] if of_views.row_count else []), *left_out)


def _table(titles: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for number, title in enumerate(titles):
        is_number = number >= len(titles) - 3
        table.add_column(title, overflow="fold", justify="right" if is_number else "left", no_wrap=is_number)
    return table


def augment_run(
    options: AugmentOptions, *, reporters: Sequence[Reporter] = (), command: Sequence[str] | None = None
) -> AugmentedRun:
    """Predict with what a run has trained once more, with test-time augmentation; ensemble it, and submit.

    Called again, it goes on where it was. What cannot be done is named, and the rest is done.

    Args:
        options: of which run, and how.
        reporters: who is told of the events, beside those of the options.
        command: words that begin a command that goes on with a run; None in a script or notebook.

    Raises:
        StoreError: it is no run, or has no such experiment.
        ConfigError: the run's code is not known to be one's own, or the augmentation does not go with its competition.
        RunMismatchError: the files are not those that the run was begun with.
        NothingToSubmitError: nothing is left that could be done.
    """
    asked = _Asked(options)
    result = execute_adding(options, options.run, asked.add, reporters=reporters, command=command)
    return AugmentedRun(result=result, experiments=_gains(result, asked.found), left_out=asked.left_out)


class _Asked:
    """What a person asks to be added, and what came of it."""

    def __init__(self, options: AugmentOptions) -> None:
        self._options = options
        self.found: Sequence[Addition] = ()
        self.left_out: Mapping[str, str] = {}

    def add(self, plan: RunPlan, store: RunStore) -> None:
        """Add the experiments to the run. Raise NothingToSubmitError where there is none."""
        from kaggle_ray.pipeline.additions import additions  # with torch, which knows the models

        added = {each.experiment_id for each in store.added()}
        names = self._options.experiments
        wanted = (
            [each for each in store.experiments() if each.experiment_id not in added]
            if not names
            else [find_experiment(store, name) for name in names]
        )
        self.found, self.left_out = additions(plan, store, wanted, self._options.tta)
        if not self.found:
            reasons = "; ".join(f"{name}: {why}" for name, why in self.left_out.items())
            raise NothingToSubmitError(f"{store.location}: nothing predicts once more: {reasons or 'it has nothing'}.")
        store.add([each.experiment for each in self.found])


def _gains(result: RunResult, found: Sequence[Addition]) -> tuple[Augmented, ...]:
    """Return what each experiment is worth beside the one that it was made of, both scored as the board scores them."""
    plan, store = result.plan, open_run(result.plan.location)
    names = {each.experiment_id: each.name for each in result.tried}

    def augmented(addition: Addition, worth: Worth) -> Augmented:
        made = addition.experiment.experiment_id
        of_folds = (store.result(Trial(experiment_id=made, fold=fold)) for fold in range(plan.folds.num_folds))
        return Augmented(
            name=names[made],
            of=names[addition.of.experiment_id],
            score_before=worth.score_before,
            score=worth.score,
            gain=worth.gain,
            standard_error=worth.standard_error,
            views=view_gains(list(of_folds), greater_is_better=plan.competition.metric.greater_is_better),
        )

    return tuple(map(augmented, found, worth_of(result, found)))
