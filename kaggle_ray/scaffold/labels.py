"""Finds where a download has its labels: in a table, or in the names of folders or images."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

import pandas as pd

from kaggle_ray.scaffold.answers import Answers, UnclearError, only
from kaggle_ray.scaffold.files import Download

LabelKind = Literal["column", "one_hot", "folders", "names"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Labels:
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


def find_labels(
    download: Download, answers: Answers, columns: Sequence[str], test_ids: Sequence[str], test_folder: str
) -> Labels:
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
        name = only(sorted(told), None, "one table of labels", "--labels FILE")
        table = download.tables[name]
        id_column = only(told[name], answers.id_column, f"one column of {name} that names the images", "--id COLUMN")
        ids = table[id_column].tolist()
        folders = download.folders_with(ids)
        # Where one folder has both, a folder of their own is the one that is meant.
        train_folder = only(
            [each for each in folders if each != test_folder] or folders,
            answers.train,
            f"one folder with the images of {name}",
            "--train FOLDER",
            known=folders,
        )
        return _of_table(table, name, id_column, train_folder, columns, answers)
    if tables:
        raise UnclearError(
            f"{', '.join(sorted(tables))}: name images, and none has a column that the sample's "
            f"{', '.join(columns[:8])} tell to be the label. Name table and column: --labels FILE --target COLUMN."
        )
    return _without_table(download, answers, test_folder)


def _of_table(
    table: pd.DataFrame, name: str, id_column: str, train_folder: str, columns: Sequence[str], answers: Answers
) -> Labels:
    targets = _targets(table, id_column, columns, answers)
    if len(targets) > 1 and targets == list(columns):
        values = table[targets]
        if not values.isin(["0", "1"]).all().all():
            raise UnclearError(
                f"{name}: the columns {', '.join(targets[:8])} hold more than 0 and 1: declare several heads by hand."
            )
        return Labels(
            kind="one_hot", train_folder=train_folder, file=name, id_column=id_column,
            are_shares=bool((values.astype(int).sum(axis=1) == 1).all()),
        )  # fmt: skip
    target = only(targets, answers.target, f"one column of {name} with the labels", "--target COLUMN")
    return Labels(
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


def _without_table(download: Download, answers: Answers, test_folder: str) -> Labels:
    """Return labels that the names of folders or of images tell."""
    others = [folder for folder in download.images if folder != test_folder]
    if answers.train is not None:
        chosen = [folder for folder in others if PurePosixPath(folder).is_relative_to(answers.train)]
        if not chosen:
            there = ", ".join(sorted(others)[:8]) or "none"
            raise UnclearError(
                f"--train {answers.train}: expected a folder with images, or of such; there are: {there}."
            )
        others = chosen
    parents = {str(PurePosixPath(folder).parent) for folder in others}
    for parent in sorted(parents):
        inside = [folder for folder in others if str(PurePosixPath(folder).parent) == parent]
        if parent != "." and len(inside) > 1 and len(inside) == len(others):
            if len({download.images[folder] for folder in inside}) == 1:
                raise UnclearError(
                    f"{', '.join(sorted(inside)[:8])}: have images of the same names: masks, or several of a row. "
                    f"Declare them by hand, as in competitions/carvana.py."
                )
            classes = [PurePosixPath(folder).name for folder in inside for _ in download.images[folder]]
            return Labels(kind="folders", train_folder=parent, values=tuple(classes))
    if named := {folder: labels for folder in others if (labels := _labels_in_names(download.images[folder]))}:
        folder = only(sorted(named), None, "one folder with images whose names tell their labels", "--train FOLDER")
        if len(others) > 1:
            raise UnclearError(
                f"{folder}: the names of its images tell labels, and there are images in "
                f"{', '.join(sorted(set(others) - {folder})[:8])}, too. Say which to train on: --train {folder}."
            )
        return Labels(kind="names", train_folder=folder, values=named[folder])
    raise UnclearError(
        f"{download.folder}: no table names the training images, and neither folders nor names tell labels. "
        f"Found the tables {', '.join(download.tables) or 'none'} and images in {', '.join(sorted(download.images))}."
    )


def _labels_in_names(stems: Collection[str]) -> tuple[str, ...]:
    """Return what stands before the first dot of each name, where it can be a label: of few kinds, in every name."""
    prefixes = tuple(stem.partition(".")[0] for stem in stems)
    are_labels = all("." in stem for stem in stems) and 1 < len(set(prefixes)) <= len(prefixes) / 2
    return prefixes if are_labels else ()
