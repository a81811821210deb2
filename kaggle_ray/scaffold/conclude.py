"""Concludes from a download what the competition is; what is not certain is asked, never guessed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kaggle_ray.counted import counted
from kaggle_ray.data.submission_format import CellKind
from kaggle_ray.scaffold.answers import Answers, UnclearError, only
from kaggle_ray.scaffold.files import Download
from kaggle_ray.scaffold.labels import LabelKind, Labels, find_labels
from kaggle_ray.scaffold.task import prediction_of, refuse_other_kinds
from kaggle_ray.types import Task


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


def conclude(download: Download, answers: Answers) -> Conclusion:
    """Return what the competition is.

    Raises:
        UnclearError: the files leave something open.
    """
    try:
        return _conclude(download, answers)
    except UnclearError as error:
        if not download.unread:
            raise
        more = f" and {len(download.unread) - 5} more" if len(download.unread) > 5 else ""
        raise UnclearError(
            f"{error} Not looked into: {', '.join(download.unread[:5])}{more}. Unpack archives, and save tables as CSV."
        ) from error


def _conclude(download: Download, answers: Answers) -> Conclusion:
    tables = {**download.tables, **download.samples}
    sample_file = only(sorted(download.samples), answers.sample, "a sample submission", "--sample", known=tables)
    sample = tables[sample_file]
    test_id_column, *columns = map(str, sample.columns)
    refuse_other_kinds(columns)  # of masks, two folders have images of the training rows
    test_ids = sample.iloc[:, 0].tolist()
    folders = download.folders_with(test_ids)
    # Train and test may both count from 1: the folder that has these images and no others is meant.
    exact = [folder for folder in folders if len(download.images[folder]) == len(test_ids)]
    what = f"one folder with an image of each of the {counted(len(test_ids), 'id')} of {sample_file}"
    test_folder = only(exact or folders, None, what, "--data, with the folder that has them")
    labels = find_labels(download, answers, columns, test_ids, test_folder)
    found = prediction_of(labels, columns, sample, answers)
    classes, metrics = found.classes, found.metrics
    if answers.metric:
        metrics = (answers.metric, *(name for name in metrics if name != answers.metric))
    where = labels.file or labels.train_folder
    said = [
        ("submission", f"{sample_file}: {test_id_column}; {', '.join(columns[:8])}: cells of kind {found.cells}"),
        ("test images", f"{test_folder}/: has an image of each of the {counted(len(test_ids), 'id')} of {sample_file}"),
        ("training images", f"{labels.train_folder}/: " + _why_train(labels)),
        ("labels", f"{where}: {_why_labels(labels)}"),
        (
            "task",
            f"{found.task}, {counted(len(classes), 'class')}: {', '.join(classes[:8])}" if classes else found.task,
        ),
        ("metric", f"{metrics[0]}: no file tells it. Candidates: {', '.join(metrics)}; see the competition's page"),
    ]
    said += [("not used", text) for text in _unused_numbers(download, labels, columns)]
    return Conclusion(
        sample_file=sample_file, test_id_column=test_id_column, columns=tuple(columns), test_folder=test_folder,
        label_kind=labels.kind, train_folder=labels.train_folder, label_file=labels.file, id_column=labels.id_column,
        target=labels.target, task=found.task, classes=classes, cells=found.cells, metrics=metrics, said=said,
    )  # fmt: skip


def _unused_numbers(download: Download, labels: Labels, columns: Sequence[str]) -> Iterator[str]:
    """Yield that the table of labels has columns which another table has, too: they come with the images."""
    if labels.file is None:
        return
    known = {labels.id_column, labels.target, *columns}
    others = [str(name) for name in download.tables[labels.file].columns if name not in known]
    for file, table in download.tables.items():
        if file != labels.file and (shared := [name for name in others if name in table.columns]):
            yield (
                f"{counted(len(shared), 'column')} that {labels.file} and {file} both have, such as {shared[0]!r}: "
                "what comes with an image is declared by hand, as in competitions/leaf.py"
            )


def _why_train(labels: Labels) -> str:
    if labels.kind == "folders":
        return "a folder for each class"
    if labels.kind == "names":
        return "the folder with images whose names tell labels"
    return f"has an image of each id of {labels.file}"


def _why_labels(labels: Labels) -> str:
    shares = "one" if labels.are_shares else "any number"
    return {
        "column": f"column {labels.target!r}, joined by {labels.id_column!r}",
        "one_hot": f"a column of 0 and 1 for each of the sample's, {shares} to a row",
        "folders": "the name of each image's folder",
        "names": "what stands before the first dot of each image's name",
    }[labels.kind]
