"""Handwritten digits: scikit-learn's 1,797 real 8x8 images, laid out as Kaggle would; no download.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kaggle_ray import (
    Competition,
    Head,
    Samples,
    SearchSpace,
    Settings,
    SubmissionFormat,
    as_ids,
    encode_labels,
    join_images,
    metric_by_name,
    read_table,
)

CLASSES = tuple("0123456789")
COLUMNS = tuple(f"digit_{name}" for name in CLASSES)
TEST_EVERY = 5
"""Every fifth image is a test image, whose label is not written anywhere."""


def prepare(folder: Path) -> None:
    """Write train/, train.csv, test/ and sample_submission.csv from scikit-learn's copy of the images."""
    import cv2
    import pandas as pd
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    pixels = np.rint(images.reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
    for part in ("train", "test"):
        (folder / part).mkdir()
    rows: dict[str, list[str]] = {"train": [], "test": []}
    labels_by_id: dict[str, int] = {}
    for number, (image, label) in enumerate(zip(pixels, labels.tolist(), strict=True)):
        part = "test" if number % TEST_EVERY == 0 else "train"
        sample_id = f"{part}_{number:04d}"
        cv2.imwrite(str(folder / part / f"{sample_id}.png"), image)
        rows[part].append(sample_id)
        labels_by_id[sample_id] = label
    train = pd.DataFrame({"id": rows["train"], "label": [labels_by_id[sample_id] for sample_id in rows["train"]]})
    train.to_csv(folder / "train.csv", index=False)
    sample = pd.DataFrame({"id": rows["test"], **{column: 0.1 for column in COLUMNS}})
    sample.to_csv(folder / "sample_submission.csv", index=False)


def read(folder: Path) -> Samples:
    """Read ids and labels from the tables, and join the images by id."""
    train = read_table(folder / "train.csv", columns=["id", "label"])
    sample = read_table(folder / "sample_submission.csv", columns=["id", *COLUMNS])
    train_ids, test_ids = train["id"].tolist(), sample["id"].tolist()
    return Samples(
        train_ids=as_ids(train_ids),
        train_paths=join_images(train_ids, folder / "train", table=folder / "train.csv"),
        target=encode_labels(train["label"].tolist(), CLASSES, ids=train_ids, where=str(folder / "train.csv")),
        test_ids=as_ids(test_ids),
        test_paths=join_images(test_ids, folder / "test", table=folder / "sample_submission.csv"),
    )


def default_space(settings: Settings) -> SearchSpace:
    """Four small networks that train in seconds on a core; a GPU gets the same."""
    return SearchSpace(
        base={"image_size": 8, "batch_size": 32, "epochs": 10, "lr": 4e-3, "augment": "shift"},
        experiments=[
            {"model": "small_resnet", "model_args": {"width": 16, "blocks": [1, 1, 1], "stem_stride": 1}},
            {"model": "small_resnet", "model_args": {"width": 32, "blocks": [1, 1, 1], "stem_stride": 1}},
            {"model": "resnet9", "model_args": {"width": 8, "stem_stride": 1}},
            {"model": "resnet9", "model_args": {"width": 16, "stem_stride": 1}},
        ],
    )


COMPETITION = Competition(
    name="digits",
    heads=(Head(task="multiclass", classes=CLASSES, metric=metric_by_name("log_loss")),),
    read=read,
    prepare=prepare,
    submission=SubmissionFormat(id_column="id", columns=COLUMNS),
    default_space=default_space,
)
