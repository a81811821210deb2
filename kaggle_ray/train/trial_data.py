"""What one trial is made of: hyperparameters, rows, and what it takes from the trials that it starts or learns from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from kaggle_ray.config import Hyperparameters
from kaggle_ray.config.model import Soup
from kaggle_ray.train.inputs import FitData, Inputs
from kaggle_ray.train.teachers import TeacherFit
from kaggle_ray.types import BoolArray, IntArray, PseudolabelSource, TrialResult


@dataclass(frozen=True, kw_only=True, slots=True)
class Ancestor:
    """What a trial inherits from one that it starts or learns from."""

    experiment_ids: tuple[str, ...]
    """The first ancestor first."""
    trained_rows: BoolArray
    is_proven: bool
    started_from: Mapping[str, str | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialData:
    """All that a trial is made of."""

    hyperparameters: Hyperparameters
    fit: FitData
    test: Inputs
    test_rows: IntArray
    """(T,) positions of the rows to predict: all of them."""
    initial_weights: Mapping[str, Tensor] | None
    """Weights of the trial that it starts from; None where it starts afresh."""
    ancestors: tuple[Ancestor, ...]
    """The parent, and the teachers that it learns from: what they saw, its predictions depend on, too."""
    pseudolabels: tuple[PseudolabelSource, ...]
    """Where the pseudolabels of the test rows are from that it is trained on."""
    started_from: Mapping[str, str | None]
    """Weights that it or an ancestor starts from, as a lineage tells them."""
    num_decoded: int
    """Images that had to be decoded for it now."""
    teachers: tuple[TeacherFit, ...] = ()
    """Teachers that are still to be asked of the rows of the other folds, each fitted without these."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedElsewhere:
    """All that a trial is made of which predicts with the weights of another experiment's trial."""

    hyperparameters: Hyperparameters
    result: TrialResult
    """Result of the trial that was trained."""
    epochs: tuple[int | None, ...]
    """Epochs whose weights it takes: those that were kept, then None for the trial's end."""
    train: Inputs
    valid_rows: IntArray
    test: Inputs
    num_decoded: int


@dataclass(frozen=True, kw_only=True, slots=True)
class MadeOf:
    """All that a trial is made of whose weights are a mean of those of other trials."""

    hyperparameters: Hyperparameters
    results: tuple[TrialResult, ...]
    """Results of the trials whose weights may be in the mean."""
    method: Soup
    fit: FitData
    """Rows that are scored, that a greedy soup is chosen by, and that normalisation counts."""
    test: Inputs
    num_decoded: int
