"""Concludes from a download what the competition is; what is not certain is asked, never guessed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal

import pandas as pd

from kaggle_ray.data.submission_format import CellKind
from kaggle_ray.errors import ConfigError
from kaggle_ray.scaffold.files import Download
from kaggle_ray.types import Task

LabelKind = Literal["column", "one_hot", "folders", "names"]


class UnclearError(ConfigError):
    """The files leave something open; the message says what, and which option answers it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """What the user has said, where the files do not."""

    sample: str | None = None
    labels: str | None = None
    id_column: str | None = None
    target: str | None = None
    task: Task | None = None
    positive: str | None = None
    metric: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Conclusion:
    """What the competition is."""

    sample_file: str
    test_id_column: str
    columns: tuple[str, ...]
    """Columns of the sample, without the id's."""
    test_folder: str
    label_kind: LabelKind
    train_folder: str
    """Folder of the images; with a folder for each class, the one that has these."""
    label_file: str | None
    id_column: str | None
    target: str | None
    """Column of the labels, where one column has them."""
    task: Task
    classes: tuple[str, ...]
    cells: CellKind
    metrics: tuple[str, ...]
    """Candidates, the one that is written first."""
    said: list[tuple[str, str]] = field(default_factory=list)
    """What was concluded, and why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Labels:
    """Where the labels are."""

    kind: LabelKind
    train_folder: str
    values: tuple[str, ...] = ()
    """The label of each training image; empty where several columns have them."""
    file: str | None = None
    id_column: str | None = None
    target: str | None = None
    are_shares: bool = True
    """Whether each row of one-hot columns has exactly one 1."""


def conclude(download: Download, answers: Answers) -> Conclusion:
    """Return what the competition is.

    Raises:
        UnclearError: the files leave something open.
    """
    sample_file = _only(
        sorted(download.samples), answers.sample, "a sample submission", "--sample", known=download.samples
    )
    sample = download.samples[sample_file]
    test_id_column, *columns = map(str, sample.columns)
    test_ids = sample.iloc[:, 0].tolist()
    folders = download.folders_with(test_ids)
    # Train and test may both count from 1: the folder that has these images and no others is meant.
    exact = [folder for folder in folders if len(download.images[folder]) == len(test_ids)]
    what = f"one folder with an image of each of the {len(test_ids)} ids of {sample_file}"
    test_folder = _only(exact or folders, None, what, "--data, with the folder that has them")
    labels = _labels(download, answers, columns, test_ids, test_folder)
    task, classes, cells, metrics = _task(labels, columns, sample, answers)
    if answers.metric:
        metrics = (answers.metric, *(name for name in metrics if name != answers.metric))
    where = labels.file or labels.train_folder
    said = [
        ("submission", f"{sample_file}: {test_id_column}; {', '.join(columns[:8])}: cells of kind {cells}"),
        ("test images", f"{test_folder}/: has an image of each of the {len(test_ids)} ids of {sample_file}"),
        ("training images", f"{labels.train_folder}/: " + _why_train(labels)),
        ("labels", f"{where}: {_why_labels(labels)}"),
        ("task", f"{task}, {len(classes)} classes: {', '.join(classes[:8])}" if classes else task),
        ("metric", f"{metrics[0]}: no file tells it. Candidates: {', '.join(metrics)}; see the competition's page"),
    ]
    return Conclusion(
        sample_file=sample_file, test_id_column=test_id_column, columns=tuple(columns), test_folder=test_folder,
        label_kind=labels.kind, train_folder=labels.train_folder, label_file=labels.file, id_column=labels.id_column,
        target=labels.target, task=task, classes=classes, cells=cells, metrics=metrics, said=said,
    )  # fmt: skip


def _labels(
    download: Download, answers: Answers, columns: Sequence[str], test_ids: Sequence[str], test_folder: str
) -> _Labels:
    """Return where the labels are: in a table, in the names of folders, or in those of the images."""
    tables = {name: found for name, table in download.tables.items() if (found := _id_columns(download, table))}
    if answers.labels is not None:
        if answers.labels not in tables:
            raise UnclearError(f"{answers.labels}: no column of it names images. Name another table with --labels.")
        tables = {answers.labels: tables[answers.labels]}
    # A table of the test rows alone has no labels.
    tables = {
        name: ids for name, ids in tables.items() if not set(download.tables[name][ids[0]]) <= set(test_ids)
    }  # fmt: skip
    told = {name: ids for name, ids in tables.items() if _targets(download.tables[name], ids[0], columns, answers)}
    if told:
        name = _only(sorted(told), None, "one table of labels", "--labels FILE")
        table = download.tables[name]
        id_column = _only(told[name], answers.id_column, f"one column of {name} that names the images", "--id COLUMN")
        ids = table[id_column].tolist()
        folders = download.folders_with(ids)
        # Where one folder has both, a folder of their own is the one that is meant.
        train_folder = _only(
            [each for each in folders if each != test_folder] or folders,
            None,
            f"one folder with the images of {name}",
            "--data",
        )
        return _of_table(table, name, id_column, train_folder, columns, answers)
    if tables:
        raise UnclearError(
            f"{', '.join(sorted(tables))}: name images, and none has a column that the sample's "
            f"{', '.join(columns[:8])} tell to be the label. Name table and column: --labels FILE --target COLUMN."
        )
    return _without_table(download, test_folder)


def _of_table(
    table: pd.DataFrame, name: str, id_column: str, train_folder: str, columns: Sequence[str], answers: Answers
) -> _Labels:
    targets = _targets(table, id_column, columns, answers)
    if len(targets) > 1 and targets == list(columns):
        values = table[targets]
        if not values.isin(["0", "1"]).all().all():
            raise UnclearError(
                f"{name}: the columns {', '.join(targets[:8])} hold more than 0 and 1: declare several heads by hand."
            )
        return _Labels(
            kind="one_hot", train_folder=train_folder, file=name, id_column=id_column,
            are_shares=bool((values.astype(int).sum(axis=1) == 1).all()),
        )  # fmt: skip
    target = _only(targets, answers.target, f"one column of {name} with the labels", "--target COLUMN")
    return _Labels(
        kind="column",
        train_folder=train_folder,
        values=tuple(table[target]),
        file=name,
        id_column=id_column,
        target=target,
    )


def _targets(table: pd.DataFrame, id_column: str, columns: Sequence[str], answers: Answers) -> list[str]:
    """Return the columns that may be the labels, by the sample's columns."""
    others = [str(name) for name in table.columns if name != id_column]
    if answers.target is not None:
        return [answers.target] if answers.target in others else []
    if common := [name for name in columns if name in others]:
        return common if len(common) in (1, len(columns)) else []
    by_class = [name for name in others if len(columns) > 1 and set(table[name]) == set(columns)]
    return by_class or (others if len(others) == 1 else [])


def _id_columns(download: Download, table: pd.DataFrame) -> list[str]:
    """Return the columns whose cells all differ and all name images of one folder."""
    return [
        str(name)
        for name in table.columns
        if table[name].is_unique and len(table) and download.folders_with(table[name].tolist())
    ]


def _without_table(download: Download, test_folder: str) -> _Labels:
    """Return labels that the names of folders or of images tell."""
    others = [folder for folder in download.images if folder != test_folder]
    parents = {str(PurePosixPath(folder).parent) for folder in others}
    for parent in sorted(parents):
        inside = [folder for folder in others if str(PurePosixPath(folder).parent) == parent]
        if parent != "." and len(inside) > 1 and len(inside) == len(others):
            classes = [PurePosixPath(folder).name for folder in inside for _ in download.images[folder]]
            return _Labels(kind="folders", train_folder=parent, values=tuple(classes))
    if len(others) == 1:
        prefixes = [stem.partition(".")[0] for stem in download.images[others[0]]]
        if all("." in stem for stem in download.images[others[0]]) and 1 < len(set(prefixes)) <= len(prefixes) / 2:
            return _Labels(kind="names", train_folder=others[0], values=tuple(prefixes))
    raise UnclearError(
        f"{download.folder}: no table names the training images, and neither folders nor names tell labels. "
        f"Found the tables {', '.join(download.tables) or 'none'} and images in {', '.join(sorted(download.images))}."
    )


def _task(
    labels: _Labels, columns: Sequence[str], sample: pd.DataFrame, answers: Answers
) -> tuple[Task, tuple[str, ...], CellKind, tuple[str, ...]]:
    """Return task, classes, kind of cells and candidates of the metric."""
    if labels.kind == "one_hot":
        if labels.are_shares:
            return "multiclass", tuple(columns), "probabilities", ("log_loss", "accuracy")
        return "multilabel", tuple(columns), "probabilities", ("auc", "log_loss")
    names = tuple(sorted(set(labels.values)))
    if len(columns) > 1:
        if answers.task not in (None, "multiclass") or len(names) != len(columns):
            raise UnclearError(
                f"the sample has {len(columns)} columns, and there are {len(names)} labels: {', '.join(names[:8])}."
            )
        return "multiclass", names, "probabilities", ("log_loss",)
    cells = sample.iloc[:, 1].tolist()
    are_numbers = [all(_is_number(text) for text in texts) for texts in (cells, labels.values)]
    if any(word in columns[0].lower() for word in ("rle", "mask", "pixels")):
        raise UnclearError(
            f"the sample's column {columns[0]!r} asks for masks: declare them by hand, as in competitions/carvana.py."
        )
    if not are_numbers[0]:
        tags = {tag for text in labels.values for tag in text.split()}
        if any(" " in text for text in (*cells, *labels.values)) and len(tags) < len(names):
            return "multilabel", tuple(sorted(tags)), "tags", ("f2", "f1")
        return "multiclass", names, "label", ("accuracy",)
    if are_numbers[1] and any("." in text.rstrip("0").rstrip(".") for text in labels.values):
        return "regression", (), "numbers", ("rmse", "mae", "r2")
    if len(names) == 2:
        return _binary(names, cells, answers)
    if answers.task == "regression" and are_numbers[1]:
        return "regression", (), "numbers", ("rmse", "mae", "quadratic_kappa")
    if answers.task == "multiclass":
        return "multiclass", names, "label", ("accuracy", "quadratic_kappa")
    raise UnclearError(
        f"the labels are {len(names)} whole numbers, {', '.join(names[:8])}, and the sample's too: are they "
        "names of classes, or "
        f"amounts? Say it: --task multiclass or --task regression."
    )


def _binary(
    names: tuple[str, ...], cells: Sequence[str], answers: Answers
) -> tuple[Task, tuple[str, ...], CellKind, tuple[str, ...]]:
    positive = answers.positive or ("1" if names == ("0", "1") else None)
    if positive not in names:
        raise UnclearError(
            f"the sample asks for one number, and the labels are {names[0]!r} and {names[1]!r}: of which is "
            "it the probability? "
            f"Say it: --positive {names[1]}."
        )
    if answers.metric is None and not any(0 < float(cell) < 1 for cell in cells):
        raise UnclearError(
            "the sample's numbers are all 0 or 1: are probabilities asked for, or answers? Name the metric: "
            "--metric log_loss, "
            "auc or accuracy."
        )
    classes = tuple(sorted(names, key=lambda name: name == positive))
    return "binary", classes, "probabilities", ("log_loss", "auc", "accuracy")


def _only(found: Sequence[str], answer: str | None, what: str, option: str, *, known: object = None) -> str:
    """Return the only one, or the one that the user named. Raises UnclearError where there are none or several."""
    if answer is not None and answer in (known if isinstance(known, dict) else found):
        return answer
    if len(found) == 1 and answer is None:
        return found[0]
    got = f"{len(found)}: {', '.join(map(str, found[:8]))}" if found else "none"
    raise UnclearError(f"expected {what}, found {got}. Say it: {option}.")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _why_train(labels: _Labels) -> str:
    if labels.kind == "folders":
        return "a folder for each class"
    if labels.kind == "names":
        return "the only other folder with images"
    return f"has an image of each id of {labels.file}"


def _why_labels(labels: _Labels) -> str:
    shares = "one" if labels.are_shares else "any number"
    return {
        "column": f"column {labels.target!r}, joined by {labels.id_column!r}",
        "one_hot": f"a column of 0 and 1 for each of the sample's, {shares} to a row",
        "folders": "the name of each image's folder",
        "names": "what stands before the first dot of each image's name",
    }[labels.kind]
