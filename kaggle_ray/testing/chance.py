"""Competitions whose labels are drawn by chance: pictures of digits, of which nothing can be learnt.

A competition is loaded by path, so a test writes a file of two lines::

    from kaggle_ray.testing.chance import chance_of
    COMPETITION = chance_of("log_loss")
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
import numpy as np
from sklearn.datasets import load_digits

from kaggle_ray.config import SearchSpace
from kaggle_ray.config.distributions import log_uniform
from kaggle_ray.config.settings import Settings
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.folds import FoldScheme
from kaggle_ray.data.head import Head
from kaggle_ray.data.ids import as_ids
from kaggle_ray.data.samples import Samples
from kaggle_ray.data.submission_format import SubmissionFormat
from kaggle_ray.metrics import metric_by_name
from kaggle_ray.testing.toy import TINY
from kaggle_ray.types import IntArray, JsonValue, StrArray

NUM_TRAIN, NUM_TEST = 300, 20
NUM_CLASSES = 3
SHARES = (0.5, 0.3, 0.1)
"""Shares of the rows that the labels of a multi-label competition have."""


def chance_of(metric: str) -> Competition:
    """Return a competition of a metric: of labels for ``f2``, else of classes."""
    names = tuple(f"c{number}" for number in range(NUM_CLASSES))
    head = Head(task="multilabel" if metric == "f2" else "multiclass", classes=names, metric=metric_by_name(metric))
    submission = {
        "f2": SubmissionFormat(id_column="id", columns=("tags",), cells="tags"),
        "accuracy": SubmissionFormat(id_column="id", columns=("label",), cells="label"),
    }.get(metric, SubmissionFormat(id_column="id", columns=names))
    return Competition(
        name=f"chance_{metric}",
        heads=(head,),
        read=partial(_read, metric),
        prepare=partial(_write_files, submission.columns),
        submission=submission,
        default_space=_space,
        folds=FoldScheme(kind="kfold", num_folds=3),
    )


def truth_of(metric: str) -> IntArray:
    """Return (N,) classes or (N, L) labels, drawn by chance."""
    rng = np.random.default_rng(1)
    if metric == "f2":
        return (rng.random((NUM_TRAIN, NUM_CLASSES)) < SHARES).astype(np.int64)
    return rng.integers(0, NUM_CLASSES, NUM_TRAIN)


def _space(settings: Settings) -> SearchSpace:
    base: dict[str, JsonValue] = {**TINY, "batch_size": 32, "epochs": 4, "epoch_rule": "inner"}
    return SearchSpace(base=base, search={"lr": log_uniform(3e-3, 1e-1)})


def _ids() -> StrArray:
    return as_ids([f"a{number:03d}" for number in range(NUM_TRAIN + NUM_TEST)])


def _write_files(columns: tuple[str, ...], folder: Path) -> None:
    (folder / "images").mkdir(parents=True)
    for sample_id, pixels in zip(_ids().tolist(), load_digits().images, strict=False):
        cv2.imwrite(str(folder / "images" / f"{sample_id}.png"), (pixels * 15).astype(np.uint8))
    blank = {"tags": "c0", "label": "c0"}.get(columns[0], "0.5")
    rows = [",".join([sample_id, *[blank] * len(columns)]) for sample_id in _ids()[NUM_TRAIN:].tolist()]
    (folder / "sample_submission.csv").write_text("\n".join([",".join(["id", *columns]), *rows]) + "\n")


def _read(metric: str, folder: Path) -> Samples:
    paths = tuple(folder / "images" / f"{sample_id}.png" for sample_id in _ids().tolist())
    return Samples(
        train_ids=_ids()[:NUM_TRAIN],
        train_paths=paths[:NUM_TRAIN],
        target=truth_of(metric),
        test_ids=_ids()[NUM_TRAIN:],
        test_paths=paths[NUM_TRAIN:],
    )
