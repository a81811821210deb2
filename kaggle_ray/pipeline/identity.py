"""What an experiment and a run are made of: the one place where their ids come from.

An id is a digest of content. Hyperparameters count where they differ from their defaults, so that a new one changes no
old id. Pixels, tables and labels count, the folder that they lie in does not; so do the source of the competition's
file, its metric, its heads and its submission's format, and the files of weights that a model starts from.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from kaggle_ray.config import Hyperparameters, PredictHyperparameters, Search
from kaggle_ray.config.part import flat_values
from kaggle_ray.config.settings import Settings
from kaggle_ray.store.record import RunIdentity
from kaggle_ray.train.content import Content
from kaggle_ray.types import Experiment, Folds, JsonValue, short_digest

_VERSION = 2
"""Raised whenever a default changes its value, or the same values come to mean something else."""


def experiment_id(hyperparameters: Hyperparameters, content: Content) -> str:
    """Return 12 hex digits over what an experiment computes: the same for the same experiment on the same content."""
    return _digest_of_experiment(hyperparameters, content, digest_of_parent=experiment_id)


def training_id(hyperparameters: Hyperparameters, content: Content) -> str:
    """Return 12 hex digits over what an experiment trains: the same for those that only predict otherwise.

    The parent whose weights it starts from counts by what it trains, too, but a teacher by what it predicts, be it of
    training rows or of the test rows that it labels.
    """
    as_trained = hyperparameters.replace(**flat_values(PredictHyperparameters()))
    teachers = () if hyperparameters.souped else (hyperparameters.teacher, hyperparameters.labeller)
    return short_digest(
        [
            _digest_of_experiment(as_trained, content, digest_of_parent=training_id),
            *(None if teacher is None else experiment_id(teacher, content) for teacher in teachers),
        ]
    )


def _digest_of_experiment(
    hyperparameters: Hyperparameters, content: Content, *, digest_of_parent: Callable[[Hyperparameters, Content], str]
) -> str:
    souped = hyperparameters.souped  # which inherit all else that it would start or learn from
    parent = None if souped else hyperparameters.parent
    teacher = None if souped else hyperparameters.teacher
    labeller = None if souped else hyperparameters.labeller
    by_id = {"init_from", "distill_from", "soup_of"} | ({"pseudolabel_from"} if labeller else set())
    weights = [content.weights[name] for name in hyperparameters.model.weights_files]
    changed = differing(hyperparameters.to_dict(), _defaults())
    return short_digest(
        {
            "version": _VERSION,
            "content": content.parts,
            "hyperparameters": {name: changed[name] for name in changed.keys() - by_id},
            "weights": weights[0] if len(weights) == 1 else weights or None,
            "parent": None if parent is None else digest_of_parent(parent, content),
            "teacher": None if teacher is None else experiment_id(teacher, content),
            **({} if labeller is None else {"labeller": experiment_id(labeller, content)}),
            **({"souped": [digest_of_parent(each, content) for each in souped]} if souped else {}),
        }
    )


def run_id(experiments: Sequence[Experiment], settings: Settings, search: Search | None, content: Content) -> str:
    """Return 8 hex digits over what a run computes, and how: the name of a run that the user gave none.

    Ids of experiments are made of the content; what a search proposes has none yet, so that the content itself counts.
    """
    parts: list[JsonValue] = [[each.experiment_id for each in experiments], dataclasses.asdict(settings)]
    if search is not None:
        parts += [{"version": _VERSION, "search": dataclasses.asdict(search), "content": content.to_json()}]
    return short_digest(parts, num_hex=8)


def identity_of(
    competition: str,
    experiments: Sequence[Experiment],
    folds: Folds,
    settings: Settings,
    content: Content,
    search: Search | None,
) -> RunIdentity:
    """Return what has to be the same whenever a run is resumed."""
    return RunIdentity(
        competition=competition,
        experiments=tuple(experiments),
        folds_digest=folds.digest,
        settings=settings,
        content=content.to_json(),
        search=search,
    )


@cache
def _defaults() -> Mapping[str, JsonValue]:
    return Hyperparameters().to_dict()


def differing(values: Mapping[str, JsonValue], defaults: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the ``values`` that are not their defaults."""
    return {name: value for name, value in values.items() if name not in defaults or value != defaults[name]}
