"""What is to be added to a run that is over, and why some of it cannot be: looked at before anything is predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from kaggle_ray.config import Hyperparameters, parse_hyperparameters
from kaggle_ray.counted import counted
from kaggle_ray.errors import ConfigError, NothingToSubmitError, RunMismatchError
from kaggle_ray.given import HyperparameterValue
from kaggle_ray.models.check import check_sides
from kaggle_ray.pipeline.added import Addition, has_weights
from kaggle_ray.pipeline.applicable import check_applicable
from kaggle_ray.pipeline.identity import experiment_id
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.pipeline.trainable import check_training
from kaggle_ray.pool.gather import missing_folds
from kaggle_ray.store.run import RunStore
from kaggle_ray.train.fold_data import shapes_of
from kaggle_ray.types import Experiment, JsonValue


def additions(
    plan: RunPlan, store: RunStore, wanted: Sequence[Experiment], tta: Sequence[str]
) -> tuple[list[Addition], dict[str, str]]:
    """Return what is to be added to a run, and name -> why of those that cannot be, or are there already.

    Args:
        plan: of the run, resumed.
        store: of the run.
        wanted: experiments of it.
        tta: what they are to predict with, each.

    Raises:
        ConfigError: there is no such test-time augmentation, or it does not go with the competition.
        RunMismatchError: an experiment is not what its id says.
    """
    found: list[Addition] = []
    left_out: dict[str, str] = {}
    added = {each.experiment_id for each in store.added()}
    own = {each.experiment_id for each in store.experiments()} - added
    for experiment in wanted:
        source, why_not = _source_of_weights(plan, store, experiment)
        if source is None:
            left_out[experiment.name] = why_not
            continue
        for each in tta:
            made = _made(plan, experiment, source, each)
            if made.experiment_id == experiment.experiment_id:
                left_out[made.name] = f"it is {experiment.name} itself"
            elif made.experiment_id in own:
                left_out[made.name] = "the run has it already"
            else:
                found.append(Addition(of=experiment, experiment=made))
    _check_names(store, found)
    return found, left_out


def soup_addition(plan: RunPlan, store: RunStore, wanted: Sequence[Experiment], method: str) -> Addition:
    """Return the soup that is to be added to a run.

    Args:
        plan: of the run, resumed.
        store: of the run.
        wanted: experiments of it whose weights are averaged.
        method: greedy or uniform.

    Raises:
        ConfigError: their weights have no mean, or there are no rows that a greedy soup could be chosen by.
        NothingToSubmitError: weights are gone, or the run has the soup already.
        RunMismatchError: an experiment is not what its id says.
    """
    if len(wanted) < 2:
        raise ConfigError(f"{store.location}: expected at least two experiments to average, got {len(wanted)}.")
    parsed = [_as_it_was(plan, experiment) for experiment in wanted]
    for experiment in wanted:
        _check_is_whole(plan, store, experiment)
    first = parsed[0]
    soup = first.replace(soup_of=[_differences(each, first) for each in parsed], soup=method)
    if souped := soup.souped:
        assert souped == tuple(parsed), "a soup is of the experiments that it was made of"
    made = replace(
        wanted[0],
        experiment_id=experiment_id(soup, plan.content),
        name=f"{method} soup of {' and '.join(each.name for each in wanted)}",
        hyperparameters=soup.to_dict(),
        parent_id=None,
        teacher_id=None,
        labeller_id=None,
        weights_of=None,
        soup_ids=tuple(each.experiment_id for each in wanted),
    )
    added = {each.experiment_id for each in store.added()}
    if made.experiment_id in {each.experiment_id for each in store.experiments()} - added:
        raise NothingToSubmitError(f"{store.location}: the run has this soup already: {made.name}.")
    _check_names(store, [Addition(of=wanted[0], experiment=made)])
    return Addition(of=wanted[0], experiment=made)


def further_addition(
    plan: RunPlan, store: RunStore, wanted: Experiment, *, epochs: int, overrides: Mapping[str, HyperparameterValue]
) -> Addition:
    """Return the experiment that trains another one on, which is to be added to a run.

    Args:
        plan: of the run, resumed.
        store: of the run.
        wanted: experiment of it.
        epochs: how many more.
        overrides: hyperparameters that these have others of.

    Raises:
        ConfigError: the hyperparameters are none that it could be trained on by.
        NothingToSubmitError: weights are gone, or the run has the experiment already.
        RunMismatchError: the experiment is not what its id says.
    """
    parent = _as_it_was(plan, wanted)
    _check_is_whole(plan, store, wanted)
    further = parent.replace(**{**overrides, "epochs": epochs, "init_from": {}})
    _check_trains_on(parent, further)
    since = {**_differences(parent, further), **({"init_from": parent.to_dict()["init_from"]} if parent.parent else {})}
    further = further.replace(init_from=since)
    check_training(further, plan)
    assert further.parent == parent, "it is trained on from the experiment that was named"
    values = further.to_dict()
    changed = [f"{name}={values[name]}" for name in overrides]
    made = replace(
        wanted,
        experiment_id=experiment_id(further, plan.content),
        name=" ".join([wanted.name, f"+{counted(epochs, 'epoch')}", *changed]),
        hyperparameters=further.to_dict(),
        parent_id=wanted.experiment_id,
        weights_of=None,
        soup_ids=(),
    )
    added = {each.experiment_id for each in store.added()}
    if made.experiment_id in {each.experiment_id for each in store.experiments()} - added:
        raise NothingToSubmitError(f"{store.location}: the run has this experiment already: {made.name}.")
    addition = Addition(of=wanted, experiment=made)
    _check_names(store, [addition])
    return addition


def _check_trains_on(parent: Hyperparameters, further: Hyperparameters) -> None:
    """Raise ConfigError where ``further`` is not of the same network and images, or learns from others."""
    if parent.teacher is not None or parent.labeller is not None or parent.souped:
        raise ConfigError(
            "train on: the experiment learns from others, so that what it is trained on with would have to be trained "
            "anew. Run it with init_from, in a space that has both."
        )
    for name in ("model", "model_args", "head", "fuse", "image_size", "aspect"):
        before, now = (each.to_dict()[name] for each in (parent, further))
        if before != now:
            raise ConfigError(
                f"train on: {name}: expected {before!r}, as the weights are of it, got {now!r}. Run it with init_from, "
                f"in a space that has both."
            )
    if further == parent.replace(init_from={}):
        raise ConfigError(
            f"train on: expected another number of epochs than its own, {parent.training.epochs}, or another value, "
            "so that both can be told apart. Set one, such as --set lr=1e-4."
        )


def _check_is_whole(plan: RunPlan, store: RunStore, experiment: Experiment) -> None:
    """Raise NothingToSubmitError where folds of an experiment lack, or their weights are gone."""
    source, why_not = _source_of_weights(plan, store, experiment)
    if source is None:
        raise NothingToSubmitError(f"{store.location}: {experiment.name}: {why_not}.")
    if source.experiment_id != experiment.experiment_id:
        raise NothingToSubmitError(
            f"{store.location}: {experiment.name} is trained as {source.name} is, which has the weights: name that one."
        )


def _differences(hyperparameters: Hyperparameters, other: Hyperparameters) -> dict[str, JsonValue]:
    values, others = hyperparameters.to_dict(), other.to_dict()
    return {name: value for name, value in values.items() if value != others[name] or (name == "keep_epochs" and value)}


def _as_it_was(plan: RunPlan, experiment: Experiment) -> Hyperparameters:
    """Return an experiment's hyperparameters. Raises RunMismatchError where they are not what its id says."""
    hyperparameters = parse_hyperparameters(experiment.hyperparameters, where=experiment.name)
    if (now := experiment_id(hyperparameters, plan.content)) != experiment.experiment_id:
        raise RunMismatchError(
            f"{plan.location}: experiment {experiment.experiment_id} would be {now} now: what it is of has changed."
        )
    return hyperparameters


def _check_names(store: RunStore, found: Sequence[Addition]) -> None:
    """Raise ConfigError where two experiments would have one name: tables and the report tell them apart by it."""
    id_of = {each.name: each.experiment_id for each in store.unlabelled_experiments()}
    for each in (addition.experiment for addition in found):
        if id_of.setdefault(each.name, each.experiment_id) != each.experiment_id:
            raise ConfigError(
                f"{store.location}: an experiment is called {each.name!r} already: expected a name of its own. Give "
                f"one of both another by kaggle-ray label."
            )


def _source_of_weights(plan: RunPlan, store: RunStore, experiment: Experiment) -> tuple[Experiment | None, str]:
    """Return the experiment that was trained just so and has the weights of all folds; None, and why there is none."""
    if lacking := missing_folds(store, plan.folds, experiment):
        return None, f"it lacks {_folds(lacking)}"
    root = experiment.weights_of or experiment.experiment_id
    twins = [each for each in store.experiments() if root in (each.experiment_id, each.weights_of)]
    gone: tuple[int, ...] = ()
    for twin in sorted(twins, key=lambda each: each.experiment_id != experiment.experiment_id):  # itself first
        as_source = replace(experiment, weights_of=twin.experiment_id)
        folds = tuple(f for f in range(plan.folds.num_folds) if not has_weights(store, as_source, f))
        if not folds:
            return twin, ""
        gone = gone or folds
    return None, (
        f"the weights of {_folds(gone)} are gone: a run that is complete keeps those of its ensembles' members. Remove "
        f"{store.location}/trials/{root} and run the command of the run again to train it anew"
    )


def _made(plan: RunPlan, experiment: Experiment, source: Experiment, tta: str) -> Experiment:
    """Return the experiment that ``tta`` makes of another one, after a look whether it can be predicted."""
    hyperparameters = _as_it_was(plan, experiment)
    otherwise = hyperparameters.replace(tta=tta)
    competition, shapes = plan.competition, shapes_of(plan.competition, plan.samples)
    check_applicable(
        otherwise,
        competition.heads,
        auxiliary_heads=competition.auxiliary_heads,
        has_table=shapes.num_table_columns > 0,
    )
    model, images = otherwise.model, otherwise.images
    check_sides(
        model.name,
        shapes,
        [images.sides(height) for height in otherwise.predict.heights(images)],
        model_args=model.args,
        head=model.head,
        fuse=model.fuse,
    )
    words = [word for word in experiment.name.split(" ") if not word.startswith("tta=")]
    return replace(
        experiment,
        experiment_id=experiment_id(otherwise, plan.content),
        name=" ".join([*words, f"tta={tta}"]),
        hyperparameters=otherwise.to_dict(),
        weights_of=source.experiment_id,
    )


def _folds(folds: Sequence[int]) -> str:
    return f"fold{'s' if len(folds) > 1 else ''} {', '.join(map(str, folds))}"
