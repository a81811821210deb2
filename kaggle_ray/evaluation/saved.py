"""What a run keeps of its scored rows, so that whoever has its folder can look at them without the competition's files.

``evaluation/rows.npy`` has the rows in the order of their ids, ``evaluation/rows.json`` what its columns mean and the
rules that decided them. It is written last, and has the digest of the other. Pixels of masks are not kept: their counts
are, of the chosen ensemble.

Shape legend: N scored rows, T columns of a target, C columns of a prediction, K classes of a pixel that are drawn.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from kaggle_ray.counted import counted
from kaggle_ray.data.folds_csv import ids_by_fold
from kaggle_ray.data.head import Head, place_heads
from kaggle_ray.decide import Decision
from kaggle_ray.errors import CorruptBlobError, StoreError
from kaggle_ray.evaluation.answers import Answers, MaskAnswers, answered_pixels, answers_of
from kaggle_ray.evaluation.table import Evaluation
from kaggle_ray.metrics import LOG_LOSS
from kaggle_ray.rows import LazyRows, Rows, select_rows
from kaggle_ray.store.predictions import float_rows
from kaggle_ray.store.run import FOLDS_FILE, RunStore
from kaggle_ray.store.schema import decode, encode
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import ByteArray, Float64Array, IntArray, JsonValue, StrArray, Task
from kaggle_ray.untrusted import MAX_JSON_BYTES, MAX_LIST_BYTES, PathPart, Sha256

_FOLDER = "evaluation"
_TABLE, _DESCRIPTION = f"{_FOLDER}/rows.npy", f"{_FOLDER}/rows.json"
_AGAIN = "Run the command of its run.json again: it is made anew."

Rules = Mapping[str, Mapping[str, JsonValue]]
"""Part, as a text -> the rule that its rows were decided by, as ``Decision.to_json`` gives it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SavedHead:
    """One question of the competition."""

    name: str
    task: Task
    classes: tuple[str, ...]
    loss_weight: float

    def to_head(self) -> Head:
        """Return the head, whose metric is not kept: nothing is scored by it here."""
        return Head(name=self.name, task=self.task, classes=self.classes, loss_weight=self.loss_weight, metric=LOG_LOSS)


@dataclass(frozen=True, kw_only=True, slots=True)
class SavedRows:
    """What rows.json says."""

    heads: tuple[SavedHead, ...]
    ensemble: PathPart
    """Name of the chosen ensemble."""
    rules: Rules
    """Rules of the ensemble."""
    rules_of: Mapping[str, Rules]
    """Experiment or member id -> the rules of what it predicts alone; of those that have an honest score."""
    sha256: Sha256
    """Digest of rows.npy, whose columns are the row's place among the ensemble's out-of-fold predictions, its part, and
    its target, or of masks three counts for each class: the pixels that are true, answered, and both."""


def save_rows(
    store: RunStore,
    ids: StrArray,
    part_of: IntArray,
    numbers: Float64Array,
    *,
    heads: Sequence[Head],
    ensemble: str,
    rules: Mapping[int, Decision],
    rules_of: Mapping[str, Mapping[int, Decision]],
) -> None:
    """Keep the scored rows of a run.

    Args:
        store: of the run.
        ids: (N,) of the rows, in the order of the ensemble's out-of-fold predictions.
        part_of: (N,) the part of each row.
        numbers: (N, T) their target, or of masks (N, 3K) counts.
        heads: of the competition.
        ensemble: name of the chosen one.
        rules: part -> the rule that decided its rows.
        rules_of: experiment or member id -> the same of what it predicts alone.
    """
    by_id = np.argsort(ids)
    table = np.column_stack([by_id, part_of[by_id], numbers[by_id]]).astype(np.float64)
    buffer = io.BytesIO()
    np.save(buffer, table, allow_pickle=False)
    data = buffer.getvalue()
    saved = SavedRows(
        heads=tuple(
            SavedHead(name=head.name, task=head.task, classes=head.classes, loss_weight=head.loss_weight)
            for head in heads
        ),
        ensemble=ensemble,
        rules=_to_json(rules),
        rules_of={member_id: _to_json(of_member) for member_id, of_member in rules_of.items()},
        sha256=hashlib.sha256(data).hexdigest(),
    )
    store.blobs.put(_TABLE, data)
    store.blobs.put(_DESCRIPTION, encode(asdict(saved)))


def remove_rows(store: RunStore) -> None:
    """Remove what is kept of a run's scored rows: it tells of an ensemble that is no longer there."""
    store.blobs.delete(_FOLDER)


def keeps_rows(store: RunStore) -> bool:
    """Return whether a run keeps its scored rows: one of an earlier version, or without an honest score, does not."""
    return store.blobs.written_at(_DESCRIPTION) is not None


def ensemble_evaluation(store: RunStore) -> Evaluation:
    """Return the scored rows as the chosen ensemble answers them: each by weights and a rule that never saw it.

    Raises:
        StoreError: the run keeps no rows: it is of an earlier version, has no ensemble yet, or none with an honest
            score.
        CorruptBlobError: a file is not what was kept.
    """
    saved, table = _read(store)
    key = f"ensembles/{saved.ensemble}/oof.npy"
    try:
        values = float_rows(np.lib.format.open_memmap(store.blobs.path(key), mode="r"))
    except (OSError, ValueError) as error:
        raise CorruptBlobError(f"{store.location}/{key}: is not an array of numbers: {error}. {_AGAIN}") from error
    if len(values.shape) != 2 or len(values) != len(table):
        raise CorruptBlobError(
            f"{store.location}/{key}: expected {counted(len(table), 'row')}, got {values.shape}. {_AGAIN}"
        )
    in_order = select_rows(values, table[:, 0].astype(np.int64))
    if saved.heads[0].task == "segmentation":
        of_masks = {saved.heads[0].name: _mask_answers(store, saved, table, in_order)}
        return _assembled(store, saved, of_masks, num_rows=len(table))
    return _decided(store, saved, table, in_order, saved.rules)


def experiment_evaluation(store: RunStore, experiment_id: str, name: str, values: Rows) -> Evaluation:
    """Return the scored rows as one experiment answers them.

    Args:
        store: of the run.
        experiment_id: of the experiment.
        name: of the experiment, for messages.
        values: (N, C) its out-of-fold predictions, in the order of the ids.

    Raises:
        StoreError: the run keeps no rows, or the experiment has no honest score.
    """
    saved, table = _read(store)
    if experiment_id not in saved.rules_of:
        raise StoreError(f"{store.location}: {name}: has no honest score, so that its answers would flatter.")
    return _decided(store, saved, table, values, saved.rules_of[experiment_id])


def _decided(store: RunStore, saved: SavedRows, table: Float64Array, values: Rows, rules: Rules) -> Evaluation:
    part_of, of_parts = _rules(store, table, rules)
    of_heads: dict[str, Answers] = {
        place.head.name: answers_of(place, table[:, 2:], values[:], part_of, of_parts)
        for place in place_heads([head.to_head() for head in saved.heads])
    }
    return _assembled(store, saved, of_heads, num_rows=len(table))


def _mask_answers(store: RunStore, saved: SavedRows, table: Float64Array, values: Rows) -> MaskAnswers:
    classes = saved.heads[0].classes
    drawn = classes if len(classes) == 1 else classes[1:]
    part_of, of_parts = _rules(store, table, saved.rules)

    def read(rows: IntArray) -> ByteArray:
        of_rows = zip(rows.tolist(), values[rows], strict=True)
        return np.stack([answered_pixels(said, len(classes), of_parts[int(part_of[row])]) for row, said in of_rows])

    return MaskAnswers(
        names=drawn,
        counts=table[:, 2:].astype(np.int64).reshape(len(table), len(drawn), 3),
        pixels=LazyRows((len(table), values.shape[1] // len(classes)), read),
    )


def _rules(store: RunStore, table: Float64Array, rules: Rules) -> tuple[IntArray, dict[int, Decision]]:
    """Return (N,) the part of each row, and part -> the rule that decides its rows."""
    part_of = table[:, 1].astype(np.int64)
    of_parts = {int(part): Decision.from_json(rule) for part, rule in rules.items()}
    if missing := set(np.unique(part_of).tolist()) - of_parts.keys():
        raise CorruptBlobError(f"{store.location}/{_DESCRIPTION}: has no rule for the parts {sorted(missing)}.")
    return part_of, of_parts


def _assembled(store: RunStore, saved: SavedRows, of_heads: Mapping[str, Answers], *, num_rows: int) -> Evaluation:
    """Return the answers with ids and folds, which folds.csv tells.

    Raises:
        CorruptBlobError: it is not of as many rows.
    """
    by_fold = {fold: ids for fold, ids in ids_by_fold(store.folds_csv() or "").items() if fold >= 0}
    if (found := sum(map(len, by_fold.values()))) != num_rows:
        raise CorruptBlobError(
            f"{store.location}/{FOLDS_FILE}: expected {counted(num_rows, 'scored row')}, got {found}. Restore the file."
        )
    ids = np.concatenate(list(by_fold.values()))
    fold_of = np.concatenate([np.full(len(of_fold), fold) for fold, of_fold in by_fold.items()])
    by_id = np.argsort(ids)
    return Evaluation(
        ids=ids[by_id],
        fold_of=fold_of[by_id],
        of_heads=of_heads,
        loss_weights={head.name: head.loss_weight for head in saved.heads},
    )


def _read(store: RunStore) -> tuple[SavedRows, Float64Array]:
    where = f"{store.location}/{_DESCRIPTION}"
    description = store.blobs.get(_DESCRIPTION, max_bytes=MAX_JSON_BYTES)
    if description is None:
        raise StoreError(
            f"{store.location}: keeps no rows to be looked at: it has no ensemble with an honest score yet, or is of "
            f"an earlier version. {_AGAIN}"
        )
    saved = from_json(SavedRows, decode(description, where=where), where=where)
    data = store.blobs.get(_TABLE, max_bytes=MAX_LIST_BYTES) or b""
    if hashlib.sha256(data).hexdigest() != saved.sha256:
        raise CorruptBlobError(f"{store.location}/{_TABLE}: is not what {where} was written with. {_AGAIN}")
    table: Float64Array = np.load(io.BytesIO(data), allow_pickle=False)
    if table.ndim != 2 or table.dtype != np.float64 or not len(table) or not np.isfinite(table).all():
        raise CorruptBlobError(f"{store.location}/{_TABLE}: expected rows of finite numbers, got {table.shape}.")
    return saved, table


def _to_json(rules: Mapping[int, Decision]) -> Rules:
    return {str(part): rule.to_json() for part, rule in rules.items()}
