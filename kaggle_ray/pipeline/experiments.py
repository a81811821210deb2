"""Experiments: hyperparameters with an id, and with a name that tells them apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TypedDict

from kaggle_ray.config import HYPERPARAMETER_NAMES, Hyperparameters, Search
from kaggle_ray.config.space import Texts
from kaggle_ray.errors import ConfigError
from kaggle_ray.pipeline.identity import experiment_id, training_id
from kaggle_ray.store.labels import Label, check_label
from kaggle_ray.train.content import Content
from kaggle_ray.types import Experiment, JsonValue

_LONGEST_NAME = 64
"""Letters of the longest name that says all in which its experiment differs from the others."""
_CHANGES_NOTHING = ("keep_epochs",)
"""Hyperparameters of what is kept of a training, which is the same without them."""


def make_experiments(hyperparameter_sets: Sequence[Hyperparameters], content: Content) -> tuple[Experiment, ...]:
    """Return the experiments of ``hyperparameter_sets`` on ``content``, named by what tells them apart."""
    dicts = [hyperparameters.to_dict() for hyperparameters in hyperparameter_sets]
    return tuple(
        Experiment(
            experiment_id=experiment_id(hyperparameters, content),
            name=name,
            hyperparameters=values,
            weights_of=weights_of,
            **_needed(hyperparameters, content),
        )
        for hyperparameters, name, values, weights_of in zip(
            hyperparameter_sets,
            _names(hyperparameter_sets),
            dicts,
            _trained_by(hyperparameter_sets, content),
            strict=True,
        )
    )


def labels_of(
    experiments: Sequence[Experiment],
    hyperparameter_sets: Sequence[Hyperparameters],
    texts: Sequence[tuple[Hyperparameters, Texts]],
) -> dict[str, Label]:
    """Return experiment id -> the name and notes that a space has of it.

    Args:
        experiments: of a run.
        hyperparameter_sets: of each of them.
        texts: names and notes of some of these.

    Raises:
        ConfigError: a name is that of another experiment, or none that a line can have.
    """
    labels: dict[str, Label] = {}
    said: dict[Hyperparameters, list[Label]] = {}
    for hyperparameters, of_point in texts:
        said.setdefault(hyperparameters, []).append(Label(**of_point))
    for experiment, hyperparameters in zip(experiments, hyperparameter_sets, strict=True):
        of_it = said.get(hyperparameters, [])
        if of_it:
            labels[experiment.experiment_id] = of_it[0]
            check_label(experiments, labels, experiment.experiment_id)
        if any(label != of_it[0] for label in of_it):
            raise ConfigError(f"experiment {experiment.name}: the space has it twice, by different names or notes.")
    return labels


def maker_of_proposed(search: Search, content: Content) -> Callable[[Hyperparameters], Experiment]:
    """Return what makes an experiment of hyperparameters that a search proposes, named by all that it varies.

    Each is trained itself, even where another that predicts otherwise is trained alike: that one may be stopped.
    """
    varying = _varying(search.extremes)

    def make(hyperparameters: Hyperparameters) -> Experiment:
        (sized,) = at_own_sizes([hyperparameters])
        return Experiment(
            experiment_id=experiment_id(sized, content), name=_name(sized, varying), hyperparameters=sized.to_dict()
        )

    return make


def at_own_sizes(hyperparameter_sets: Sequence[Hyperparameters]) -> list[Hyperparameters]:
    """Return the experiments with a number for each ``image_size`` of 0, without duplicates.

    Ids and the cache see numbers only. torch, which knows the models, is imported only where there is one.
    """
    sized: dict[Hyperparameters, None] = {}
    for hyperparameters in hyperparameter_sets:
        if not hyperparameters.images.image_size:
            from kaggle_ray.models import input_size

            own_size = input_size(hyperparameters.model.name, hyperparameters.model.args)
            hyperparameters = hyperparameters.replace(image_size=own_size)
        sized[hyperparameters] = None
    return list(sized)


def _varying(hyperparameter_sets: Sequence[Hyperparameters]) -> list[str]:
    """Return what tells experiments apart, beside the model."""
    flat = [_flatten(hyperparameters) for hyperparameters in hyperparameter_sets]
    keys = sorted({key for values in flat for key in values} - {"model"})
    return [key for key in keys if any(values.get(key) != flat[0].get(key) for values in flat)]


def _names(hyperparameter_sets: Sequence[Hyperparameters]) -> list[str]:
    """Return a name for each: all that varies, or where that is long no more of it than tells them apart.

    What changes nothing of what an experiment learns names it where nothing else tells it from another.
    """
    varying = _varying(hyperparameter_sets)
    telling = [key for key in varying if key not in _CHANGES_NOTHING]
    names = [_name(hyperparameters, telling) for hyperparameters in hyperparameter_sets]
    num_called = Counter(names)
    names = [
        _name(hyperparameters, telling if num_called[name] == 1 else varying)
        for hyperparameters, name in zip(hyperparameter_sets, names, strict=True)
    ]
    if max(map(len, names), default=0) <= _LONGEST_NAME:
        return names
    fewest = _fewest(hyperparameter_sets, varying)
    return [_name(hyperparameters, fewest) for hyperparameters in hyperparameter_sets]


def _fewest(hyperparameter_sets: Sequence[Hyperparameters], varying: Sequence[str]) -> list[str]:
    """Return hyperparameters that tell experiments apart: each time the one that most differ by, the first of equals.

    Those of the network come first, then those of images, training and the optimizer, as ``Hyperparameters`` has them.
    """
    flat = [_flatten(hyperparameters) for hyperparameters in hyperparameter_sets]
    in_order = [key for key in dict.fromkeys(key for values in flat for key in values) if key in varying]

    def num_told_apart(keys: Sequence[str]) -> int:
        return len({repr([values.get(key) for key in ("model", *keys)]) for values in flat})

    chosen: list[str] = []
    while num_told_apart(chosen) < num_told_apart(varying):
        left = [key for key in in_order if key not in chosen]
        chosen.append(max(left, key=lambda key: num_told_apart([*chosen, key])))
    return sorted(chosen)


def _name(hyperparameters: Hyperparameters, varying: Sequence[str]) -> str:
    known = _flatten(hyperparameters)
    return " ".join([hyperparameters.model.name, *(f"{key}={known[key]}" for key in varying if key in known)])


def _trained_by(hyperparameter_sets: Sequence[Hyperparameters], content: Content) -> Iterator[str | None]:
    """Yield for each experiment the id of the first that is trained just as it is, None for the first itself."""
    first: dict[str, str] = {}
    for hyperparameters in hyperparameter_sets:
        trained = training_id(hyperparameters, content)
        yield first.get(trained)
        first.setdefault(trained, experiment_id(hyperparameters, content))


class _Needed(TypedDict, total=False):
    """The experiments that have to be there first, as ``Experiment`` names them."""

    parent_id: str | None
    teacher_id: str | None
    labeller_id: str | None
    soup_ids: tuple[str, ...]


def _needed(hyperparameters: Hyperparameters, content: Content) -> _Needed:
    if souped := hyperparameters.souped:
        return {"soup_ids": tuple(experiment_id(each, content) for each in souped)}
    return {
        "parent_id": _id_of(hyperparameters.parent, content),
        "teacher_id": _id_of(hyperparameters.teacher, content),
        "labeller_id": _id_of(hyperparameters.labeller, content),
    }


def _id_of(hyperparameters: Hyperparameters | None, content: Content) -> str | None:
    return None if hyperparameters is None else experiment_id(hyperparameters, content)


def _flatten(hyperparameters: Hyperparameters) -> dict[str, JsonValue]:
    """Return hyperparameters with the model's arguments among them; one of a hyperparameter's name gets a prefix."""
    values, arguments = hyperparameters.to_dict(), hyperparameters.model.args.items()
    named = {f"model_args.{name}" if name in HYPERPARAMETER_NAMES else name: value for name, value in arguments}
    return {**{name: value for name, value in values.items() if name != "model_args"}, **named}
