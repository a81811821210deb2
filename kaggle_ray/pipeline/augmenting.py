"""The story of test-time augmentation afterwards: what a run has trained predicts once more, and is ensembled with it.

The experiments that come of it are the run's own from then on, as if they had been asked for when it was begun, and
their bits are the same.

Shape legend: S scored rows, C columns of a prediction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from rich.console import Group, RenderableType

from kaggle_ray.errors import NothingToSubmitError
from kaggle_ray.pipeline.added import Addition
from kaggle_ray.pipeline.adding import Worth, add_row, execute_adding, gains_table
from kaggle_ray.pipeline.addition_options import AugmentOptions
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.report.explain import find_experiment
from kaggle_ray.report.view_gains import ViewGain, view_gains
from kaggle_ray.reporters import Reporter
from kaggle_ray.reporters.texts import plain, score_text
from kaggle_ray.store.run import RunStore


@dataclass(frozen=True, kw_only=True, slots=True)
class Augmented(Worth):
    """An experiment with test-time augmentation, beside the one that it is otherwise the same as."""

    name: str
    of: str
    """Name of that one."""
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
        of_experiments = gains_table("experiment", "before", "after", "gain", "±")
        of_views = gains_table("experiment", "view", "alone", "adds", "±")
        for each in self.experiments:
            add_row(of_experiments, each.name, *each.cells())
            for view in each.views:
                add_row(of_views, each.name, view.view, *map(score_text, (view.alone, view.gain, view.standard_error)))
        left_out = [plain(f"left out: {name}: {why}.") for name, why in self.left_out.items()]
        return Group(of_experiments, *([of_views] if of_views.row_count else []), *left_out)


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
    left_out: dict[str, str] = {}

    def find(plan: RunPlan, store: RunStore) -> Sequence[Addition]:
        from kaggle_ray.pipeline.additions import additions  # with torch, which knows the models

        added = {each.experiment_id for each in store.added()}
        wanted = [find_experiment(store, name) for name in options.experiments or ()]
        own = [each for each in store.experiments() if each.experiment_id not in added]
        found, why_not = additions(plan, store, wanted or own, options.tta)
        left_out.update(why_not)
        if not found:
            reasons = "; ".join(f"{name}: {why}" for name, why in left_out.items())
            raise NothingToSubmitError(f"{store.location}: nothing predicts once more: {reasons or 'it has nothing'}.")
        return found

    result, added = execute_adding(options, find, reporters=reporters, command=command)
    greater_is_better = result.plan.competition.metric.greater_is_better
    experiments = tuple(
        Augmented(
            name=each.name,
            of=each.of,
            views=view_gains(each.results, greater_is_better=greater_is_better),
            **asdict(each.worth),
        )
        for each in added
    )
    return AugmentedRun(result=result, experiments=experiments, left_out=left_out)
