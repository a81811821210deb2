"""Test rows that are trained on with a teacher's answers for labels."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from kaggle_ray.config import Hyperparameters, parse_hyperparameters
from kaggle_ray.config.settings import Settings
from kaggle_ray.data.head import Head
from kaggle_ray.errors import ConfigError
from kaggle_ray.images.augment import id_hashes
from kaggle_ray.images.cache import Images
from kaggle_ray.metrics import metric_by_name
from kaggle_ray.testing.toy import TINY
from kaggle_ray.train.batches import EpochBatches
from kaggle_ray.train.inputs import FitData, Inputs
from kaggle_ray.train.loop import Fit
from kaggle_ray.train.pseudolabels import MaskLabels, check_pseudolabels, confidence_of, with_pseudolabels
from kaggle_ray.types import FloatArray

SETTINGS = Settings(device="cpu", threads_per_trial=1, dtype="float32")
BASE = parse_hyperparameters({**TINY, "batch_size": 10, "pseudolabel_share": 0.4}, where="here")
BINARY = Head(task="binary", classes=("no", "yes"), metric=metric_by_name("accuracy"))
CLASSES = Head(task="multiclass", classes=("a", "b", "c"), metric=metric_by_name("log_loss"))
LABELS = Head(task="multilabel", classes=("x", "y"), metric=metric_by_name("f2"))
NUMBER = Head(name="size", task="regression", metric=metric_by_name("rmse"))
MASKS = Head(task="segmentation", classes=("thing",), metric=metric_by_name("dice"))
PARTS = Head(task="segmentation", classes=("none", "left", "right"), metric=metric_by_name("mean_iou"))

NUM_TRAIN = 40
TEST_IDS = np.array([f"t{number}" for number in range(NUM_TRAIN)])


@pytest.fixture(scope="module")
def folds() -> list[FitData]:
    """Noise with labels by chance, in two folds: nothing but the rows themselves can be learnt."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (NUM_TRAIN, 8, 8, 3), dtype=np.uint8)
    target, rows = rng.permutation(np.arange(NUM_TRAIN) % 2), np.arange(NUM_TRAIN)
    return [
        FitData(
            inputs=Inputs(images=Images.of_array(images)),
            target=target,
            heads=(BINARY,),
            metric=BINARY.metric,
            train_rows=rows[rows % 2 != fold],
            valid_rows=rows[rows % 2 == fold],
            fold=fold,
            id_hashes=id_hashes([f"r{row}" for row in rows]),
        )
        for fold in range(2)
    ]


def labelled(data: FitData, values: FloatArray, hyperparameters: Hyperparameters = BASE) -> FitData:
    """Give the test rows, which are twins of the training rows, these answers of a teacher."""
    return with_pseudolabels(
        data, values, hyperparameters.pseudolabels, test=data.inputs, test_ids=TEST_IDS,
        id_hashes=id_hashes(TEST_IDS.tolist()), mask=None, where="teacher/fold0",
    )  # fmt: skip


def memorised(data: FitData) -> FloatArray:
    """Return (T, 1) what a teacher says that remembers its training rows, and knows nothing else."""
    values = np.full((NUM_TRAIN, 1), 0.5, dtype=np.float32)
    values[data.train_rows, 0] = data.target[data.train_rows]
    return values


def test_each_batch_has_its_share_of_test_rows_and_an_epoch_takes_none_twice(folds: list[FitData]) -> None:
    data = labelled(folds[0], memorised(folds[0]))
    for epoch in (1, 2):
        batches = EpochBatches(data, BASE, epoch, uses_images=True)
        rows = [batches[number].rows for number in range(len(batches))]
        assert [len(of_step) for of_step in rows] == [9, 8, 8, 8]
        assert all(3 <= (of_step >= NUM_TRAIN).sum() <= 4 for of_step in rows)
        taken = np.concatenate(rows)
        assert len(np.unique(taken)) == len(taken) == 33
        assert set(data.train_rows) <= set(taken)


def test_two_ranks_train_on_the_rows_that_one_does(folds: list[FitData]) -> None:
    data = labelled(folds[0], memorised(folds[0]))
    (alone, *of_ranks) = (
        EpochBatches(data, BASE, 1, uses_images=True, rank=rank, world_size=size)
        for rank, size in ((0, 1), (0, 2), (1, 2))
    )
    for step in range(len(alone)):
        parts = [batches[step].rows for batches in of_ranks]
        assert np.array_equal(alone[step].rows, np.concatenate(parts))


def test_only_confident_rows_are_taken(folds: list[FitData]) -> None:
    sure = labelled(folds[0], memorised(folds[0]), BASE.replace(pseudolabel_min_confidence=0.9)).pseudolabelled
    assert sure is not None
    assert np.array_equal(sure.rows - NUM_TRAIN, folds[0].train_rows)
    unsure = np.full((NUM_TRAIN, 1), 0.25, dtype=np.float32)
    as_sure = labelled(folds[0], unsure, BASE.replace(pseudolabel_min_confidence=0.75)).pseudolabelled
    assert as_sure is not None
    assert len(as_sure.rows) == NUM_TRAIN
    with pytest.raises(
        ConfigError, match=r"some of the 40 test rows to reach 0.9, got 0.750 at most, by teacher/fold0"
    ):
        labelled(folds[0], unsure, BASE.replace(pseudolabel_min_confidence=0.9))


def test_test_rows_come_after_the_training_rows_in_all_that_a_row_has(folds: list[FitData]) -> None:
    images, tables = folds[0].inputs.images, np.random.default_rng(1).normal(size=(2, NUM_TRAIN, 3)).astype(np.float32)
    data = dataclasses.replace(
        folds[0],
        inputs=Inputs(images=images, table=tables[0]),
        sample_ids=np.char.add("r", TEST_IDS),
        weights=np.linspace(0.5, 1.5, NUM_TRAIN, dtype=np.float32),
        auxiliary_heads=(NUMBER,),
        auxiliary_target=np.ones((NUM_TRAIN, 1)),
    )
    values = np.linspace(0, 1, NUM_TRAIN, dtype=np.float32)[:, np.newaxis]
    both = with_pseudolabels(
        data, values, BASE.replace(pseudolabel_kind="hard").pseudolabels, test=Inputs(images=images, table=tables[1]),
        test_ids=TEST_IDS, id_hashes=id_hashes(TEST_IDS.tolist()), mask=None, where="teacher/fold0",
    )  # fmt: skip
    first = both.num_rows - NUM_TRAIN
    assert first == NUM_TRAIN
    assert (both.inputs.table is not None, both.sample_ids is not None) == (True, True)
    assert np.array_equal(np.concatenate(tables), both.inputs.table)  # type: ignore[arg-type]
    assert np.concatenate([np.char.add("r", TEST_IDS), TEST_IDS]).tolist() == both.sample_ids.tolist()  # type: ignore[union-attr]
    assert both.id_hashes[first:].tolist() == id_hashes(TEST_IDS.tolist()).tolist()
    assert (both.weights is not None, both.auxiliary_target is not None) == (True, True)
    assert both.weights[first:].tolist() == [1.0] * NUM_TRAIN, "as much as a training row on average"  # type: ignore[index]
    assert np.isnan(both.auxiliary_target[first:]).all(), "nobody knows them"  # type: ignore[index]
    assert both.pseudolabelled is not None
    assert both.pseudolabelled.labels is not None
    assert np.array_equal(both.pseudolabelled.labels, values > 0.5)


@pytest.mark.parametrize(
    ("heads", "values", "confidence"),
    [
        ((CLASSES,), [0.2, 0.5, 0.3], 0.5),
        ((LABELS,), [0.9, 0.3], 0.7),
        ((BINARY, NUMBER), [0.2, 17.0], 0.8),
        ((MASKS,), [0.0, 1.0, 0.5, 0.1], 0.85),
        ((PARTS,), [0.8, 0.0, 0.1, 0.1, 0.1, 0.9], 0.85),
    ],
)
def test_the_confidence_is_that_of_the_least_certain_answer(
    heads: tuple[Head, ...], values: list[float], confidence: float
) -> None:
    found = confidence_of(np.array([values], dtype=np.float32), heads)
    assert found == pytest.approx([confidence])


def fitted_score(data: FitData) -> float:
    hyperparameters = BASE.replace(epochs=60, lr=2e-2, model_args={"width": 16, "blocks": [1, 1]})
    (*_, last) = Fit(data, hyperparameters.replace(evaluate_every=60), SETTINGS).epochs()
    return last.score


def test_a_teacher_that_memorises_inflates_the_score_of_all_folds_mean_and_not_ours(folds: list[FitData]) -> None:
    of_folds = [memorised(data) for data in folds]
    hard = BASE.replace(pseudolabel_kind="hard", pseudolabel_share=0.5)
    naive = fitted_score(labelled(folds[0], np.mean(of_folds, axis=0, dtype=np.float32), hard))
    ours = fitted_score(labelled(folds[0], of_folds[0], hard.replace(pseudolabel_min_confidence=0.9)))
    assert naive >= 0.9
    assert 0.2 <= ours <= 0.75


def test_soft_labels_are_trained_on_as_they_are_and_hard_ones_are_the_likeliest(folds: list[FitData]) -> None:
    data = dataclasses.replace(folds[0], heads=(CLASSES,), metric=CLASSES.metric)
    values = np.tile(np.array([0.2, 0.5, 0.3], dtype=np.float32), (NUM_TRAIN, 1))
    soft, hard = (labelled(data, values, BASE.replace(pseudolabel_kind=kind)) for kind in ("soft", "hard"))
    of_kinds = [each.pseudolabelled.labels for each in (soft, hard) if each.pseudolabelled is not None]
    assert [labels[7].tolist() for labels in of_kinds if labels is not None] == [values[7].tolist(), [0.0, 1.0, 0.0]]
    (*_, last) = Fit(soft, BASE.replace(epochs=1), SETTINGS).epochs()
    assert np.isfinite(last.train_loss)


def test_predicted_masks_are_read_as_shares_or_as_classes_at_the_images_size() -> None:
    one = MaskLabels(np.array([[0, 128, 127, 255]], dtype=np.uint8), MASKS, (2, 2), (4, 4), kind="hard")
    assert one.read(np.array([0]))[0, ::3, ::3, 0].tolist() == [[0, 255], [0, 255]]
    classes = np.array([[250, 0, 0, 0, 5, 255, 0, 0, 0, 0, 255, 255]], dtype=np.uint8)
    parts = MaskLabels(classes, PARTS, (2, 2), (4, 4), kind="hard")
    assert parts.read(np.array([0]))[0, ::3, ::3, 0].tolist() == [[0, 1], [2, 2]]


@pytest.mark.parametrize(
    ("head", "values", "message"),
    [
        (PARTS, {}, "'pseudolabel_kind': expected hard for masks of several classes, got 'soft'"),
        (NUMBER, {"pseudolabel_kind": "hard"}, "expected soft and 0 where only numbers are predicted"),
        (NUMBER, {"pseudolabel_min_confidence": 0.5}, "a number has neither a likeliest class nor a confidence"),
    ],
)
def test_what_cannot_be_a_label_is_refused(head: Head, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_pseudolabels((head,), BASE.replace(**values).pseudolabels)
