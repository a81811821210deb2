"""What the trials of a run are computed from, besides hyperparameters and settings: digests of data and of code.

The driver makes ids of it, and each process that trains holds what it has loaded to it.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kaggle_ray.cache.folder import written_cache
from kaggle_ray.config import Hyperparameters
from kaggle_ray.config.described import described
from kaggle_ray.config.part import KINDS
from kaggle_ray.config.sources import source_digests
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.duplicate_groups import NearDuplicates
from kaggle_ray.data.samples import Samples
from kaggle_ray.data.table import Table
from kaggle_ray.given import found
from kaggle_ray.images.fingerprints import content_digests
from kaggle_ray.registry import of_others
from kaggle_ray.types import Folds, JsonValue, short_digest

_FILE_HEX = 16
"""Hex digits that are kept of a file's sha256, to tell which files have changed."""


IMAGES_OF_ROWS = "images of each training row"
"""Part of the content that there is where rows have different numbers of images."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """What the trials of a run are computed from, besides their hyperparameters and settings."""

    parts: Mapping[str, JsonValue] = field(default_factory=dict)
    """What a person calls a part of it -> its digest, or the values that it consists of; see ``content_of``."""
    weights: Mapping[str, str | None] = field(default_factory=dict)
    """File, address or package of pretrained weights -> their sha256; None where there is no such file."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Image or mask, relative to the data folder -> the first digits of its sha256."""

    def to_json(self) -> dict[str, JsonValue]:
        """Return what run.json keeps of it, to tell on a resume what has changed."""
        return {**self.parts, "weights": dict(self.weights)}

    def with_files_of(self, samples: Samples, *, data_dir: Path, cache_dir: Path) -> Content:
        """Return the content with the images and masks of ``samples`` as they are now; see ``content_of``."""
        paths = {
            "training images": samples.train_files,
            "test images": samples.test_files,
            "masks": samples.train_masks or (),
        }
        with written_cache(cache_dir):
            digests = content_digests([path for part in paths.values() for path in part], cache_dir)
        rest = iter(digests)
        of_parts = {part: short_digest([next(rest) for _ in paths[part]]) for part in paths}
        names = (_name_in(path, data_dir) for part in paths.values() for path in part)
        files = dict(zip(names, (digest[:_FILE_HEX] for digest in digests), strict=True))
        return dataclasses.replace(self, parts={**self.parts, **of_parts}, files=files)


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
        hyperparameter_sets: whose files of weights count, and whatever else than the package has registered what they
            name, such as a model of a script or a notebook.
        data_dir: below which the samples' files are.
        cache_dir: where the digests of files are remembered.

    Raises:
        DataError: a file is missing, or cannot be read.
        StoreError: the cache folder cannot be written.
    """
    weights_files = {name: file for each in hyperparameter_sets for name, file in each.model.weights_files.items()}
    content = Content(
        parts={
            "rows": short_digest([samples.train_ids.tolist(), samples.test_ids.tolist()]),
            "train-only rows": _digest_of(samples.train_only),
            "labels": _digest_of(samples.target),
            "training table": _table_digest(samples.train_table),
            "test table": _table_digest(samples.test_table),
            "folds": folds.digest,
            "near-duplicates": short_digest(near_duplicates.to_json()),
            "competition file": source_digests(competition_file),
            "competition": described(competition),
        }
    )
    beside = {
        "auxiliary labels": samples.auxiliary_target,
        "row weights": samples.train_weights,
        IMAGES_OF_ROWS: samples.train_counts,  # which of the files are whose
        "images of each test row": samples.test_counts,
    }
    given = {name: _digest_of(values) for name, values in beside.items() if values is not None}
    content = dataclasses.replace(content, parts={**content.parts, **given})
    reader = {competition.reader} if isinstance(competition.reader, str) else set()
    if registered := registered_code(hyperparameter_sets) | of_others(reader):
        code = {name: described(value) for name, value in sorted(registered.items())}
        content = dataclasses.replace(content, parts={**content.parts, "registered code": code})
    content = content.with_files_of(samples, data_dir=data_dir, cache_dir=cache_dir)
    weights = {name: _weights_digest(file, cache_dir) for name, file in sorted(weights_files.items())}
    return dataclasses.replace(content, weights=weights)


def registered_code(hyperparameter_sets: Sequence[Hyperparameters]) -> dict[str, Any]:
    """Return ``<kind> <name>`` -> value of what experiments name and the package did not register, such as a model."""
    dicts = [each.to_dict() for each in hyperparameter_sets]
    registered = of_others({name for each in dicts for name in _texts_in(each)})
    given = {f"{kind} {name}": it for each in dicts for kind, name, it in _given_in(each)}
    return registered | given


def _given_in(value: JsonValue) -> Iterator[tuple[str, str, object]]:
    """Yield kind, name and value of what a person gave itself, of ancestors, too."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key in KINDS and (it := found(KINDS[key], item)) is not None:
                yield KINDS[key], str(item), it
            yield from _given_in(item)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for item in value:
            yield from _given_in(item)


def _texts_in(value: JsonValue) -> Iterator[str]:
    """Yield every text of a JSON value, keys aside."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts_in(item)
    elif isinstance(value, Sequence):
        for item in value:
            yield from _texts_in(item)


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
