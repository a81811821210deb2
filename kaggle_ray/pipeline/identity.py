"""What an experiment and a run are made of: the one place where their ids come from.

An id is a digest of content. Hyperparameters count where they differ from their defaults, so that a new one changes no
old id. Pixels, tables and labels count, the folder that they lie in does not; so do the source of the competition's
file, its metric, its heads and its submission's format, and the files of weights that a model starts from.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kaggle_ray.cache.folder import written_cache
from kaggle_ray.config import Hyperparameters, PredictHyperparameters
from kaggle_ray.config.part import flat_values
from kaggle_ray.config.settings import Settings
from kaggle_ray.config.sources import source_digests
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.duplicate_groups import NearDuplicates
from kaggle_ray.data.samples import Samples
from kaggle_ray.data.table import Table
from kaggle_ray.images.fingerprints import content_digests
from kaggle_ray.store.record import RunIdentity
from kaggle_ray.types import Experiment, Folds, JsonValue, short_digest

_VERSION = 1
"""Raised whenever a default changes its value, or the same values come to mean something else."""
_FILE_HEX = 16
"""Hex digits that are kept of a file's sha256, to tell which files have changed."""
_READERS = ("read", "prepare", "resolve", "default_space")
"""Functions of a competition: what they return counts, and their source does with that of the file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """What the trials of a run are computed from, besides their hyperparameters and settings."""

    parts: Mapping[str, JsonValue] = field(default_factory=dict)
    """What a person calls a part of it -> its digest, or the values that it consists of; see ``content_of``."""
    weights: Mapping[str, str | None] = field(default_factory=dict)
    """File or address of pretrained weights -> its sha256; None where there is no such file."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Image or mask, relative to the data folder -> the first digits of its sha256."""

    def to_json(self) -> dict[str, JsonValue]:
        """Return what run.json keeps of it, to tell on a resume what has changed."""
        return {**self.parts, "weights": dict(self.weights)}


def experiment_id(hyperparameters: Hyperparameters, content: Content) -> str:
    """Return 12 hex digits over what an experiment computes: the same for the same experiment on the same content."""
    return _digest_of_experiment(hyperparameters, content, digest_of_parent=experiment_id)


def training_id(hyperparameters: Hyperparameters, content: Content) -> str:
    """Return 12 hex digits over what an experiment trains: the same for those that only predict otherwise.

    The parent whose weights it starts from counts by what it trains, too, but a teacher by what it predicts.
    """
    as_trained = hyperparameters.replace(**flat_values(PredictHyperparameters()))
    teacher = hyperparameters.teacher
    return short_digest(
        [
            _digest_of_experiment(as_trained, content, digest_of_parent=training_id),
            None if teacher is None else experiment_id(teacher, content),
        ]
    )


def _digest_of_experiment(
    hyperparameters: Hyperparameters, content: Content, *, digest_of_parent: Callable[[Hyperparameters, Content], str]
) -> str:
    parent, teacher = hyperparameters.parent, hyperparameters.teacher
    weights = [content.weights[name] for name in hyperparameters.model.foreign_weights]
    changed = differing(hyperparameters.to_dict(), Hyperparameters().to_dict())
    return short_digest(
        {
            "version": _VERSION,
            "content": content.parts,
            "hyperparameters": {name: changed[name] for name in changed.keys() - {"init_from", "distill_from"}},
            "weights": weights[0] if len(weights) == 1 else weights or None,
            "parent": None if parent is None else digest_of_parent(parent, content),
            "teacher": None if teacher is None else experiment_id(teacher, content),
        }
    )


def run_id(experiments: Sequence[Experiment], settings: Settings) -> str:
    """Return 8 hex digits over what a run computes, and how: the name of a run that the user gave none."""
    ids = [experiment.experiment_id for experiment in experiments]
    return short_digest([ids, dataclasses.asdict(settings)], num_hex=8)


def identity_of(
    competition: str, experiments: Sequence[Experiment], folds: Folds, settings: Settings, content: Content
) -> RunIdentity:
    """Return what has to be the same whenever a run is resumed."""
    return RunIdentity(
        competition=competition,
        experiments=tuple(experiments),
        folds_digest=folds.digest,
        settings=settings,
        content=content.to_json(),
    )


def differing(values: Mapping[str, JsonValue], defaults: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the ``values`` that are not their defaults."""
    return {name: value for name, value in values.items() if name not in defaults or value != defaults[name]}


def content_of(
    competition: Competition,
    competition_file: Path,
    samples: Samples,
    folds: Folds,
    near_duplicates: NearDuplicates,
    hyperparameter_sets: Sequence[Hyperparameters],
    *,
    data_dir: Path,
    cache_dir: Path,
) -> Content:
    """Return the content of a run's rows and of its code; files are read unless the cache knows their digests.

    Args:
        competition: with nothing left to resolve.
        competition_file: that declares it.
        samples: the rows that are trained on and predicted.
        folds: of the training rows.
        near_duplicates: that were found among the images.
        hyperparameter_sets: whose files of weights count.
        data_dir: below which the samples' files are.
        cache_dir: where the digests of files are remembered.

    Raises:
        DataError: a file is missing, or cannot be read.
        StoreError: the cache folder cannot be written.
    """
    paths = {
        "training images": samples.train_files,
        "test images": samples.test_files,
        "masks": samples.train_masks or (),
    }
    with written_cache(cache_dir):
        digests = content_digests([path for part in paths.values() for path in part], cache_dir)
    rest = iter(digests)
    of_parts = {part: [next(rest) for _ in paths[part]] for part in paths}
    weights_files = sorted({file for each in hyperparameter_sets for file in each.model.foreign_weights})
    return Content(
        parts={
            "rows": short_digest([samples.train_ids.tolist(), samples.test_ids.tolist()]),
            "train-only rows": _digest_of(samples.train_only),
            "labels": _digest_of(samples.target),
            **{part: short_digest(of_part) for part, of_part in of_parts.items()},
            "training table": _table_digest(samples.train_table),
            "test table": _table_digest(samples.test_table),
            "folds": folds.digest,
            "near-duplicates": short_digest(near_duplicates.to_json()),
            "competition file": source_digests(competition_file),
            "competition": described(competition),
        },
        weights={file: _weights_digest(file, cache_dir) for file in weights_files},
        files=dict(
            zip(
                (_name_in(path, data_dir) for part in paths.values() for path in part),
                (digest[:_FILE_HEX] for digest in digests),
                strict=True,
            )
        ),
    )


def described(value: object) -> JsonValue:
    """Return JSON that is the same for equal declarations: dataclasses by field, functions by name and source.

    A function of kaggle_ray's own is told by its name, any other by its source as well; so are the values that a
    closure or a partial has bound. An object of another kind is told by its type.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if dataclasses.is_dataclass(value):
        names = [spec.name for spec in dataclasses.fields(value) if spec.name not in _READERS]
        return {name: described(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {str(name): described(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [described(item) for item in value]
    if isinstance(value, partial):
        return {"function": described(value.func), "arguments": described([*value.args, value.keywords])}
    if inspect.isfunction(value):
        return _function(value)
    return f"a {type(value).__qualname__}"


def _function(function: Callable[..., object]) -> JsonValue:
    name = getattr(function, "__qualname__", "function")
    cells = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    bound = [described(each) for each in cells if not callable(each)]
    if function.__module__.startswith("kaggle_ray."):
        return {"name": name, "bound": bound}
    try:
        source = inspect.getsource(function)
    except OSError:  # made by exec, or in a console: its name has to do
        source = ""
    return {"name": name, "bound": bound, "source": hashlib.sha256(source.encode()).hexdigest()[:_FILE_HEX]}


def _digest_of(array: npt.NDArray[np.generic] | None) -> str | None:
    if array is None:
        return None
    shape = f"{array.dtype.str} {array.shape} "
    return hashlib.sha256(shape.encode() + np.ascontiguousarray(array).tobytes()).hexdigest()[:_FILE_HEX]


def _table_digest(table: Table | None) -> str | None:
    return None if table is None else short_digest([list(table.columns), _digest_of(table.values)])


def _weights_digest(file: str, cache_dir: Path) -> str | None:
    path = Path(file).expanduser()
    return content_digests([path], cache_dir)[0] if path.is_file() else None


def _name_in(path: Path, data_dir: Path) -> str:
    """Return a file's path below the data folder; of one that lies elsewhere, its name."""
    name, folder = str(path), f"{data_dir}/"
    return name.removeprefix(folder) if name.startswith(folder) else path.name
