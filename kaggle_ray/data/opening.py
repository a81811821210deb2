"""Loads a competition from its file, and opens it on its data folder: names resolved, rows read and checked."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from kaggle_ray.config.loading import load_attribute, module_of
from kaggle_ray.config.users_code import users_code
from kaggle_ray.counted import counted
from kaggle_ray.data.auxiliary import canonical_auxiliary
from kaggle_ray.data.columns import ordered_as
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.csv_files import read_header
from kaggle_ray.data.declared import ATTRIBUTE, declaring_file
from kaggle_ray.data.given_folds import given_scheme
from kaggle_ray.data.image_files import absent_images_named
from kaggle_ray.data.samples import ImagePaths, Samples, as_folds, as_marks, as_times, as_weights, views_of
from kaggle_ray.data.target import canonical_target
from kaggle_ray.errors import ConfigError, DataError
from kaggle_ray.given import set_home


def load_competition(named: str | Path | Competition) -> tuple[Competition, Path]:
    """Return a competition as its file declares it, and the file's absolute path.

    Args:
        named: a name in competitions/, a path, or a competition that a script or a notebook has made.

    Raises:
        ConfigError: there is no such file, or it has no COMPETITION.
    """
    path = declaring_file(named)
    competition = load_attribute(path, ATTRIBUTE, Competition)
    set_home(module_of(path))
    return competition, path


def open_to_predict(competition: Competition, data_dir: Path) -> tuple[Competition, Samples]:
    """Return what ``open_competition`` does of a folder whose training images may be absent, all or some of them.

    Raises:
        DataError: as ``open_competition``; a test image is absent, or what tells the classes is.
        ConfigError: as ``open_competition``.
    """
    try:
        return open_competition(competition, data_dir)
    except (ConfigError, DataError) as error:
        try:
            with absent_images_named():
                opened, samples = open_competition(competition, data_dir, needs_training=False)
        except (ConfigError, DataError):
            raise DataError(
                f"{error} To predict new rows, the tables of the training rows have to be there, too; their images "
                f"need not."
            ) from error
        if not all(path.exists() for path in samples.test_files):
            raise
        return opened, samples


def open_competition(
    competition: Competition, data_dir: Path, *, needs_training: bool = True
) -> tuple[Competition, Samples]:
    """Return the competition with nothing left to resolve, and its rows from ``data_dir``.

    The columns of its submission are in the order of the sample. The folder is first prepared where the competition
    carries its files.

    Args:
        competition: as it was declared.
        data_dir: the folder of its files.
        needs_training: whether there have to be training rows.

    Raises:
        DataError: the folder is missing, or its files contradict each other.
        ConfigError: what the files tell contradicts the declaration.
        SubmissionError: the sample submission has other columns than those declared.
    """
    _find_data(competition, data_dir)
    if competition.resolve is not None:
        with users_code(f"{competition.name}: resolve({data_dir})"):
            competition = replace(competition.resolve(competition, data_dir), resolve=None)
    sample = data_dir / competition.submission.sample_file
    if sample.is_file():  # who submits needs it, and says so
        submission = ordered_as(competition.submission, read_header(sample), where=str(sample))
        competition = replace(competition, submission=submission)
    with users_code(f"{competition.name}: read({data_dir})"):
        samples = competition.read(data_dir)
    if not isinstance(samples, Samples):
        raise ConfigError(f"{competition.name}: read: expected Samples(...), got {type(samples).__name__}.")
    samples = replace(samples, images_per_file=competition.images_per_file)
    if not needs_training and not len(samples.train_ids):
        return competition, samples
    samples = _checked(competition, samples, where=str(data_dir))
    if competition.folds.kind == "given" and samples.folds is not None:
        scheme = given_scheme(competition.folds, samples.folds, samples.train_ids, where=competition.name)
        competition = replace(competition, folds=scheme)
    return competition, samples


def _find_data(competition: Competition, data_dir: Path) -> None:
    """Prepare the data folder where the competition carries its files. Raise DataError where there is none."""
    if competition.prepare is not None and not data_dir.exists():
        _prepare(competition.prepare, data_dir)
    if not data_dir.is_dir():
        raise DataError(
            f"{competition.name}: no data folder {data_dir}. Download the competition's files there, "
            f"or name their folder with --data."
        )


def _prepare(prepare: Callable[[Path], None], data_dir: Path) -> None:
    """Fill a temporary folder and rename it, so that the data folder is whole once it exists."""
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{data_dir.name}-", dir=data_dir.parent))
    try:
        with users_code(f"prepare({partial})"):
            prepare(partial)
        partial.chmod(0o755)
        partial.rename(data_dir)
    except OSError as error:
        if not data_dir.is_dir():
            raise DataError(f"{data_dir}: cannot be written: {error}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check_views(samples: Samples, where: str) -> None:
    numbers = {len(views_of(paths)): sample_id for sample_id, paths in _paths_by_id(samples)}
    if 0 in numbers:
        raise DataError(f"{where}: sample {numbers[0]!r} has no image. Leave it out, or name at least one.")
    if len(numbers) > 1 and samples.train_masks is not None:
        raise DataError(
            f"{where}: expected as many images of each id, as there are masks, got {min(numbers)} to {max(numbers)}. "
            f"Let read choose a fixed number of them, such as evenly spaced ones, and repeat one if some are missing."
        )


def _paths_by_id(samples: Samples) -> Iterator[tuple[str, ImagePaths]]:
    yield from zip(samples.train_ids.tolist(), samples.train_paths, strict=True)
    yield from zip(samples.test_ids.tolist(), samples.test_paths, strict=True)


def _checked(competition: Competition, samples: Samples, where: str) -> Samples:
    """Return the samples with their target, marks and times in their one form; see ``canonical_target``.

    Raises:
        DataError: arrays differ in length, an input of the task is missing or a label is out of range.
    """
    num_train, num_test = len(samples.train_ids), len(samples.test_ids)
    if not num_train or not num_test:
        raise DataError(
            f"{competition.name}: found {num_train} training and {counted(num_test, 'test image')} in {where}. "
            f"Is it the right folder?"
        )
    of_train = (
        samples.train_paths, samples.train_masks, samples.auxiliary_target, samples.train_weights, samples.train_only,
        samples.folds, samples.groups, samples.times,
    )  # fmt: skip
    tables = (samples.train_table, samples.test_table)
    lengths = {num_train, *(len(values) for values in of_train if values is not None)}
    lengths |= {len(tables[0].values)} if tables[0] else set()
    of_test = {num_test, len(samples.test_paths)} | ({len(tables[1].values)} if tables[1] else set())
    if len(lengths) != 1 or len(of_test) != 1:
        raise DataError(f"{competition.name}: ids, images and targets differ in number in {where}.")
    if (tables[0].columns if tables[0] else None) != (tables[1].columns if tables[1] else None):
        raise DataError(f"{competition.name}: the tables of train and test in {where} differ in their columns.")
    if competition.mask_head.task == "segmentation" and samples.train_masks is None:
        raise DataError(f"{competition.name}: a segmentation task needs the masks of the training images in {where}.")
    _check_views(samples, where=f"{competition.name}: {where}")
    name, marks, times, weights = competition.name, samples.train_only, samples.times, samples.train_weights
    return replace(
        samples,
        target=canonical_target(competition.heads, samples.target, samples.train_ids, where=name),
        auxiliary_target=canonical_auxiliary(
            competition.auxiliary_heads, samples.auxiliary_target, samples.train_ids, where=name
        ),
        train_weights=None if weights is None else as_weights(weights, samples.train_ids, where=name),
        train_only=None if marks is None else as_marks(marks, where=name),
        folds=None if samples.folds is None else as_folds(samples.folds, where=name),
        times=None if times is None else as_times(times, where=name),
    )
