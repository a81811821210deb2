"""A toy competition whose trials take a fraction of a second: 60 images to train on, 20 to predict, two classes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from kaggle_ray.config import SearchSpace
from kaggle_ray.config.settings import Settings
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.csv_files import read_table
from kaggle_ray.data.folds import FoldScheme
from kaggle_ray.data.head import Head
from kaggle_ray.data.ids import as_ids
from kaggle_ray.data.image_files import join_images
from kaggle_ray.data.label_encoding import encode_labels
from kaggle_ray.data.samples import Samples
from kaggle_ray.data.submission_format import SubmissionFormat
from kaggle_ray.metrics import LOG_LOSS
from kaggle_ray.types import JsonValue

CLASSES = ("dark", "bright")
SIZE = 8
NUM_TRAIN, NUM_TEST = 60, 20

TINY: dict[str, JsonValue] = {
    "model": "small_resnet",
    "model_args": {"width": 4, "blocks": [1]},
    "image_size": SIZE,
    "batch_size": 16,
}
"""Hyperparameters of a network that trains in milliseconds."""


def write_files(folder: Path) -> None:
    """Write train.csv, train/, test/ and sample_submission.csv: noise, brighter for the second class."""
    rng = np.random.default_rng(0)
    rows = {"train": [f"a{number:03d}" for number in range(NUM_TRAIN)], "test": [f"b{n:03d}" for n in range(NUM_TEST)]}
    labels = {sample_id: number % 2 for ids in rows.values() for number, sample_id in enumerate(ids)}
    for part, ids in rows.items():
        (folder / part).mkdir(parents=True)
        for sample_id in ids:
            pixels = rng.integers(0, 160, (SIZE, SIZE, 3)) + 60 * labels[sample_id]
            cv2.imwrite(str(folder / part / f"{sample_id}.png"), pixels.astype(np.uint8))
    lines = [f"{sample_id},{CLASSES[labels[sample_id]]}" for sample_id in rows["train"]]
    (folder / "train.csv").write_text("\n".join(["id,label", *lines]) + "\n")
    (folder / "sample_submission.csv").write_text("\n".join(["id,label", *(f"{i},0.5" for i in rows["test"])]) + "\n")


def read(folder: Path) -> Samples:
    """Read the files that ``write_files`` wrote."""
    train = read_table(folder / "train.csv", columns=["id", "label"])
    train_ids = train["id"].tolist()
    test_ids = read_table(folder / "sample_submission.csv", columns=["id", "label"])["id"].tolist()
    return Samples(
        train_ids=as_ids(train_ids),
        train_paths=join_images(train_ids, folder / "train", table=folder / "train.csv"),
        target=encode_labels(train["label"].tolist(), CLASSES, ids=train_ids, where=str(folder / "train.csv")),
        test_ids=as_ids(test_ids),
        test_paths=join_images(test_ids, folder / "test", table=folder / "sample_submission.csv"),
    )


def default_space(settings: Settings) -> SearchSpace:
    """Two experiments of two epochs."""
    return SearchSpace(base={**TINY, "epochs": 2}, grid={"lr": [1e-2, 1e-3]})


COMPETITION = Competition(
    name="toy",
    heads=(Head(task="binary", classes=CLASSES, metric=LOG_LOSS),),
    read=read,
    prepare=write_files,
    submission=SubmissionFormat(id_column="id", columns=("label",)),
    default_space=default_space,
    folds=FoldScheme(num_folds=2),
)

TOY_FILE = Path(__file__)
"""Competitions are loaded by path: this one."""
