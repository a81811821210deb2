"""Tells of labels and sample submission what is to be predicted, and how it is submitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from kaggle_ray.counted import counted
from kaggle_ray.data.submission_format import CellKind
from kaggle_ray.metrics import metric_by_name
from kaggle_ray.scaffold.answers import Answers, UnclearError
from kaggle_ray.scaffold.labels import Labels
from kaggle_ray.types import Task

_OF_MASKS = ("rle", "mask", "pixels")
_OF_BOXES = ("bbox", "boxes", "bounding", "predictionstring")
_OTHER_MARKS = "|;,"


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """What is to be predicted."""

    task: Task
    cells: CellKind
    metrics: tuple[str, ...]
    """Candidates, the one that is written first."""
    classes: tuple[str, ...] = ()


def prediction_of(labels: Labels, columns: Sequence[str], sample: pd.DataFrame, answers: Answers) -> Prediction:
    """Return what is to be predicted.

    Args:
        labels: of the training images.
        columns: of the sample submission, without the id's.
        sample: the sample submission.
        answers: of the user.

    Raises:
        UnclearError: labels and sample leave it open, or are of a kind that is declared by hand.
    """
    refuse_other_kinds(columns, labels.target)
    if labels.kind == "one_hot":
        found = _of_columns(labels, columns)
    elif len(columns) > 1:
        found = _of_classes(labels, columns)
    else:
        cells = [cell for cell in sample.iloc[:, 1].tolist() if cell.strip()]
        found = _of_texts(labels.values, cells, answers)
    if answers.task not in (None, found.task):
        raise UnclearError(f"--task {answers.task}: labels and sample tell {found.task}. Declare it by hand.")
    return found


def refuse_other_kinds(columns: Sequence[str], target: str | None = None) -> None:
    """Raise UnclearError where the sample's columns, or that of the labels, are of boxes or of masks."""
    names = [name.lower() for name in (*columns, target or "")]
    if any(word in name for name in names for word in _OF_BOXES):
        raise UnclearError(f"{', '.join(columns)}: boxes, which no competition here predicts yet.")
    if len(columns) == 1 and any(word in names[0] for word in _OF_MASKS):
        raise UnclearError(
            f"the sample's column {columns[0]!r} asks for masks: declare them by hand, as in competitions/carvana.py."
        )


def _of_columns(labels: Labels, columns: Sequence[str]) -> Prediction:
    if labels.are_shares:
        return Prediction(
            task="multiclass", classes=tuple(columns), cells="probabilities", metrics=("log_loss", "accuracy")
        )
    return Prediction(task="multilabel", classes=tuple(columns), cells="probabilities", metrics=("auc", "log_loss"))


def _of_classes(labels: Labels, columns: Sequence[str]) -> Prediction:
    names = tuple(sorted(set(labels.values)))
    if set(names) != set(columns):
        only_here, only_there = sorted(set(columns) - set(names)), sorted(set(names) - set(columns))
        raise UnclearError(
            f"the sample has {counted(len(columns), 'column')}, and there are {counted(len(names), 'label')}: "
            f"{', '.join(names[:8])}. Columns that are no label: {', '.join(only_here[:8]) or 'none'}; labels without "
            "a column: "
            f"{', '.join(only_there[:8]) or 'none'}."
        )
    return Prediction(task="multiclass", classes=names, cells="probabilities", metrics=("log_loss",))


def _of_texts(texts: Sequence[str], cells: Sequence[str], answers: Answers) -> Prediction:
    """Return what one column of labels and one of the sample, without its empty cells, tell."""
    names = tuple(sorted(set(texts)))
    if (tags := _tags(texts, cells, answers)) is not None:
        return tags
    if num_empty := sum(not text.strip() for text in texts):
        raise UnclearError(
            f"{num_empty} of {counted(len(texts), 'image')} have an empty label. Remove their rows, or name them."
        )
    if all(map(_is_number, texts)):
        return _of_numbers(texts, cells, names, answers)
    if not cells or not all(map(_is_number, cells)) or answers.task == "multiclass":
        return Prediction(task="multiclass", classes=names, cells="label", metrics=("accuracy",))
    if len(names) == 2:
        return _binary(names, cells, answers)
    raise UnclearError(
        f"the labels are {counted(len(names), 'name')}, {', '.join(names[:8])}, and the sample's cells numbers, such "
        f"as {cells[0]!r}. If the name is to be submitted say so: --task multiclass."
    )


def _tags(texts: Sequence[str], cells: Sequence[str], answers: Answers) -> Prediction | None:
    """Return labels of which an image has several, separated by spaces; None where each image has one."""
    if answers.task == "multiclass":
        return None
    for mark in _OTHER_MARKS:
        if any(mark in text for text in texts):
            raise UnclearError(
                f"labels such as {next(text for text in texts if mark in text)!r} have {mark!r} in them: names, or "
                f"several tags? Of names say --task multiclass; declare tags by hand, with "
                f"SubmissionFormat(cells='tags', separator={mark!r})."
            )
    words = [text.split() for text in (*texts, *cells)]
    if all(len(each) <= 1 for each in words):
        return None
    tags, names = {tag for text in texts for tag in text.split()}, set(texts)
    if all(map(_is_number, tags)) and (any("." in tag for tag in tags) or any(len(set(w)) < len(w) for w in words)):
        example = max(texts, key=len)
        raise UnclearError(
            f"labels such as {example[:60]!r} are rows of numbers: boxes, points or run lengths, not tags."
        )
    varies = len({len(each) for each in words if each}) > 1
    if answers.task == "multilabel" or (varies and len(tags) < len(names)):
        return Prediction(task="multilabel", classes=tuple(sorted(tags)), cells="tags", metrics=("f2", "f1"))
    if len(tags) >= len(names):
        return None
    raise UnclearError(
        f"labels such as {texts[0]!r} are of as many words each: names, or several tags? Say it: --task multiclass "
        f"or --task multilabel."
    )


def _of_numbers(texts: Sequence[str], cells: Sequence[str], names: tuple[str, ...], answers: Answers) -> Prediction:
    if any("." in text.rstrip("0").rstrip(".") for text in texts):
        return Prediction(task="regression", cells="numbers", metrics=("rmse", "mae", "r2"))
    if answers.task == "regression":
        return Prediction(task="regression", cells="numbers", metrics=("rmse", "mae", "quadratic_kappa"))
    if answers.task == "multiclass":
        return Prediction(task="multiclass", classes=names, cells="label", metrics=("accuracy", "quadratic_kappa"))
    if len(names) == 2:
        return _binary(names, cells, answers)
    raise UnclearError(
        f"the labels are {counted(len(names), 'whole number')}, {', '.join(names[:8])}: are they names of classes, or "
        "amounts? Say it: --task multiclass or --task regression."
    )


def _binary(names: tuple[str, ...], cells: Sequence[str], answers: Answers) -> Prediction:
    positive = answers.positive or ("1" if names == ("0", "1") else None)
    if positive not in names:
        raise UnclearError(
            f"the sample asks for one number, and the labels are {names[0]!r} and {names[1]!r}: of which is "
            f"it the probability? Say it: --positive {names[1]}."
        )
    if answers.metric is None and not any(_is_number(cell) and 0 < float(cell) < 1 for cell in cells):
        raise UnclearError(
            "the sample's numbers are all 0 or 1: are probabilities asked for, or answers? Name the metric: "
            "--metric log_loss, auc or accuracy."
        )
    classes = tuple(sorted(names, key=lambda name: name == positive))
    return Prediction(
        task="binary", classes=classes, cells=_binary_cells(names, cells, answers),
        metrics=("log_loss", "auc", "accuracy"),
    )  # fmt: skip


def _binary_cells(names: tuple[str, ...], cells: Sequence[str], answers: Answers) -> CellKind:
    """Return the names as cells where they are asked for: labels 1 and 2 are not answered by 0 and 1."""
    are_answers = answers.metric is not None and metric_by_name(answers.metric).decision != "none"
    return "label" if are_answers and names != ("0", "1") and set(cells) <= set(names) else "probabilities"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
