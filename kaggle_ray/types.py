"""The nouns that every room shares. All are frozen: change one with ``dataclasses.replace``.

Shape legend: N rows, C columns of a prediction (1 for binary: P(classes[1]); the number of classes for multi-class; the
labels of multi-label; the pixels of a mask, flattened, for segmentation), T columns of a target.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from kaggle_ray.untrusted import AttemptFile, Count, FoldNumber, PathPart, Seconds, Size

Task = Literal["binary", "multiclass", "multilabel", "regression", "segmentation"]
TrialStatus = Literal["committed", "pruned", "stopped", "failed"]
"""Committed: it predicts. Pruned: its source stopped it for good. Stopped: the clock did, for now. Failed: an error."""
EpochRule = Literal["last", "inner", "other_folds", "scored_fold"]

JsonValue: TypeAlias = bool | int | float | str | Sequence["JsonValue"] | Mapping[str, "JsonValue"] | None
"""What a JSON text may hold. Read what a file says with ``kaggle_ray.typed_json.from_json``."""

ByteArray = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
StrArray = npt.NDArray[np.str_]
StoredValues = npt.NDArray[Any]
"""Predictions as they are kept: float32, or those of masks as uint8."""
Target = npt.NDArray[Any]
"""What is to be predicted: (N,) class numbers or values, (N, T) labels of 0 and 1, the flattened pixels of masks as
class numbers, or the targets of several heads side by side."""

TRAIN_ONLY = -1
"""The fold of a row that is trained on but never scored."""

NO_FOLD = -2
"""The fold of a row that none was given for, among rows whose folds are given."""

FULL_DATA = -2
"""The fold of a trial that is trained on all rows: it scores none, and predicts the test rows only."""


def canonical_json(value: JsonValue) -> str:
    """Return the one JSON text of ``value``: sorted keys, no white space, no NaN (ValueError)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def short_digest(value: JsonValue, *, num_hex: int = 12) -> str:
    """Return the first hex digits of the sha256 of the canonical JSON of ``value``."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:num_hex]


class Location(str):
    """Where a run or one of its files is, for people: a path, or a URI such as ``s3://bucket/key``."""

    __slots__ = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Folds:
    """Which fold scores each training row."""

    sample_ids: StrArray
    """(N,) unique ids of the training rows."""
    fold_of: npt.NDArray[np.int8]
    """(N,) number of the fold that scores a row, 0..num_folds-1, or TRAIN_ONLY."""
    num_folds: int
    seed: int
    digest: str
    """12 hex digits over ids, folds, labels, groups, times and test ids."""
    forward: bool = False
    """Whether folds follow each other in time: a fold's model is trained on the rows of earlier folds only."""

    def valid_rows(self, fold: int) -> IntArray:
        """Return the positions of the rows that ``fold`` scores, ascending; none for FULL_DATA."""
        return np.flatnonzero(self.fold_of == fold).astype(np.int64)

    def train_rows(self, fold: int) -> IntArray:
        """Return the positions of the rows that the trial of ``fold`` may train on, ascending; all for FULL_DATA."""
        if fold == FULL_DATA:
            return np.arange(len(self.fold_of), dtype=np.int64)
        rows = self.fold_of < fold if self.forward else self.fold_of != fold
        return np.flatnonzero(rows).astype(np.int64)

    def scored_rows(self) -> IntArray:
        """Return the positions of the rows that some fold scores, ascending."""
        return np.flatnonzero(self.fold_of != TRAIN_ONLY).astype(np.int64)


@dataclass(frozen=True, kw_only=True, slots=True)
class Experiment:
    """One set of hyperparameters, the same for all folds."""

    experiment_id: PathPart
    """12 hex digits over what it computes: its hyperparameters and the content that it is trained on."""
    name: str
    """What a person calls it: for tables and plots; not part of the id."""
    hyperparameters: Mapping[str, JsonValue]
    """All hyperparameters, defaults filled in, seed included."""
    parent_id: PathPart | None = None
    """The experiment from whose weights, of the same fold, its trials start."""
    teacher_id: PathPart | None = None
    """The experiment from whose answers, of the same fold, its trials learn."""
    labeller_id: PathPart | None = None
    """The experiment whose answers for the test rows, of the same fold, are its trials' pseudolabels."""
    weights_of: PathPart | None = None
    """The experiment that is trained just as this one: its trials' weights, of the same fold, predict, and nothing is
    trained. None where the experiment is trained itself."""
    soup_ids: tuple[PathPart, ...] = ()
    """The experiments whose weights, of the same fold, are averaged, and nothing is trained; empty otherwise."""

    @property
    def needs(self) -> tuple[str, ...]:
        """The experiments whose trial of the same fold has to be committed before one of this begins."""
        ancestors = self.soup_ids or (self.parent_id, self.teacher_id, self.labeller_id)
        others = ancestors if self.weights_of is None else (self.weights_of,)
        return tuple(dict.fromkeys(other for other in others if other is not None))


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Trial:
    """Experiment x fold: the unit that is scheduled, committed and resumed."""

    experiment_id: PathPart
    fold: FoldNumber
    """0..num_folds-1, or FULL_DATA."""

    @property
    def rows(self) -> str:
        """Which rows it trains on, as a word: ``full``, or ``fold<k>`` for all but those of fold k."""
        return "full" if self.fold == FULL_DATA else f"fold{self.fold}"

    def __str__(self) -> str:
        """Return ``<experiment id>/fold<k>`` or ``<experiment id>/full``, which is also its folder."""
        return f"{self.experiment_id}/{self.rows}"


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochMetrics:
    """What one epoch of a trial measured."""

    epoch: Count
    """1 for the first."""
    train_loss: float
    """Mean over the epoch's training samples, augmented and in train mode."""
    valid_loss: float
    """Mean over the fold's scored rows of the task's plain loss, whatever is minimised: without label smoothing,
    weights or a teacher; NaN where the epoch was not evaluated."""
    score: float
    """The competition's metric on the fold's scored rows, predicted as the epoch was trained: at its image size, and
    without test-time augmentation; NaN where the epoch was not evaluated."""
    lr: float
    """Learning rate of the epoch's last step."""
    duration_s: Seconds
    inner_score: float | None = None
    """Score on the inner split of the training rows, by which the epoch is chosen; None where there is none."""
    samples_per_s: float | None = None
    """Training samples per second of the epoch's steps, by all processes of the trial together; None where unknown."""
    resident_bytes: int | None = None
    """Memory of the trial's own process in RAM at the epoch's end, with pages that it shares; None off Linux."""
    gpu_peak_bytes: int | None = None
    """Most that the trial's own process took of its GPU during the epoch; None on a CPU."""
    grad_norm: float | None = None
    """Median of the norms, before clipping, of the gradients of the epoch's steps, or of those that were looked at:
    where nothing is clipped, the first step and one in 50. None where none was finite, or of an earlier version."""
    train_score: float | None = None
    """The competition's metric on the training rows as they passed: augmented, in train mode, each predicted by the
    weights of its step. None where they are masks, or mixed with each other, or very many, where the epoch was not
    evaluated or was gone on with in its middle, and of an earlier version."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Metric that a head names beside its own -> what it is on the fold's scored rows, measured as ``score`` is. Of
    several heads the name has the head's and a dot before it. One that could not be measured is left out."""
    train_metrics: Mapping[str, float] = field(default_factory=dict)
    """Scores on the training rows as they passed, named as in ``metrics`` and measured as ``train_score`` is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialWarning:
    """An anomaly of a trial that goes on all the same, in a person's words."""

    topic: str
    """What it is about, in a word that stays the same, such as ``exploding_gradient``."""
    text: str
    """One line: what, where, and what to try."""
    epoch: Count
    """Epoch in which it was seen, 1 for the first."""
    step: Count = 0
    """Step of the epoch, 1 for the first; 0 where it concerns the epoch as a whole."""


TrialMessage = EpochMetrics | TrialWarning
"""What a trial tells while it runs, from whatever process it runs in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewScore:
    """What one view of test-time augmentation is worth on the rows that a fold scores."""

    view: str
    """The view in words, such as ``mirrored``."""
    alone: float
    """The competition's metric of what is predicted of this view alone."""
    without: float
    """The metric of the mean over all other views: what the score of the mean over all is more than that, it adds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSize:
    """How large a network is, and what it costs."""

    num_parameters: Size
    """Parameters, the frozen ones included."""
    num_layers: Size
    """Modules that have parameters of their own."""
    flops: Size | None
    """Floating-point operations of a forward pass of an image, or of all of an id's that are fused, at the size that
    is predicted: an addition and a multiplication count as two. None where they are not known without computing."""
    num_layers_frozen: Size = 0
    """Layers that stand still in all epochs, the first ones, or all but what is fresh; 0 of an earlier version."""
    flops_frozen: Size = 0
    """Operations of these; 0 where they are not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialResult:
    """How a trial ended. A committed or pruned one, or a failure that would repeat itself, is written to the store."""

    trial: Trial
    status: TrialStatus
    attempt_id: PathPart
    history: tuple[EpochMetrics, ...] = ()
    epoch: Count = 0
    """Epoch whose weights predict, 1 for the first; set where status is committed."""
    averaged_epochs: tuple[Count, ...] = ()
    """Epochs the mean of whose weights predicts, the best first; empty where one epoch's do."""
    averaged_experiments: tuple[PathPart, ...] = ()
    """Experiments the mean of whose weights predicts, the best first; empty where the trial is no soup."""
    num_resumed: Count = 0
    """Epochs of the history that this attempt did not train: an earlier one did, whose checkpoint it went on from, or
    another experiment, whose weights predict."""
    blobs: Mapping[AttemptFile, str] = field(default_factory=dict)
    """File name in the attempt's folder -> sha256 (64 hex digits)."""
    score: float | None = None
    """The competition's metric of the fold's final predictions; set where status is committed, but not where the trial
    was trained on all rows, nor where it is unproven: see ``Lineage``."""
    duration_s: Seconds = 0.0
    error: str | None = None
    """One line; set where status is failed."""
    reason: str | None = None
    """Why its source stopped it, in one line; set where status is pruned."""
    num_decoded: Count = 0
    """Images that the trial's own process had to decode."""
    process_id: Count = 0
    """Id of the process that ran the trial, on its machine; 0 where it died."""
    views: tuple[ViewScore, ...] = ()
    """What each view of test-time augmentation is worth, where the trial predicts with another's weights and has a
    score."""
    model_size: ModelSize | None = None
    """Size of its network; set where status is committed, but not by earlier versions."""
    gpu: str | None = None
    """Name of the GPU that the trial's own process computed on; None on a CPU, and of earlier versions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PseudolabelSource:
    """Where the pseudolabels of a trial are from."""

    trial: Trial
    """The trial that predicted the test rows."""
    digest: str
    """sha256 of the file of these predictions."""
    num_rows: Count
    """Test rows that were taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lineage:
    """What a prediction depends on: the ledger checks it against the folds."""

    folds_digest: str
    trained_rows: BoolArray
    """(N,) whether the loader really yielded a row of ``Folds.sample_ids`` for training."""
    parents: tuple[str, ...] = ()
    """Experiment ids whose predictions or weights went in."""
    epoch_rule: EpochRule = "last"
    is_proven: bool = True
    """False where the rows that are scored had, or may have had, a say in which weights predict, those of a parent
    included: what such a model predicts never gets an honest score."""
    started_from: Mapping[str, str | None] = field(default_factory=dict)
    """File, address or package of the weights that it, or an ancestor, started from -> sha256; None where it is no
    file."""
    weights_digest: str = ""
    """sha256 of the weights that predicted."""
    pseudolabels: tuple[PseudolabelSource, ...] = ()
    """The trials whose predictions of test rows were trained on as if they were labels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Predictions:
    """Values for a set of rows, joined to others by id and never by position."""

    sample_ids: StrArray
    """(N,) unique ids of the rows."""
    values: StoredValues
    """(N, C) probabilities or values, usually a read-only memory map; those of masks are quantised, 255 being 1."""
    lineage: Lineage | None = None
    """What the predictions depend on; None where no model was trained (a constant baseline)."""
