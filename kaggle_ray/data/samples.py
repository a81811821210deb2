"""The rows of a competition, and the same with some of them left out: all that belongs to a row goes with it."""

from __future__ import annotations

from collections.abc import Collection, Set
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from kaggle_ray.counted import counted
from kaggle_ray.data.table import Table
from kaggle_ray.errors import DataError
from kaggle_ray.types import BoolArray, Float64Array, IntArray, StrArray, Target

ImagePaths = Path | tuple[Path, ...]
"""A sample's image, or its several images in a fixed order."""

_Item = TypeVar("_Item")


@dataclass(frozen=True, kw_only=True, slots=True)
class Samples:
    """The rows of a competition: N to train on, T to predict.

    >>> from pathlib import Path
    >>> import numpy as np
    >>> from kaggle_ray import Samples, as_ids
    >>> samples = Samples(
    ...     train_ids=as_ids(["a", "b"]),
    ...     train_paths=(Path("train/a.png"), Path("train/b.png")),
    ...     target=np.array([0, 1]),
    ...     test_ids=as_ids(["c"]),
    ...     test_paths=(Path("test/c.png"),),
    ... )
    >>> samples.num_views
    1
    """

    train_ids: StrArray
    """(N,) unique ids of the rows to train on."""
    train_paths: tuple[ImagePaths, ...]
    """(N,) image files: one for each sample, or for each a tuple of several, as many or different numbers of them."""
    target: Target
    """(N,) class numbers or values, or (N, T) labels or the heads' targets side by side, of any type of number: an
    opened competition has them in the form of ``canonical_target``. For segmentation: (N,) the share of foreground, by
    which rows are assigned to folds; zeros where it is not known."""
    test_ids: StrArray
    """(T,) unique ids of the rows to predict, in the order of the sample submission."""
    test_paths: tuple[ImagePaths, ...]
    """(T,) image files, one or several for each sample, as in train."""
    train_masks: tuple[Path, ...] | None = None
    """(N,) mask files, for segmentation, be it what is asked for or an auxiliary head."""
    auxiliary_target: Target | None = None
    """(N,) or (N, A) what the competition's ``auxiliary_heads`` are to answer, side by side; NaN where it is not known,
    or -1 where it is a class or a label. None where there are none, or where they are masks."""
    train_weights: Float64Array | None = None
    """(N,) how much each row counts in the loss that is trained on, 0 or more; only the ratios matter. Scores count all
    rows alike. None is the same for all."""
    train_table: Table | None = None
    """(N, D) numbers that come with the images to train on."""
    test_table: Table | None = None
    """(T, D) numbers with the same columns as ``train_table``."""
    train_only: BoolArray | None = None
    """(N,) rows that are never scored, such as external data; None is none."""
    folds: IntArray | None = None
    """(N,) folds for ``FoldScheme(kind="given")``: the number of the fold that scores a row, 0 for the first; -1 is
    trained on, and never scored."""
    groups: StrArray | None = None
    """(N,) rows that belong together, such as photographs of one car."""
    times: Float64Array | None = None
    """(N,) times at which the rows were taken, for folds by time."""

    images_per_file: int = 1
    """Images of each file, which an opened competition has as ``Competition.images_per_file`` says."""

    @property
    def num_views(self) -> int:
        """Images per sample; where these differ, the most that one has."""
        return max(self._numbers_of_files) * self.images_per_file

    @property
    def varies(self) -> bool:
        """Whether samples have different numbers of images."""
        return len(self._numbers_of_files) > 1

    @property
    def train_counts(self) -> IntArray | None:
        """(N,) images of each sample to train on; None where all samples, those to predict too, have as many."""
        return self._counts(self.train_paths) if self.varies else None

    @property
    def test_counts(self) -> IntArray | None:
        """(T,) the same of the samples to predict."""
        return self._counts(self.test_paths) if self.varies else None

    @property
    def _numbers_of_files(self) -> set[int]:
        return {len(views_of(paths)) for paths in chain(self.train_paths, self.test_paths)}

    def _counts(self, paths: tuple[ImagePaths, ...]) -> IntArray:
        return np.array([len(views_of(each)) for each in paths], dtype=np.int64) * self.images_per_file

    @property
    def train_files(self) -> tuple[Path, ...]:
        """Image files to train on, the views of a sample one after the other."""
        return tuple(path for paths in self.train_paths for path in views_of(paths))

    @property
    def test_files(self) -> tuple[Path, ...]:
        """Image files to predict, the views of a sample one after the other."""
        return tuple(path for paths in self.test_paths for path in views_of(paths))

    @property
    def is_train_only(self) -> BoolArray:
        """(N,) whether a row is never scored: ``train_only``, or False for all."""
        return np.zeros(len(self.train_ids), dtype=np.bool_) if self.train_only is None else self.train_only

    def with_train_rows(self, keep: BoolArray) -> Samples:
        """Return the training rows where ``keep`` (N,) is True, and all test rows."""
        return replace(
            self,
            train_ids=self.train_ids[keep],
            train_paths=_kept(self.train_paths, keep),
            target=self.target[keep],
            train_masks=None if self.train_masks is None else _kept(self.train_masks, keep),
            auxiliary_target=None if self.auxiliary_target is None else self.auxiliary_target[keep],
            train_weights=None if self.train_weights is None else self.train_weights[keep],
            train_table=None if self.train_table is None else self.train_table.with_rows(keep),
            train_only=None if self.train_only is None else self.train_only[keep],
            folds=None if self.folds is None else self.folds[keep],
            groups=None if self.groups is None else self.groups[keep],
            times=None if self.times is None else self.times[keep],
        )

    def with_ids(self, ids: Set[str]) -> Samples:
        """Return the training and test rows whose ids are among ``ids``, in their order."""
        keep = np.isin(self.test_ids, list(ids))
        return replace(
            self.with_train_rows(np.isin(self.train_ids, list(ids))),
            test_ids=self.test_ids[keep],
            test_paths=_kept(self.test_paths, keep),
            test_table=None if self.test_table is None else self.test_table.with_rows(keep),
        )

    def without_train_ids(self, ids: Collection[str]) -> Samples:
        """Return the samples without some of the training rows; an id that no training row has is passed over."""
        return self.with_train_rows(~np.isin(self.train_ids, list(ids))) if ids else self

    def without_files(self, unreadable: Collection[Path], *, placeholder: Path) -> Samples:
        """Return the samples without the training rows that need one of the ``unreadable`` files.

        A test row cannot be left out, since the submission needs it: the ``placeholder``, an even grey image, stands in
        for its file.

        Raises:
            DataError: no training row is left.
        """
        if not unreadable:
            return self
        bad, masks = set(unreadable), self.train_masks
        keep = np.array(
            [
                bad.isdisjoint(views_of(paths)) and (masks is None or masks[row] not in bad)
                for row, paths in enumerate(self.train_paths)
            ]
        )
        if not keep.any():
            raise DataError(
                f"none of the {counted(len(keep), 'training row')} can be read, for example {sorted(bad)[0]}."
            )
        test_paths = tuple(_replaced(paths, bad, placeholder) for paths in self.test_paths)
        return replace(self.with_train_rows(keep), test_paths=test_paths)


def as_marks(given: npt.ArrayLike, *, where: str) -> BoolArray:
    """Return (N,) truth values, given as such or as 0 and 1.

    Raises:
        DataError: they are others.
    """
    values = np.asarray(given)
    if values.ndim != 1 or values.dtype.kind not in "biufO" or not np.isin(values, [False, True]).all():
        raise DataError(f"{where}: train_only: expected True or False for each training row, got {values.dtype}.")
    return values.astype(np.bool_)


def as_times(given: npt.ArrayLike, *, where: str) -> Float64Array:
    """Return (N,) times as numbers, dates as nanoseconds; NaN where a row has none.

    Raises:
        DataError: they are neither.
    """
    values = np.asarray(given)
    if values.ndim != 1 or values.dtype.kind not in "biufmM":
        raise DataError(f"{where}: times: expected a number or a date for each training row, got {values.dtype}.")
    if values.dtype.kind not in "mM":
        return values.astype(np.float64)
    numbers = values.astype(f"{values.dtype.kind}8[ns]").astype(np.int64).astype(np.float64)
    return np.where(np.isnat(values), np.nan, numbers)


def as_folds(given: npt.ArrayLike, *, where: str) -> IntArray:
    """Return (N,) numbers of folds.

    Raises:
        DataError: they are others.
    """
    values = np.asarray(given)
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise DataError(f"{where}: folds: expected a whole number for each training row, got {values.dtype}.")
    return values.astype(np.int64)


def as_weights(given: npt.ArrayLike, ids: StrArray, *, where: str) -> Float64Array:
    """Return (N,) weights of the rows with these ``ids``.

    Raises:
        DataError: one is no number of at least 0, or all are 0.
    """
    weights = np.asarray(given)
    if weights.ndim != 1 or weights.dtype.kind not in "biuf":
        raise DataError(f"{where}: train_weights: expected a number for each training row, got {weights.dtype}.")
    weights = weights.astype(np.float64)
    if (wrong := ~(np.isfinite(weights) & (weights >= 0))).any():
        row = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"{where}: train_weights: expected finite numbers of at least 0, got {weights[row]:g} of sample "
            f"{str(ids[row])!r}."
        )
    if not weights.any():
        raise DataError(f"{where}: train_weights: expected some above 0, got {counted(len(weights), 'zero')}.")
    return weights


def views_of(paths: ImagePaths) -> tuple[Path, ...]:
    """Return the files of one sample's images, of which there may be one."""
    return (paths,) if isinstance(paths, Path) else paths


def _kept(items: tuple[_Item, ...], keep: BoolArray) -> tuple[_Item, ...]:
    return tuple(items[row] for row in np.flatnonzero(keep).tolist())


def _replaced(paths: ImagePaths, bad: set[Path], placeholder: Path) -> ImagePaths:
    if isinstance(paths, Path):
        return placeholder if paths in bad else paths
    return tuple(placeholder if path in bad else path for path in paths)
