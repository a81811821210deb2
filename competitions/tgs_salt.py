"""TGS Salt Identification Challenge (Kaggle, 2018): where a seismic image shows salt. Mean precision over IoUs.

The download holds train/images/, train/masks/, train.csv (id,rle_mask), depths.csv (id,z), test/images/ and
sample_submission.csv. Many masks are empty.
Source: https://www.kaggle.com/competitions/tgs-salt-identification-challenge
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kaggle_ray import (
    Competition,
    Head,
    MaskSize,
    Samples,
    SearchSpace,
    Settings,
    SubmissionFormat,
    Table,
    as_ids,
    join_images,
    metric_by_name,
    read_numbers,
    read_table,
    rle_coverage,
)

SAMPLE = "sample_submission.csv"
SIDE = 101


def depths_of(ids: Sequence[str], folder: Path) -> Table:
    """Return each image's depth; that of an image that depths.csv lacks is missing."""
    table = read_table(folder / "depths.csv", columns=["id", "z"])
    depths = read_numbers(table, ["z"], where=str(folder / "depths.csv")).values[:, 0]
    depth_of = dict(zip(table["id"].tolist(), depths.tolist(), strict=True))
    values = np.array([[depth_of.get(sample_id, np.nan)] for sample_id in ids], dtype=np.float32)
    return Table(columns=("z",), values=values)


def read(folder: Path) -> Samples:
    """Read the tables, and join images, masks and depths by id."""
    train_file, sample_file = folder / "train.csv", folder / SAMPLE
    train = read_table(train_file, columns=["id", "rle_mask"])
    train_ids = train["id"].tolist()
    test_ids = read_table(sample_file, columns=["id", "rle_mask"])["id"].tolist()
    return Samples(
        train_ids=as_ids(train_ids),
        train_paths=join_images(train_ids, folder / "train" / "images", table=train_file),
        train_masks=join_images(train_ids, folder / "train" / "masks", table=train_file),
        train_table=depths_of(train_ids, folder),
        target=rle_coverage(train["rle_mask"].tolist(), SIDE * SIDE),
        test_ids=as_ids(test_ids),
        test_paths=join_images(test_ids, folder / "test" / "images", table=sample_file),
        test_table=depths_of(test_ids, folder),
    )


def default_space(settings: Settings) -> SearchSpace:
    """A U-Net on an encoder that knows ImageNet, fine-tuned; its decoder is narrow on a CPU.

    On the 400 images of README the one for a CPU has an honest mean precision of 0.727 there, after 34 minutes of CPU
    time, and of 0.702 on a GPU, the one for a GPU of 0.715: the standard error is 0.019.
    """
    decoder = {} if settings.device == "cuda" else {"decoder_channels": [64, 48, 32, 16, 8]}
    return SearchSpace(
        base={
            "model": "smp/unet",
            "model_args": {"encoder": "tu-tf_efficientnet_lite0", "table": False, **decoder},
            "pretrained": True,
            "image_size": 128,
            "batch_size": 16,
            "epochs": 20,
            "lr": 2e-3,
            "layer_decay": 0.8,
            "schedule": "cosine",
            "warmup": 0.1,
            "ema_decay": 0.98,
            "augment": "light",
            "tta": "hflip",
        }
    )


COMPETITION = Competition(
    name="tgs_salt",
    heads=(Head(task="segmentation", classes=("salt",), metric=metric_by_name("mean_ap_iou")),),
    read=read,
    submission=SubmissionFormat(
        id_column="id", columns=("rle_mask",), cells="rle", pixel_order="columns", sample_file=SAMPLE
    ),
    default_space=default_space,
    mask=MaskSize(full_height=SIDE, full_width=SIDE, height=SIDE, width=SIDE),
)
