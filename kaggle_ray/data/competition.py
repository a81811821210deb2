"""The competition noun: what is to be predicted, how it is scored, and where its files are."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kaggle_ray.config import SearchSpace
from kaggle_ray.data.folds import FoldScheme
from kaggle_ray.data.submission_format import SubmissionFormat
from kaggle_ray.errors import ConfigError, DataError
from kaggle_ray.loading import find_file, load_attribute
from kaggle_ray.metrics import Metric
from kaggle_ray.settings import Settings
from kaggle_ray.types import BoolArray, IntArray, StrArray, Task


@dataclass(frozen=True, kw_only=True, slots=True)
class Samples:
    """The rows of a competition: N to train on, T to predict."""

    train_ids: StrArray
    """(N,) unique."""
    train_paths: tuple[Path, ...]
    """(N,) image files."""
    target: IntArray
    """(N,) 0..num_classes-1."""
    test_ids: StrArray
    """(T,) unique, in the order of the sample submission."""
    test_paths: tuple[Path, ...]
    """(T,) image files."""
    train_only: BoolArray | None = None
    """(N,) rows that are never scored; None is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Competition:
    """One image competition, declared in one file as ``COMPETITION = Competition(...)``."""

    name: str
    task: Task
    classes: tuple[str, ...]
    """In the order of the target's numbers; for binary the second is the positive one."""
    metric: Metric
    read: Callable[[Path], Samples]
    """Reads the rows from the data folder; raises DataError where files are missing or contradict each other."""
    submission: SubmissionFormat
    default_space: Callable[[Settings], SearchSpace]
    """The experiments to run where none are given, chosen for the machine."""
    folds: FoldScheme = field(default_factory=FoldScheme)
    prepare: Callable[[Path], None] | None = None
    """Writes the files into an empty folder, for a competition that carries them with it."""

    def __post_init__(self) -> None:
        """Raise ConfigError where classes and task or submission columns disagree."""
        if self.task == "binary" and len(self.classes) != 2:
            raise ConfigError(f"{self.name}: a binary task has 2 classes, got {len(self.classes)}.")
        if len(self.submission.columns) != self.num_columns:
            raise ConfigError(
                f"{self.name}: expected {self.num_columns} submission columns for task {self.task!r} "
                f"with {len(self.classes)} classes, got {len(self.submission.columns)}."
            )

    @property
    def num_columns(self) -> int:
        """C of a prediction: 1 for binary, else the number of classes."""
        return 1 if self.task == "binary" else len(self.classes)


def load_competition(name_or_path: str | Path) -> tuple[Competition, Path]:
    """Return the competition of ``competitions/<name>.py`` or of a path, and the file's absolute path.

    Raises:
        ConfigError: there is no such file, or it has no COMPETITION.
    """
    path = find_file(name_or_path, folder="competitions")
    return load_attribute(path, "COMPETITION", Competition), path


def read_samples(competition: Competition, data_dir: Path) -> Samples:
    """Return the competition's rows from ``data_dir``, which is first prepared where the competition carries its files.

    Raises:
        DataError: the folder is missing, or its files contradict each other.
    """
    if competition.prepare is not None and not data_dir.exists():
        _prepare(competition.prepare, data_dir)
    if not data_dir.is_dir():
        raise DataError(
            f"{competition.name}: no data folder {data_dir}. Download the competition's files there, "
            f"or name their folder with --data."
        )
    samples = competition.read(data_dir)
    _check_samples(competition, samples, data_dir)
    return samples


def _prepare(prepare: Callable[[Path], None], data_dir: Path) -> None:
    """Fill a temporary folder and rename it, so that the data folder is whole once it exists."""
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{data_dir.name}-", dir=data_dir.parent))
    try:
        prepare(partial)
        partial.chmod(0o755)
        partial.rename(data_dir)
    except OSError as error:
        if not data_dir.is_dir():
            raise DataError(f"{data_dir}: cannot be written: {error}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check_samples(competition: Competition, samples: Samples, data_dir: Path) -> None:
    lengths = {len(samples.train_ids), len(samples.train_paths), len(samples.target)}
    if len(lengths) != 1 or len(samples.test_ids) != len(samples.test_paths):
        raise DataError(f"{competition.name}: ids, images and targets differ in number in {data_dir}.")
    if not len(samples.train_ids) or not len(samples.test_ids):
        raise DataError(
            f"{competition.name}: found {len(samples.train_ids)} training and {len(samples.test_ids)} test images "
            f"in {data_dir}. Is it the right folder?"
        )
    outside = (samples.target < 0) | (samples.target >= len(competition.classes))
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        raise DataError(
            f"{competition.name}: sample {samples.train_ids[row]!r} has the label {samples.target[row]}, "
            f"expected 0..{len(competition.classes) - 1}."
        )
