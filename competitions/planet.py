"""Planet: Understanding the Amazon from Space (Kaggle, 2017): which tags a satellite chip has. Mean F2 of the chips.

The download holds train_v2.csv (image_name,tags), train-jpg/, test-jpg/ and sample_submission_v2.csv. The tags are
taken from train_v2.csv, so that any competition of this layout can be run.
Source: https://www.kaggle.com/competitions/planet-understanding-the-amazon-from-space
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kaggle_ray import (
    Competition,
    FoldScheme,
    Head,
    Samples,
    SearchSpace,
    Settings,
    SubmissionFormat,
    as_ids,
    encode_tags,
    join_images,
    metric_by_name,
    read_table,
)

TRAIN, SAMPLE = "train_v2.csv", "sample_submission_v2.csv"


def resolve(competition: Competition, folder: Path) -> Competition:
    """Return the competition with the tags that the training images have."""
    texts = read_table(folder / TRAIN, columns=["image_name", "tags"])["tags"]
    tags = tuple(sorted({tag for text in texts for tag in text.split()}))
    return replace(competition, heads=(replace(competition.heads[0], classes=tags),), read=Reader(tags))


class Reader:
    """Reads the rows of a download whose tags are known."""

    def __init__(self, tags: tuple[str, ...]) -> None:
        """Encode ``tags`` in this order."""
        self.tags = tags

    def __call__(self, folder: Path) -> Samples:
        """Read names and tags from the tables, and join the images by name."""
        train = read_table(folder / TRAIN, columns=["image_name", "tags"])
        train_ids = train["image_name"].tolist()
        test_ids = read_table(folder / SAMPLE, columns=["image_name", "tags"])["image_name"].tolist()
        return Samples(
            train_ids=as_ids(train_ids),
            train_paths=join_images(train_ids, folder / "train-jpg", table=folder / TRAIN),
            target=encode_tags(train["tags"].tolist(), self.tags, ids=train_ids, where=str(folder / TRAIN)),
            test_ids=as_ids(test_ids),
            test_paths=join_images(test_ids, folder / "test-jpg", table=folder / SAMPLE),
        )


def default_space(settings: Settings) -> SearchSpace:
    """Pretrained backbones: fine-tuned on a GPU; on a CPU two linear probes, and two whose last stages are fine-tuned.

    What stands still is computed once. On the 400 scenes of README the four take 12 minutes on two cores, and have an
    honest F2 of 0.902 together, and of 0.884, 0.887, 0.882 and 0.879 alone.
    """
    if settings.device == "cuda":
        return SearchSpace(
            base={
                "pretrained": True,
                "image_size": 256,
                "epochs": 10,
                "lr": 2e-4,
                "augment": "dihedral",
                "tta": "hflip",
            },
            grid={"model": ["resnet50", "convnext_tiny"]},
        )
    return SearchSpace(
        base={
            "pretrained": True,
            "freeze": "backbone",
            "head": {"pooling": "avg"},
            "image_size": 224,
            "batch_size": 32,
            "epochs": 30,
            "lr": 3e-3,
            "tta": "hflip",
        },
        experiments=[
            {"model": "timm/tf_efficientnet_lite2"},
            {"model": "timm/tf_efficientnet_lite0"},
            {
                "model": "timm/tf_efficientnet_lite0",
                "freeze": "stages",
                "freeze_stages": 9,
                "batch_size": 16,
                "epochs": 8,
                "lr": 1e-3,
                "schedule": "cosine",
                "warmup": 0.1,
                "augment": "light",
                "augment_copies": 4,
            },
            {
                "model": "timm/tf_efficientnet_lite2",
                "freeze": "stages",
                "freeze_stages": 16,
                "batch_size": 16,
                "epochs": 8,
                "lr": 1e-3,
                "schedule": "cosine",
                "warmup": 0.1,
                "augment": "light",
                "augment_copies": 4,
            },
        ],
    )


COMPETITION = Competition(
    name="planet",
    heads=(Head(task="multilabel", classes=("primary",), metric=metric_by_name("f2")),),
    read=Reader(("primary",)),
    resolve=resolve,
    submission=SubmissionFormat(id_column="image_name", columns=("tags",), cells="tags", sample_file=SAMPLE),
    default_space=default_space,
    folds=FoldScheme(kind="multilabel"),
)
