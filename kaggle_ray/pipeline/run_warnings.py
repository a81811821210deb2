"""What a person should know of a run that begins: of its experiments, and of its data."""

from __future__ import annotations

from collections.abc import Iterator

from kaggle_ray.config import parse_hyperparameters
from kaggle_ray.counted import counted
from kaggle_ray.data.given_folds import torn_groups
from kaggle_ray.data.samples import Samples
from kaggle_ray.data.table import beyond_training, idle_columns, remarks_on_cut, remarks_on_missing
from kaggle_ray.pipeline.checks import unproven_experiments, why_unproven
from kaggle_ray.pipeline.further_fits import further_fits
from kaggle_ray.pipeline.idle_options import idle_of_tables
from kaggle_ray.pipeline.options import default_launcher
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.reporters.events import RunWarned


def warnings_of(plan: RunPlan) -> Iterator[RunWarned]:
    """Yield what there is to know of a plan."""
    yield from _warnings_of_experiments(plan)
    yield from _warnings_of_data(plan)


def _warnings_of_experiments(plan: RunPlan) -> Iterator[RunWarned]:
    if plan.options.launcher == default_launcher() == "local" and not plan.is_fast_dev:
        text = "one trial runs after the other, as Ray is not installed: pip install 'kaggle-ray[ray]' for more at once"
        yield RunWarned(topic="no_ray", text=text)
    if fits := sum(further_fits(plan.examples, plan.folds.num_folds).values()):
        how_often = f"{counted(fits, 'time')} more"
        text = f"teachers are fitted {how_often}, each without two folds: they answer for rows they have not seen"
        yield RunWarned(topic="further_fits", text=text)
    if idle := idle_of_tables([parse_hyperparameters(of.hyperparameters, where=of.name) for of in plan.examples]):
        text = f"{', '.join(idle)}: change nothing of the experiments that have it, as their models see the table alone"
        yield RunWarned(topic="idle_options", text=text)
    if (unproven := unproven_experiments(plan)) and not plan.options.admit_unproven:
        yield RunWarned(topic="unproven", text=f"left out of the ensemble: {why_unproven(unproven)}")


def _warnings_of_data(plan: RunPlan) -> Iterator[RunWarned]:
    if plan.unreadable:
        names = ", ".join(list(plan.unreadable)[:5])
        text = f"{counted(len(plan.unreadable), 'file')} cannot be read, left out: {names} (see unreadable.json)"
        yield RunWarned(topic="unreadable_files", text=text)
    if plan.samples.train_table is not None and (idle := idle_columns(plan.samples.train_table)):
        text = f"the table's columns {', '.join(idle[:5])} are empty, or the same in every training row"
        yield RunWarned(topic="idle_columns", text=text)
    yield from _warnings_of_rows_to_predict(plan.samples)
    if plan.reading.remarks:
        text = f"{'; '.join(plan.reading.remarks)} (see reading.json, and kaggle-ray show)"
        yield RunWarned(topic="reading", text=text)
    is_given = plan.competition.folds.kind == "given"
    if is_given and (torn := torn_groups(plan.near_duplicates, plan.folds)):
        text = (
            f"the given folds tear {counted(len(torn), 'group')} of near-duplicate images apart, such as "
            f"{', '.join(torn[0][:5])}: models are scored on what they were trained on (see near_duplicates.json)"
        )
        yield RunWarned(topic="near_duplicates", text=text)
    elif plan.near_duplicates.groups:
        text = f"near-duplicate images: {plan.near_duplicates.summary()} (see near_duplicates.json)"
        yield RunWarned(topic="near_duplicates", text=text)
    elif plan.options.ignore_near_duplicates:
        text = "near-duplicate images were not looked for: where two folds share some, every score is too good"
        yield RunWarned(topic="near_duplicates", text=text)


def _warnings_of_rows_to_predict(samples: Samples) -> Iterator[RunWarned]:
    train, test, names = samples.train_table, samples.test_table, samples.test_ids.tolist()
    if train is None or test is None:
        return
    remarks = remarks_on_cut(test.columns, test.values, beyond_training(train, test), names)
    remarks += remarks_on_missing(train, test, names)
    if remarks:
        yield RunWarned(topic="table_to_predict", text="; ".join(remarks))
