"""A competition made of any images, which are called cats and dogs in turn: trained on for its costs alone.

The folder holds train/ and test/ with images, and sample_submission.csv (id,label).
"""

from __future__ import annotations

from pathlib import Path

from kaggle_ray import (
    Competition,
    Head,
    Samples,
    SearchSpace,
    Settings,
    SubmissionFormat,
    as_ids,
    encode_labels,
    list_images,
    metric_by_name,
)
from kaggle_ray.types import JsonValue

CLASSES = ("cat", "dog")


def read(folder: Path) -> Samples:
    """Name the classes in turn."""
    train, test = list_images(folder / "train"), list_images(folder / "test")
    labels = [CLASSES[number % 2] for number in range(len(train))]
    return Samples(
        train_ids=as_ids(list(train)),
        train_paths=tuple(train.values()),
        target=encode_labels(labels, CLASSES, ids=list(train), where=str(folder)),
        test_ids=as_ids(list(test)),
        test_paths=tuple(test.values()),
    )


def default_space(settings: Settings) -> SearchSpace:
    """Four learning rates."""
    base: dict[str, JsonValue] = {
        "model": "small_resnet",
        "model_args": {"width": 8},
        "augment": "light",
        "batch_size": 32,
    }
    return SearchSpace(base=base, grid={"lr": [3e-4, 1e-3, 3e-3, 1e-2]})


COMPETITION = Competition(
    name="made_up",
    heads=(Head(task="binary", classes=CLASSES, metric=metric_by_name("log_loss")),),
    read=read,
    submission=SubmissionFormat(id_column="id", columns=("label",)),
    default_space=default_space,
)
