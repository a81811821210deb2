"""Folds of a person's own table: what a run does before it trains, by itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kaggle_ray.cache.folder import default_cache_dir
from kaggle_ray.counted import counted
from kaggle_ray.data.duplicate_groups import group_near_duplicates
from kaggle_ray.data.folds import FoldScheme, make_folds
from kaggle_ray.data.head import Head, class_columns
from kaggle_ray.data.ids import as_ids
from kaggle_ray.data.samples import Samples
from kaggle_ray.data.target import canonical_target
from kaggle_ray.errors import DataError
from kaggle_ray.images.near_duplicates import find_near_duplicates
from kaggle_ray.metrics import ACCURACY, F1, RMSE
from kaggle_ray.types import StrArray, Target, Task

if TYPE_CHECKING:
    import pandas as pd


def assign_folds(
    frame: pd.DataFrame,
    *,
    images: str,
    target: str | Sequence[str],
    groups: str | None = None,
    scheme: FoldScheme | None = None,
) -> pd.Series[Any]:
    """Return the fold of each row of a table, near-duplicate images together, under the table's own index.

    A row's fold does not depend on the order of the rows.

    >>> import cv2
    >>> import numpy as np
    >>> import pandas as pd
    >>> from kaggle_ray import FoldScheme, assign_folds
    >>> for number in range(4):
    ...     _ = cv2.imwrite(f"{number}.png", np.full((8, 8, 3), 50 * number, np.uint8))
    >>> frame = pd.DataFrame({"path": ["0.png", "1.png", "2.png", "3.png"], "label": ["cat", "dog"] * 2})
    >>> folds = assign_folds(frame, images="path", target="label", scheme=FoldScheme(num_folds=2))
    >>> sorted(folds.tolist())
    [0, 0, 1, 1]

    Args:
        frame: a row for each sample, under an index without repetitions.
        images: the column of the image files' paths.
        target: the column of what is to be predicted: classes of any type, or floats; or several columns of 0 and 1.
        groups: the column of what has to stay in one fold, such as patients; None is none.
        scheme: kind, number and seed of the folds; None is five, stratified, or multilabel where targets are several.

    Raises:
        DataError: ids repeat, a target is missing, or an image does not decode.
        FoldsError: the rows cannot be assigned so.
    """
    import pandas as pd

    scheme = scheme or FoldScheme(kind="stratified" if isinstance(target, str) else "multilabel")
    ids = as_ids([str(name) for name in frame.index])
    head, values = _of_column(frame[target]) if isinstance(target, str) else _labels(frame, target)
    samples = Samples(
        train_ids=ids,
        train_paths=tuple(map(Path, frame[images])),
        target=canonical_target([head], values, ids, where="assign_folds"),
        test_ids=as_ids([]),
        test_paths=(),
        groups=None if groups is None else as_ids([str(group) for group in frame[groups]]),
    )
    folds = make_folds(scheme, samples, heads=(head,), grouped_by=_grouped(scheme, samples, head))
    return pd.Series(folds.fold_of.astype(np.int64), index=frame.index, name="fold")


def _labels(frame: pd.DataFrame, names: Sequence[str]) -> tuple[Head, Target]:
    return Head(task="multilabel", classes=tuple(names), metric=F1), frame[list(names)].to_numpy()


def _of_column(column: pd.Series[Any]) -> tuple[Head, Target]:
    """Return what predicts a column, and its numbers."""
    if column.isna().any():
        raise DataError(
            f"assign_folds: {column.name}: {int(column.isna().sum())} of {counted(len(column), 'row')} have no value."
        )
    if column.dtype.kind == "f":
        return Head(task="regression", metric=RMSE), column.to_numpy()
    classes, numbers = np.unique(column.astype(str).to_numpy(dtype=np.str_), return_inverse=True)
    task: Task = "binary" if len(classes) == 2 else "multiclass"
    return Head(task=task, classes=tuple(classes.tolist()), metric=ACCURACY), numbers


def _grouped(scheme: FoldScheme, samples: Samples, head: Head) -> StrArray | None:
    if not scheme.find_near_duplicates:
        return samples.groups
    found = find_near_duplicates(samples, channels=3, cache_dir=default_cache_dir())
    _, groups = group_near_duplicates(
        found.pairs,
        samples,
        labels=class_columns((head,), samples.target),
        num_folds=scheme.num_folds,
        ordered=scheme.kind == "time",
    )
    return samples.groups if groups is None else groups
