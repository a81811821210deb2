"""Toy competitions, one for each kind of task and input, that are learnt in a second; their files are made up.

A competition is loaded by path, so a test writes a file of two lines::

    from kaggle_ray.testing.tasks import toy_of
    COMPETITION = toy_of("multilabel")
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np

from kaggle_ray.config import SearchSpace
from kaggle_ray.config.settings import Settings
from kaggle_ray.data.competition import Competition, MaskSize
from kaggle_ray.data.csv_files import read_table
from kaggle_ray.data.folds import FoldScheme
from kaggle_ray.data.head import Head
from kaggle_ray.data.ids import as_ids
from kaggle_ray.data.samples import ImagePaths, Samples
from kaggle_ray.data.submission_format import SubmissionFormat
from kaggle_ray.data.table import Table
from kaggle_ray.metrics import metric_by_name
from kaggle_ray.testing.toy import TINY
from kaggle_ray.types import FloatArray, JsonValue, Target

ToyTask = Literal["multilabel", "regression", "grades", "masks", "mask_classes", "table", "views", "heads"]
TOY_TASKS: tuple[ToyTask, ...] = get_args(ToyTask)

SIZE, FULL = 16, 32
NUM_TRAIN, NUM_TEST = 64, 16
LABELS = ("bright", "striped")
PARTS = ("background", "left", "right")
NUM_GRADES = 4
_MISSING_EVERY = 5

_HEADS: dict[ToyTask, tuple[Head, ...]] = {
    "multilabel": (Head(task="multilabel", classes=LABELS, metric=metric_by_name("f2")),),
    "regression": (Head(task="regression", metric=metric_by_name("rmse")),),
    "grades": (Head(task="regression", metric=metric_by_name("quadratic_kappa")),),
    "masks": (Head(task="segmentation", classes=("square",), metric=metric_by_name("dice")),),
    "mask_classes": (Head(task="segmentation", classes=PARTS, metric=metric_by_name("mean_iou")),),
    "table": (Head(task="binary", classes=("low", "high"), metric=metric_by_name("log_loss")),),
    "views": (Head(task="binary", classes=("dark", "bright"), metric=metric_by_name("accuracy")),),
    "heads": (
        Head(name="stripes", task="binary", classes=("plain", "striped"), metric=metric_by_name("log_loss")),
        Head(name="light", task="regression", metric=metric_by_name("rmse"), loss_weight=2.0),
    ),
}
_FORMATS: dict[ToyTask, SubmissionFormat] = {
    "multilabel": SubmissionFormat(id_column="id", columns=("tags",), cells="tags"),
    "regression": SubmissionFormat(id_column="id", columns=("light",), cells="numbers"),
    "grades": SubmissionFormat(id_column="id", columns=("grade",), cells="numbers"),
    "masks": SubmissionFormat(id_column="id", columns=("rle",), cells="rle", pixel_order="columns"),
    "mask_classes": SubmissionFormat(id_column="id", columns=PARTS[1:], cells="rle"),
    "table": SubmissionFormat(id_column="id", columns=("high",)),
    "views": SubmissionFormat(id_column="id", columns=("label",), cells="label"),
    "heads": SubmissionFormat(id_column="id", columns=("striped", "light"), cells="numbers"),
}


def toy_of(task: ToyTask) -> Competition:
    """Return the toy competition of a kind of task."""
    kept = SIZE if task == "masks" else FULL
    return Competition(
        name=f"toy_{task}",
        heads=_HEADS[task],
        read=partial(_read, task),
        prepare=partial(_write_files, task),
        submission=_FORMATS[task],
        default_space=partial(_space, task),
        folds=FoldScheme(kind="kfold", num_folds=2),
        mask=MaskSize(full_height=FULL, full_width=FULL, height=kept, width=kept) if "mask" in task else None,
    )


def _space(task: ToyTask, settings: Settings) -> SearchSpace:
    base: dict[str, JsonValue] = {
        **TINY,
        "model_args": {"width": 8, "blocks": [1, 1]},
        "image_size": SIZE,
        "epochs": 30,
        "lr": 2e-2,
    }
    if "mask" in task:
        base |= {"model": "unet", "model_args": {"width": 4, "depth": 2}}
        base |= {"augment": "light"} if task == "masks" else {}  # a mirror image would swap left and right
    return SearchSpace(base=base)


def _write_files(task: ToyTask, folder: Path) -> None:
    """Write train.csv, sample_submission.csv, images/ and masks/."""
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir()
    lines = ["id,light,striped,left"]
    for number in range(NUM_TRAIN + NUM_TEST):
        sample_id = f"{'a' if number < NUM_TRAIN else 'b'}{number:03d}"
        light, striped, left = float(rng.uniform()), int(rng.integers(2)), int(rng.integers(2))
        _write_image(folder, sample_id, task, light, striped, left, rng)
        lines.append(f"{sample_id},{light:.4f},{striped},{left}")
    (folder / "train.csv").write_text("\n".join(lines[: NUM_TRAIN + 1]) + "\n")
    # What a table says of the test rows belongs to the input; the rest of test.csv is never read.
    (folder / "test.csv").write_text("\n".join([lines[0], *lines[NUM_TRAIN + 1 :]]) + "\n")
    header = ",".join(_FORMATS[task].header)
    blank = {"tags": "", "label": "dark", "rle": "1 1"}.get(_FORMATS[task].cells, "0.5")
    rows = [",".join([f"b{number:03d}", *[blank] * len(_FORMATS[task].columns)]) for number in _test_numbers()]
    (folder / "sample_submission.csv").write_text("\n".join([header, *rows]) + "\n")


def _write_image(
    folder: Path, sample_id: str, task: ToyTask, light: float, striped: int, left: int, rng: np.random.Generator
) -> None:
    pixels = rng.integers(0, 40, (FULL, FULL, 3)).astype(np.float64)
    mask = np.zeros((FULL, FULL), dtype=np.uint8)
    if "mask" in task:
        column = 4 if left else 20
        pixels[8:24, column : column + 8] += 180
        mask[8:24, column : column + 8] = 255 if task == "masks" else (1 if left else 2)
        cv2.imwrite(str(folder / "masks" / f"{sample_id}.png"), mask)
    else:
        pixels += 150 * light
        pixels[::4] += 60 * striped
    for view in ("", "_2") if task == "views" else ("",):
        cv2.imwrite(str(folder / "images" / f"{sample_id}{view}.png"), pixels.clip(0, 255).astype(np.uint8))


def _test_numbers() -> range:
    return range(NUM_TRAIN, NUM_TRAIN + NUM_TEST)


def _read(task: ToyTask, folder: Path) -> Samples:
    tables = [
        read_table(folder / f"{part}.csv", columns=["id", "light", "striped", "left"]) for part in ("train", "test")
    ]
    ids = [table["id"].tolist() for table in tables]
    numbers = [table[["light", "striped", "left"]].to_numpy(dtype=np.float64) for table in tables]
    inputs = [_table_of(values) if task == "table" else None for values in numbers]
    return Samples(
        train_ids=as_ids(ids[0]),
        train_paths=_paths(task, folder, ids[0]),
        target=_target_of(task, numbers[0]),
        test_ids=as_ids(ids[1]),
        test_paths=_paths(task, folder, ids[1]),
        train_masks=tuple(folder / "masks" / f"{name}.png" for name in ids[0]) if "mask" in task else None,
        train_table=inputs[0],
        test_table=inputs[1],
    )


def _paths(task: ToyTask, folder: Path, ids: list[str]) -> tuple[ImagePaths, ...]:
    if task == "views":
        return tuple((folder / "images" / f"{name}.png", folder / "images" / f"{name}_2.png") for name in ids)
    return tuple(folder / "images" / f"{name}.png" for name in ids)


def _table_of(numbers: FloatArray) -> Table:
    """Return a column that gives the label away, with every fifth value missing."""
    values = np.asarray(numbers[:, :2], dtype=np.float32).copy()
    values[::_MISSING_EVERY, 0] = np.nan
    return Table(columns=("light", "striped"), values=values)


def _target_of(task: ToyTask, numbers: FloatArray) -> Target:
    light, striped = numbers[:, 0], numbers[:, 1]
    bright = (light > 0.5).astype(np.int64)
    if task == "multilabel":
        return np.stack([bright, striped.astype(np.int64)], axis=1)
    if task == "heads":
        return np.stack([striped, light], axis=1)
    if task == "regression":
        return light
    if task == "grades":
        return np.floor(NUM_GRADES * light)
    return np.zeros(len(light)) if "mask" in task else bright
