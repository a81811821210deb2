"""What a person calls experiments, and notes of them: beside the run, and no part of what it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from kaggle_ray.errors import ConfigError
from kaggle_ray.store.blobs import Blobs
from kaggle_ray.store.schema import decode, encode
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import Experiment
from kaggle_ray.untrusted import MAX_JSON_BYTES, PathPart

LABELS_FILE = "labels.json"
_MOST_LETTERS, _MOST_OF_NOTES = 100, 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """Name and notes of one's own of an experiment; empty where there are none."""

    name: str = ""
    notes: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Labels:
    """What labels.json says."""

    experiments: dict[PathPart, Label]


def read_labels(blobs: Blobs) -> dict[str, Label]:
    """Return experiment id -> label, of those that have one."""
    data = blobs.get(LABELS_FILE, max_bytes=MAX_JSON_BYTES)
    where = f"{blobs.location}/{LABELS_FILE}"
    return {} if data is None else dict(from_json(_Labels, decode(data, where=where), where=where).experiments)


def write_label(
    blobs: Blobs, experiments: Sequence[Experiment], experiment_id: str, *, name: str | None, notes: str | None
) -> None:
    """Keep a name and notes of an experiment; None leaves what there is, an empty text removes it.

    Args:
        blobs: of the run.
        experiments: of the run, by the names that the run gave them.
        experiment_id: which of them.
        name: its new name.
        notes: its new notes.

    Raises:
        ConfigError: the name is none that tells it from the others, or a text is too long.
    """
    labels = dict(read_labels(blobs))
    before = labels.get(experiment_id, Label())
    after = Label(name=before.name if name is None else name, notes=before.notes if notes is None else notes)
    labels[experiment_id] = after
    check_label(experiments, labels, experiment_id)
    kept = {each: asdict(label) for each, label in labels.items() if label != Label()}
    blobs.put(LABELS_FILE, encode({"experiments": kept}))


def check_label(experiments: Sequence[Experiment], labels: Mapping[str, Label], experiment_id: str) -> None:
    """Raise ConfigError where the label of an experiment does not tell it from the others, or is too long.

    Args:
        experiments: of the run, by the names that the run gave them.
        labels: of some of them.
        experiment_id: whose label is looked at.
    """
    others = {each.experiment_id: each.name for each in experiments if each.experiment_id != experiment_id}
    others |= {other: label.name for other, label in labels.items() if label.name and other in others}
    _check(labels[experiment_id], others)


def labelled(experiments: Sequence[Experiment], labels: Mapping[str, Label]) -> tuple[Experiment, ...]:
    """Return the experiments by their own names, where they have one."""
    return tuple(
        dataclasses.replace(each, name=labels[each.experiment_id].name)
        if each.experiment_id in labels and labels[each.experiment_id].name
        else each
        for each in experiments
    )


def _check(label: Label, others: Mapping[str, str]) -> None:
    is_line = label.name.isprintable() and "/" not in label.name and label.name == label.name.strip()
    if not is_line or len(label.name) > _MOST_LETTERS:
        raise ConfigError(
            f"name {label.name[:_MOST_LETTERS]!r}: expected a line of at most {_MOST_LETTERS} letters, without '/' and "
            f"without blanks around it."
        )
    for other, taken in others.items():
        if label.name and (label.name == taken or other.startswith(label.name)):
            raise ConfigError(f"name {label.name!r}: the experiment {other} has it already: {taken}. Choose another.")
    if len(label.notes) > _MOST_OF_NOTES:
        raise ConfigError(f"notes: expected at most {_MOST_OF_NOTES} letters, got {len(label.notes)}.")
