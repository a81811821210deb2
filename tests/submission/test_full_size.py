from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

from kaggle_ray.combine import select
from kaggle_ray.data.baseline import perfect_predictions
from kaggle_ray.data.competition import Competition, MaskSize
from kaggle_ray.data.head import Head
from kaggle_ray.data.samples import Samples
from kaggle_ray.data.submission_format import SubmissionFormat
from kaggle_ray.metrics import DICE, MEAN_IOU
from kaggle_ray.submission.full_size import full_size_score
from kaggle_ray.testing.tasks import toy_of
from kaggle_ray.types import ByteArray, FloatArray, Folds

NUM_IMAGES = 4
FULL_AND_KEPT = [
    ((32, 48), (16, 24)),
    ((32, 48), (8, 12)),
    ((45, 60), (15, 20)),
    ((40, 56), (15, 21)),
    ((30, 30), (9, 11)),
]


def stripes(num_classes: int, height: int, width: int) -> ByteArray:
    """Return (images, height, width) masks in vertical or horizontal bands of the classes, in another order in each."""
    masks = np.zeros((NUM_IMAGES, height, width), dtype=np.uint8)
    for number in range(NUM_IMAGES):
        length = (height, width)[number % 2]
        bands = (np.arange(length) * num_classes // length + number) % num_classes
        masks[number] = bands[:, np.newaxis] if number % 2 == 0 else bands
    return masks


def competition_of(num_classes: int, full: tuple[int, int], kept: tuple[int, int]) -> Competition:
    names = ("background", *(f"c{number}" for number in range(1, num_classes)))
    classes = names if num_classes > 2 else names[1:]
    head = Head(task="segmentation", classes=classes, metric=MEAN_IOU if num_classes > 2 else DICE)
    return dataclasses.replace(
        toy_of("mask_classes"),
        heads=(head,),
        submission=SubmissionFormat(id_column="id", columns=names[1:], cells="rle"),
        mask=MaskSize(full_height=full[0], full_width=full[1], height=kept[0], width=kept[1]),
    )


def full_size(competition: Competition, kept: ByteArray, values: FloatArray, folder: Path) -> float | None:
    """Return the score of ``values`` where the masks' files hold each pixel of ``kept`` over and over."""
    assert competition.mask is not None
    sides = competition.mask.full_width, competition.mask.full_height
    paths = tuple(folder / f"{number}.png" for number in range(NUM_IMAGES))
    for path, mask in zip(paths, kept, strict=True):
        grown = cv2.resize(mask, sides, interpolation=cv2.INTER_NEAREST_EXACT)
        cv2.imwrite(str(path), grown if len(competition.classes) > 1 else grown * 255)
    ids = np.array([str(number) for number in range(NUM_IMAGES)])
    fold_of = (np.arange(NUM_IMAGES) % 2).astype(np.int8)
    samples = Samples(
        train_ids=ids, train_paths=paths, target=np.zeros(NUM_IMAGES), test_ids=ids, test_paths=paths, train_masks=paths
    )
    folds = Folds(sample_ids=ids, fold_of=fold_of, num_folds=2, seed=0, digest="f" * 12)
    ensemble = select({"a": values}, kept.reshape(NUM_IMAGES, -1), fold_of, competition.metric, "greedy")
    return full_size_score(competition, samples, folds, ensemble)


@pytest.mark.parametrize("num_classes", [2, 3, 4, 7])
@pytest.mark.parametrize(("full", "kept"), FULL_AND_KEPT)
def test_perfect_predictions_are_perfect_at_full_size(
    num_classes: int, full: tuple[int, int], kept: tuple[int, int], tmp_path: Path
) -> None:
    competition = competition_of(num_classes, full, kept)
    masks = stripes(num_classes, *kept)
    values = perfect_predictions(competition.heads[0], masks.reshape(NUM_IMAGES, -1))
    assert full_size(competition, masks, values, tmp_path) == 1.0


@pytest.mark.parametrize("num_classes", [3, 5])
def test_predictions_of_the_wrong_classes_score_as_low_at_full_size_as_at_the_kept_one(
    num_classes: int, tmp_path: Path
) -> None:
    competition = competition_of(num_classes, (32, 48), (16, 24))
    masks = stripes(num_classes, 16, 24)
    answers = masks.copy()
    answers[0], answers[1, :, :12] = (masks[0] + 1) % num_classes, 0
    values = perfect_predictions(competition.heads[0], answers.reshape(NUM_IMAGES, -1))
    kept = MEAN_IOU.score(masks.reshape(NUM_IMAGES, -1), values)
    assert 0.5 < kept < 0.8
    assert full_size(competition, masks, values, tmp_path) == pytest.approx(kept)


def test_masks_that_are_kept_at_full_size_have_no_other_score(tmp_path: Path) -> None:
    competition = competition_of(3, (16, 24), (16, 24))
    masks = stripes(3, 16, 24)
    values = perfect_predictions(competition.heads[0], masks.reshape(NUM_IMAGES, -1))
    assert full_size(competition, masks, values, tmp_path) is None
