"""Two experiments side by side: what differs, and what it did to the score of each fold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table

from kaggle_ray.counted import counted
from kaggle_ray.errors import StoreError
from kaggle_ray.report.explain import experiments_named, find_experiment
from kaggle_ray.report.runs import find_run, run_named
from kaggle_ray.reporters.texts import plain, score_text
from kaggle_ray.store.changes import Change
from kaggle_ray.store.opening import list_runs
from kaggle_ray.store.run import RunStore
from kaggle_ray.types import Experiment, JsonValue, Trial, canonical_json

Side = tuple[RunStore, Experiment]


@dataclass(frozen=True, kw_only=True, slots=True)
class ExperimentDiff:
    """What differs between two experiments."""

    names: tuple[str, str]
    """What each is called, of two runs with the run's name before it."""
    metric: str
    greater_is_better: bool
    hyperparameters: Mapping[str, tuple[JsonValue, JsonValue]]
    """Hyperparameters that differ -> their two values; None where one has no such value."""
    of_runs: tuple[Change, ...]
    """What else differs between their runs; none of one run."""
    scores: tuple[tuple[float | None, float | None], ...]
    """(K,) the scores of each fold, None where its trial is not committed."""
    why_not_paired: str | None
    """Why the folds of one are not those of the other, in a sentence; None where they are."""

    @property
    def differences(self) -> tuple[float, ...]:
        """Second minus first, of the folds that both have; none where folds are not the same."""
        if self.why_not_paired is not None:
            return ()
        return tuple(second - first for first, second in self.scores if first is not None and second is not None)

    @property
    def verdict(self) -> str:
        """What the change did to the score, in a sentence."""
        if self.why_not_paired is not None:
            return self.why_not_paired
        if not (by_fold := self.differences):
            return "No fold has a score of both yet."
        mean = fmean(by_fold)
        num_better = sum((each > 0) == self.greater_is_better and each != 0 for each in by_fold)
        word = "the same" if mean == 0 else "better" if (mean > 0) == self.greater_is_better else "worse"
        error = f" ± {score_text(stdev(by_fold) / math.sqrt(len(by_fold)))}" if len(by_fold) > 1 else ""
        return (
            f"{self.names[1]} is {word}: {mean:+.5f}{error} in {self.metric}, the mean difference over "
            f"{counted(len(by_fold), 'fold')} and its standard error; better in {num_better} of them."
        )

    def view(self) -> RenderableType:
        """Return both tables, and the verdict."""
        changed = Table(box=box.SIMPLE_HEAD)
        for title in ("", *self.names):
            changed.add_column(plain(title), overflow="fold")
        for name, values in self.hyperparameters.items():
            changed.add_row(plain(name), *(plain(_text(value)) for value in values))
        folds = Table(box=box.SIMPLE_HEAD)
        for title in ("fold", *self.names, "difference"):
            folds.add_column(plain(title), justify="right", overflow="fold")
        for fold, (first, second) in enumerate(self.scores):
            both = first is not None and second is not None and self.why_not_paired is None
            difference = f"{second - first:+.5f}" if both and first is not None and second is not None else ""
            folds.add_row(str(fold), score_text(first), score_text(second), difference)
        of_runs = [plain(f"Their runs differ in {change}.") for change in self.of_runs]
        head = changed if self.hyperparameters else plain("They have the same hyperparameters.")
        return Group(head, *of_runs, folds, plain(self.verdict))


def find_side(named: str, runs: str | Path) -> Side:
    """Return the experiment that a person means, and its run.

    Args:
        named: RUN/NAME, RUN as for ``find_run``; or a name alone, which is looked for in the latest run, and where that
            has none such in all others.
        runs: folder of the run folders.

    Raises:
        ConfigError: there is no run.
        StoreError: there is no such experiment, or several have the name.
    """
    for slash in reversed([place for place, letter in enumerate(named) if letter == "/"]):  # a name may have some, too
        if (store := run_named(named[:slash], runs)) is not None:
            return store, find_experiment(store, named[slash + 1 :])
    latest = find_run(None, runs)
    if experiments_named(latest, named):
        return latest, find_experiment(latest, named)
    others = [each for each in list_runs(runs) if each.location != latest.location]
    found = [(store, each) for store in others for each in experiments_named(store, named)]
    if len(found) > 1:
        raise StoreError(f"{named!r} is in several runs. Say which is meant: {', '.join(map(_typed, found))}.")
    return found[0] if found else (latest, find_experiment(latest, named))


def _typed(side: Side) -> str:
    """Return what a person types to mean an experiment of a run."""
    store, experiment = side
    return f"{store.run_id}/{experiment.name}"


def diff_of(first: Side, second: Side) -> ExperimentDiff:
    """Return what differs between two experiments, each of a run.

    Raises:
        StoreError: one of the runs is none, or they are scored by different metrics.
    """
    (store, experiment), (other_store, other) = first, second
    record, other_record = store.known_record(), other_store.known_record()
    if (record.competition, record.metric) != (other_record.competition, other_record.metric):
        raise StoreError(
            f"{other_store.location}: is scored by {other_record.metric} of {other_record.competition}, the other run "
            f"by {record.metric} of {record.competition}: nothing is compared."
        )
    same_run = store.location == other_store.location
    of_runs = () if same_run else store.changes_to(other_record.identity)
    num_folds = max(record.num_folds, other_record.num_folds)
    return ExperimentDiff(
        names=(experiment.name, other.name) if same_run else (_typed(first), _typed(second)),
        metric=record.metric,
        greater_is_better=record.greater_is_better,
        hyperparameters=_changed(experiment.hyperparameters, other.hyperparameters),
        of_runs=tuple(each for each in of_runs if each.what not in ("experiments", "hyperparameters")),
        scores=tuple((_score(store, experiment, fold), _score(other_store, other, fold)) for fold in range(num_folds)),
        why_not_paired=None
        if record.folds_digest == other_record.folds_digest
        else "Their folds are not the same rows, so that the scores are not compared fold by fold.",
    )


def _changed(first: Mapping[str, JsonValue], second: Mapping[str, JsonValue]) -> dict[str, tuple[JsonValue, JsonValue]]:
    names = dict.fromkeys([*first, *second])
    return {name: (first.get(name), second.get(name)) for name in names if first.get(name) != second.get(name)}


def _score(store: RunStore, experiment: Experiment, fold: int) -> float | None:
    result = store.result(Trial(experiment_id=experiment.experiment_id, fold=fold))
    return result.score if result is not None and result.status == "committed" else None


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else canonical_json(value)
