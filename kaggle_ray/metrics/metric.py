"""The metric noun: one number for a set of predictions, which way is up, and how answers are made of predictions.

Shape legend: N rows, C columns of a prediction, T columns of a target.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from kaggle_ray.config.described import ADDED_LATER
from kaggle_ray.config.users_code import users_code
from kaggle_ray.errors import ConfigError, DataError
from kaggle_ray.rows import Rows, blocks
from kaggle_ray.types import Float64Array, FloatArray, IntArray, Target

Values = npt.NDArray[Any]
"""Float64, but those of masks float32."""

CountsScore = Callable[[IntArray, IntArray, IntArray], Float64Array]


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One number for a set of predictions.

    >>> import numpy as np
    >>> from kaggle_ray import Metric
    >>> def within_one(target, values):
    ...     return float(np.mean(np.abs(values[:, 0] - target) <= 1))
    >>> metric = Metric(name="within_one", score_fn=within_one, greater_is_better=True)
    >>> metric.score(np.array([1.0, 5.0]), np.array([[1.5], [8.0]]))
    0.5
    """

    name: str
    score_fn: Callable[[Target, Values], float]
    """Scores target (N,) or (N, T) and values (N, C) in float64; those of masks stay float32."""
    greater_is_better: bool
    decision: str = "none"
    """What kind of rule turns values into the answer that is scored and submitted. ``none``: the values are the answer,
    as with probabilities and ranks. Fitted: ``label_thresholds``, ``mask`` (answers of 0 and 1; ``score_fn`` cuts at
    0.5, so that it scores undecided values as well) and ``cutpoints`` (the grades 0, 1, ...). Where a metric with
    ``beta`` asks for thresholds, ``expected_f`` may take their place: the set of labels that is worth most. Not fitted:
    ``argmax`` (the most probable class is 1, the others 0) and ``round`` (whole numbers; see ``rounded``). Others are
    registered by ``register_decision``."""
    pooled: bool = True
    """True: all rows are scored at once. False: each fold is scored, and the mean over the folds is the score."""
    default_threshold: float = 0.5
    """Threshold of labels and masks as long as none is fitted."""
    beta: float | None = None
    """Weight of recall over precision where ``score_fn`` is the mean over the rows of F-beta of their labels: each
    label's threshold can then be fitted exactly. None for all else."""
    score_of_counts: CountsScore | None = None
    """Function from three counts of the images' pixels, those of the true mask, of the mask that is cut, and of both,
    each (N,), to (N,) the scores, where a score of masks needs no more: many rules and means are tried at once."""
    cut_at: float = field(default=0.5, metadata=ADDED_LATER)
    """Value above which a pixel is of the mask that ``score_of_counts`` counts."""
    mean_over_rows: bool = False
    """Whether the score is the mean of the scores of the single rows. Such rows are scored one by one, so that they
    need not be in memory together: for masks."""
    takes_shares: bool = field(default=False, metadata=ADDED_LATER)
    """Whether the targets of a ``soft`` head are given to ``score_fn`` as they are: a share for each class, (N, C), of
    two classes that of the second, (N,). Log loss, Brier's score and the KL divergence know what to do with them; any
    other metric is of the likeliest class."""
    parts: tuple[MetricPart, ...] = ()
    """The metrics of several heads that this one is the weighted mean of; see ``combine_metrics``. Each keeps what it
    is pooled over and what decides its values."""

    def score(self, target: Rows, values: Rows) -> float:
        """Return the score of ``values`` (N, C) against ``target`` (N,) or (N, T).

        Raises:
            DataError: the shapes do not match, there are no rows, a value is not finite or a label out of range.
            ConfigError: ``score_fn`` raised, or returned no number, NaN or an infinity.
        """
        if len(target) != len(values) or len(values.shape) != 2 or not all(values.shape):
            raise DataError(
                f"metric {self.name!r}: expected target (N,) and values (N, C) with N and C at least 1, "
                f"got {target.shape} and {values.shape}."
            )
        if self.mean_over_rows:
            of_blocks = [self.row_scores(target[block], values[block], first=block.start) for block in blocks(values)]
            score = float(np.concatenate(of_blocks).mean())
        else:
            score = self._score_of(target[:], self._finite(values[:]))
        if not math.isfinite(score):
            raise ConfigError(f"metric {self.name!r}: expected a finite score, got {score}. Check its score_fn.")
        return score

    def row_scores(self, target: Target, values: FloatArray, *, first: int = 0) -> Float64Array:
        """Return (n,) the score of each row by itself; ``first`` is the number of the first one.

        Raises:
            DataError: the shapes do not match, or a value is not finite.
        """
        self._finite(values, first=first)
        rows = (slice(row, row + 1) for row in range(len(values)))
        return np.array([self._score_of(target[row], values[row]) for row in rows])

    def _score_of(self, target: Target, values: FloatArray) -> float:
        with users_code(f"metric {self.name!r}"):
            return float(self.score_fn(target, values if target.dtype == np.uint8 else values.astype(np.float64)))

    def _finite(self, values: FloatArray, *, first: int = 0) -> FloatArray:
        if not (finite := np.isfinite(values)).all():
            row, column = (int(position) for position in np.argwhere(~finite)[0])
            raise DataError(
                f"metric {self.name!r}: expected finite values, got {values[row, column]} in row {first + row}, "
                f"column {column}. Look for a model that diverged."
            )
        return values

    def rescored(self, score_fn: Callable[[Target, Values], float], *, mean_over_rows: bool) -> Metric:
        """Return the metric with another function; what was known of the old one's inside is not said of it."""
        return dataclasses.replace(
            self, score_fn=score_fn, mean_over_rows=mean_over_rows, beta=None, score_of_counts=None, parts=()
        )

    def is_better(self, a: float, b: float) -> bool:
        """Return whether the score ``a`` is strictly better than ``b``."""
        return a > b if self.greater_is_better else a < b


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricPart:
    """One head's metric among those of several, and where the head's columns are."""

    metric: Metric
    target: int | slice
    """Columns in the target (N, T): the number of the only one, or several, even if it is a slice of one."""
    values: slice
    """Columns in the values (N, C)."""
    weight: float
    """Share in the mean, before the shares are divided by their sum."""


def over_folds(metric: Metric, fold_of: npt.NDArray[np.signedinteger[Any]]) -> Metric:
    """Return the metric for exactly these rows: itself where it is pooled, else the mean of the folds' scores.

    Args:
        metric: of the competition.
        fold_of: (N,) the fold of each row that will be scored.
    """
    if metric.pooled:
        return metric
    if metric.parts:
        return with_parts(metric, [over_folds(part.metric, fold_of) for part in metric.parts])

    def mean_over_folds(target: Target, values: Values) -> float:
        folds = [fold_of == fold for fold in np.unique(fold_of)]
        return float(np.mean([metric.score_fn(target[rows], values[rows]) for rows in folds]))

    return metric.rescored(mean_over_folds, mean_over_rows=False)


def score_of_rows(metric: Metric, row_scores: Float64Array, fold_of: npt.NDArray[np.signedinteger[Any]]) -> float:
    """Return the score of rows whose own scores are known, as ``over_folds`` takes it, of a metric ``mean_over_rows``.

    Args:
        metric: of the competition.
        row_scores: (N,) scores of the single rows.
        fold_of: (N,) the fold of each row.
    """
    if metric.pooled:
        return float(row_scores.mean())
    return float(np.mean([row_scores[fold_of == fold].mean() for fold in np.unique(fold_of)]))


def per_fold(metric: Metric) -> Metric:
    """Return the metric scored fold by fold, for competitions whose models are not comparable across folds (AUC)."""
    return dataclasses.replace(metric, name=f"{metric.name}_per_fold", pooled=False)


def rounded(metric: Metric) -> Metric:
    """Return the metric of rounded predictions, where only whole numbers are asked for: ages, counts.

    >>> import numpy as np
    >>> from kaggle_ray import metric_by_name, rounded
    >>> rounded(metric_by_name("mae")).decision
    'round'

    The whole numbers are scored, and written to the submission.
    """
    return dataclasses.replace(metric, name=f"{metric.name}_rounded", decision="round")


def combine_metrics(parts: Sequence[MetricPart]) -> Metric:
    """Return the weighted mean of metrics, each of its own columns, over its own folds and under its own decision.

    Raises:
        ConfigError: the metrics' directions differ, or no weight is above 0.
    """
    metrics = [part.metric for part in parts]
    if len({metric.greater_is_better for metric in metrics}) > 1:
        raise ConfigError(
            f"heads with metrics of different direction have no common score: "
            f"{', '.join(f'{metric.name} ({_direction(metric)})' for metric in metrics)}."
        )
    total = sum(part.weight for part in parts)
    if total <= 0:
        raise ConfigError("no head counts: expected a score_weight above 0.")

    def mean_of_heads(target: Target, values: Values) -> float:
        scores = [
            part.weight * part.metric.score_fn(own_target(part, target), values[:, part.values]) for part in parts
        ]
        return sum(scores) / total

    return Metric(
        name="+".join(dict.fromkeys(metric.name for metric in metrics)),
        score_fn=mean_of_heads,
        greater_is_better=metrics[0].greater_is_better,
        decision="none" if all(metric.decision == "none" for metric in metrics) else "by_head",
        pooled=all(metric.pooled for metric in metrics),
        parts=tuple(parts),
    )


def with_parts(metric: Metric, metrics: Sequence[Metric]) -> Metric:
    """Return a combined metric with other metrics in the place of its parts'."""
    return combine_metrics(
        [dataclasses.replace(part, metric=other) for part, other in zip(metric.parts, metrics, strict=True)]
    )


def own_target(part: MetricPart, target: Target) -> Target:
    """Return one head's target: (N,) where it is a single column, integers where all are."""
    own = target[:, part.target]
    return own.astype(np.int64) if (own == np.floor(own)).all() else own


def _direction(metric: Metric) -> str:
    return "greater is better" if metric.greater_is_better else "smaller is better"
