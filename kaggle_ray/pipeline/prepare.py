"""The beginning of a run: what would fail after hours is looked at, and what is to be done is written down."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

from kaggle_ray.cache.folder import default_cache_dir
from kaggle_ray.combine.suits import check_suits
from kaggle_ray.config import parse_hyperparameters
from kaggle_ray.counted import counted
from kaggle_ray.data.baseline import check_directions, mixed_predictions
from kaggle_ray.data.folds_csv import folds_to_csv
from kaggle_ray.data.given_folds import torn_groups
from kaggle_ray.data.samples import Samples
from kaggle_ray.data.table import beyond_training, idle_columns, remarks_on_cut, remarks_on_missing
from kaggle_ray.errors import DataError, NothingToSubmitError
from kaggle_ray.images.datasets import open_target, unreadable_of
from kaggle_ray.pipeline.earlier_runs import earlier_run
from kaggle_ray.pipeline.further_fits import check_out_of_fold, further_fits
from kaggle_ray.pipeline.options import default_launcher
from kaggle_ray.pipeline.own_code import remember
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.pipeline.provenance import provenance
from kaggle_ray.reporters.events import RunWarned
from kaggle_ray.rows import Rows, select_rows
from kaggle_ray.store.opening import open_run
from kaggle_ray.store.run import RunStore
from kaggle_ray.submission.submit import REHEARSED_MASKS
from kaggle_ray.types import Experiment, JsonValue


def check_plan(plan: RunPlan) -> tuple[Rows, int]:
    """Check what a run of ``plan`` would stop at before it trains; return its target, and the masks decoded for it now.

    Raises:
        ConfigError: a model, recipe or loss is unknown, or does not fit.
        NothingToSubmitError: no experiment can get an honest score.
        DataError: the metric and the target contradict each other, masks do not decode, or the way to ensemble is for
            predictions of another kind.
    """
    check_proven(plan)
    if not plan.is_fast_dev:  # which finds it in seconds, and whose breakpoints are to stop at a batch, not at a check
        check_models(plan)
    target, num_decoded = open_target(plan.competition, plan.samples, default_cache_dir())
    check_directions(plan.competition.heads, target)
    check_ensemble(plan, target)
    return target, num_decoded


def check_ensemble(plan: RunPlan, target: Rows) -> None:
    """Raise DataError where the way to ensemble that is named is for predictions of another kind.

    Args:
        plan: of the run.
        target: (N,) or (N, T) of all training rows.
    """
    few = select_rows(target, plan.folds.scored_rows()[: REHEARSED_MASKS if plan.competition.is_segmentation else None])
    made_up = mixed_predictions(plan.competition.heads, few)
    check_suits(plan.options.ensemble, {"made up": made_up}, few, plan.competition.metric)


def rehearse(plan: RunPlan) -> None:
    """Do for ``--dry-run`` what a run does before it trains, and write nothing of it.

    Raises:
        KaggleRayError: as ``check_plan``; the sample submission is not what would be written, or images do not decode.
    """
    target, _ = check_plan(plan)
    plan.submitter(open_run(plan.location)).rehearse(plan.folds, target)
    unreadable = unreadable_of(plan.competition, plan.samples, default_cache_dir())
    if unreadable:
        raise DataError(
            f"{counted(len(unreadable), 'image')} cannot be decoded: {' '.join(list(unreadable.values())[:5])} "
            "Replace them, or leave them out with --skip-unreadable."
        )


def check_models(plan: RunPlan) -> None:
    """Raise ConfigError for an unknown model, recipe or loss before it is written down, let alone trained for hours.

    A run that was begun has passed; torch, which knows the models, is not imported for it.
    """
    if open_run(plan.location).record() is not None:
        return
    from kaggle_ray.images.augment import check_recipe
    from kaggle_ray.models import check_model
    from kaggle_ray.pipeline.applicable import check_applicable
    from kaggle_ray.train.constraints import make_constraint
    from kaggle_ray.train.fold_data import shapes_of
    from kaggle_ray.train.losses import check_distillation, check_loss
    from kaggle_ray.train.losses.auxiliary import split_by_head
    from kaggle_ray.train.optimizers import check_optimizer
    from kaggle_ray.train.pseudolabels import check_pseudolabels
    from kaggle_ray.train.sampling import check_samplable
    from kaggle_ray.train.schedules import check_schedule

    competition, shapes = plan.competition, shapes_of(plan.competition, plan.samples)
    checked: list[tuple[object, ...]] = []
    for experiment in plan.examples:
        hyperparameters = parse_hyperparameters(experiment.hyperparameters, where=experiment.name)
        check_applicable(
            hyperparameters,
            competition.heads,
            auxiliary_heads=competition.auxiliary_heads,
            has_table=shapes.num_table_columns > 0,
            varies=plan.samples.varies,
        )
        check_samplable(
            hyperparameters.training.sampler, competition.heads, has_weights=plan.samples.train_weights is not None
        )
        check_recipe(hyperparameters.images.augment)
        check_distillation(competition.heads, hyperparameters.loss)
        check_out_of_fold(hyperparameters, plan.folds)
        check_pseudolabels(competition.heads, hyperparameters.pseudolabels)
        for heads, loss in zip(
            (competition.heads, competition.auxiliary_heads),
            split_by_head(hyperparameters.loss, competition.auxiliary_heads),
            strict=True,
        ):
            check_loss(loss.name, loss.args, heads)
        check_optimizer(hyperparameters.optimizer)
        check_schedule(hyperparameters.schedule)
        make_constraint(hyperparameters.optimizer.constraint, hyperparameters.optimizer.constraint_args)
        heights = {hyperparameters.size_at(1), *hyperparameters.predict.heights(hyperparameters.images)}
        sides = sorted(hyperparameters.images.sides(height) for height in heights)
        model = hyperparameters.model
        asked = (replace(model, init_from={}, freeze_epochs=0, freeze="none"), sides)
        if asked not in checked:  # experiments that differ in how they train ask the same of a model
            check_model(
                model.name,
                model_args=model.args,
                head=model.head,
                fuse=model.fuse,
                pretrained=model.pretrained,
                freeze_stages=model.freeze_stages,
                freeze_names=model.freeze_names.split(),
                gradient_checkpointing=model.gradient_checkpointing,
                sides=sides,
                shapes=shapes,
            )
            checked.append(asked)


def check_proven(plan: RunPlan) -> None:
    """Raise NothingToSubmitError where no experiment can get an honest score, and none is admitted without one."""
    unproven = _unproven(plan)
    if len(unproven) == len(plan.examples) and not plan.options.admit_unproven and plan.stop_at is None:
        raise NothingToSubmitError(f"nothing would be submitted: {why_unproven(unproven)}")


def why_unproven(experiments: Sequence[Experiment]) -> str:
    """Return in two sentences why experiments have no honest score, and what to do about it."""
    reasons = [parse_hyperparameters(each.hyperparameters, where=each.name).why_unproven for each in experiments]
    named = dict.fromkeys(reason or "the rows that are scored had a say in its weights" for reason in reasons)
    return (
        f"{counted(len(experiments), 'experiment has', 'experiments have')} no honest score: {'; '.join(named)}. "
        f"--admit-unproven submits them, without an honest score."
    )


def _unproven(plan: RunPlan) -> list[Experiment]:
    return [
        experiment
        for experiment in plan.examples
        if parse_hyperparameters(experiment.hyperparameters, where=experiment.name).why_unproven is not None
    ]


def prepare(plan: RunPlan, command: Sequence[str] | None) -> tuple[RunStore, list[RunWarned]]:
    """Return the run's store, with the run written down in it, and what a person should know of its data.

    Raises:
        RunMismatchError: the folder is another run's.
    """
    store, files, folds_csv = open_run(plan.location), plan.content.files, folds_to_csv(plan.folds)
    facts: dict[str, JsonValue] = {
        "run_id": plan.run_id,
        "classes": list(plan.competition.classes),
        "classes_of_heads": {head.name: list(head.classes) for head in plan.competition.heads},
        "table_columns": list(table.columns) if (table := plan.samples.test_table) else None,
        "metric": plan.competition.metric.name,
        "greater_is_better": plan.competition.metric.greater_is_better,
        "num_folds": plan.folds.num_folds,
        "competition_file": str(plan.competition_file),
        "data": plan.data,
        "fast_dev": plan.is_fast_dev,
        "folds_csv_sha256": hashlib.sha256(folds_csv.encode()).hexdigest(),
        **provenance(command),
    }
    remember(plan.competition_file, default_cache_dir())
    warnings: list[RunWarned] = []
    is_new = store.record() is None and not plan.is_fast_dev
    if is_new and (earlier := earlier_run(plan.options.runs, plan.identity, files)):
        other, what = earlier.words()
        text = f"run {plan.run_id} is a new one: since run {other} something has changed: {what}"
        warnings.append(RunWarned(topic="changed_since_earlier_run", text=text))
        facts["differs_from"] = earlier.to_json()
    record = store.begin(plan.identity, facts, files)
    if asdict(record.code) != facts["code"]:
        text = f"run {plan.run_id} was started with another version of the code (see run.json)"
        warnings.append(RunWarned(topic="other_code", text=text))
    if plan.unreadable or plan.options.skip_unreadable:
        store.save_unreadable(plan.unreadable)
    if plan.near_duplicates.groups:
        store.save_near_duplicates(plan.near_duplicates.to_json())
    store.save_reading(plan.reading.to_json())
    store.save_folds_csv(folds_csv)
    for experiment in plan.experiments:
        store.save_experiment(experiment)
    known = store.labels()
    for experiment_id, label in plan.labels.items():
        if experiment_id not in known:  # what a person has said since stays
            store.label(experiment_id, name=label.name, notes=label.notes)
    if plan.options.launcher == default_launcher() == "local" and not plan.is_fast_dev:
        text = "one trial runs after the other, as Ray is not installed: pip install 'kaggle-ray[ray]' for more at once"
        warnings.append(RunWarned(topic="no_ray", text=text))
    if fits := sum(further_fits(plan.examples, plan.folds.num_folds).values()):
        how_often = f"{counted(fits, 'time')} more"
        text = f"teachers are fitted {how_often}, each without two folds: they answer for rows they have not seen"
        warnings.append(RunWarned(topic="further_fits", text=text))
    if (unproven := _unproven(plan)) and not plan.options.admit_unproven:
        warnings.append(RunWarned(topic="unproven", text=f"left out of the ensemble: {why_unproven(unproven)}"))
    return store, [*warnings, *_warnings_of_data(plan)]


def _warnings_of_rows_to_predict(samples: Samples) -> Iterator[RunWarned]:
    train, test, names = samples.train_table, samples.test_table, samples.test_ids.tolist()
    if train is None or test is None:
        return
    remarks = remarks_on_cut(test.columns, test.values, beyond_training(train, test), names)
    remarks += remarks_on_missing(train, test, names)
    if remarks:
        yield RunWarned(topic="table_to_predict", text="; ".join(remarks))


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
