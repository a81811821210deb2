"""``kaggle_ray.ensemble``: the ensembling alone, on a person's own arrays, without a competition's file.

Shape legend: N rows, T rows to predict, C columns of a prediction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kaggle_ray.combine import AUTO, COMBINERS, Ensemble, select
from kaggle_ray.combine.combiner import TABLE
from kaggle_ray.counted import counted
from kaggle_ray.errors import DataError
from kaggle_ray.metrics import Metric, metric_by_name
from kaggle_ray.types import FloatArray


@dataclass(frozen=True, kw_only=True, slots=True)
class EnsembledArrays:
    """Predictions made one, and what they are worth: what ``kaggle_ray.ensemble`` returns.

    >>> import numpy as np
    >>> import kaggle_ray
    >>> values, target = np.array([0.9, 0.2, 0.8, 0.1]), np.array([1, 0, 1, 0])
    >>> made = kaggle_ray.ensemble({"a": values}, target, [0, 0, 1, 1], "auc", test={"a": [0.3]})
    >>> made.score, dict(made.weights), made.test.shape
    (1.0, {'a': 1.0}, (1, 1))
    """

    ensemble: Ensemble
    """All that was learnt."""
    oof: FloatArray
    """(N, C) each row blended by what was learnt without its fold; not decided."""
    test: FloatArray | None
    """(T, C) the blend of the predictions of the test rows; not decided. None where none were given."""

    @property
    def score(self) -> float | None:
        """Honest score: each row by what was learnt without its fold. None where there were no other folds."""
        return self.ensemble.score_honest

    @property
    def standard_error(self) -> float | None:
        """Standard error of the honest score, from which rows there happen to be; None where it is not known."""
        return self.ensemble.standard_error

    @property
    def weights(self) -> Mapping[str, float]:
        """Name -> share of those that count; all shares sum to 1."""
        return self.ensemble.weights

    @property
    def answers(self) -> FloatArray | None:
        """(T, C) what is to be submitted where the metric scores decided answers, such as labels above thresholds."""
        return None if self.test is None else self.ensemble.decision.apply(self.test)

    def __repr__(self) -> str:
        """Return how they were made one, what that is worth, and the weights, in a line."""
        error = "" if self.standard_error is None else f" ± {self.standard_error:.2g}"
        worth = self.ensemble.why_no_score if self.score is None else f"honest score {self.score:.5g}{error}"
        weights = ", ".join(f"{name} {weight:.3g}" for name, weight in self.weights.items())
        shapes = f"oof {self.oof.shape}, test {None if self.test is None else self.test.shape}"
        return f"<{type(self).__name__} {self.ensemble.combiner}: {worth}; {weights}; {shapes}>"


def ensemble(
    oof: Mapping[str, npt.ArrayLike],
    target: npt.ArrayLike,
    folds: npt.ArrayLike,
    metric: Metric | str,
    *,
    test: Mapping[str, npt.ArrayLike] | None = None,
    method: str = AUTO,
    forward: bool = False,
    table: npt.ArrayLike | None = None,
    test_table: npt.ArrayLike | None = None,
) -> EnsembledArrays:
    """Make one prediction of several, and score it honestly: what is learnt for a fold never saw its rows.

    >>> import numpy as np
    >>> import kaggle_ray
    >>> rng = np.random.default_rng(0)
    >>> target = rng.integers(0, 2, 500)
    >>> oof = {name: 1 / (1 + np.exp(rng.normal(size=500) - (2 * target - 1))) for name in ("a", "b", "c")}
    >>> made = kaggle_ray.ensemble(oof, target, folds=np.arange(500) % 5, metric="log_loss")
    >>> sorted(made.weights)
    ['a', 'b', 'c']
    >>> made.score < kaggle_ray.ensemble(oof, target, np.arange(500) % 5, "log_loss", method="best").score
    True

    Args:
        oof: name -> (N,) or (N, C) predictions, each row's by a model that never saw it, which nobody but you can know.
        target: (N,) class numbers, numbers or 0 and 1, or (N, L) labels of 0 and 1.
        folds: (N,) the number of each row's fold, from 0.
        metric: a metric's name, or one of your own.
        test: name -> (T,) or (T, C) predictions of the rows to predict, of all that ``oof`` names.
        method: a combiner's name; ``auto`` chooses one inside each fold.
        forward: whether the folds follow each other in time, so that each is scored by earlier ones.
        table: (N, D) numbers that come with the rows, NaN where one is missing, for a method that takes them:
            ``boosting``.
        test_table: (T, D) the same of the rows to predict.

    Raises:
        DataError: the arrays do not fit each other, or hold what is no number.
        ConfigError: there is no such metric or combiner.
    """
    scorer = metric_by_name(metric) if isinstance(metric, str) else metric
    COMBINERS.check(method)
    members, truth, fold_of = _columns(oof, where="oof"), np.asarray(target), np.asarray(folds)
    num_rows = len(truth)
    if fold_of.shape != (num_rows,) or fold_of.dtype.kind not in "iu" or not num_rows or fold_of.min() < 0:
        raise DataError(f"ensemble: expected folds ({num_rows},) of whole numbers from 0, got {fold_of.shape}.")
    if wrong := [name for name, values in members.items() if len(values) != num_rows]:
        raise DataError(
            f"ensemble: expected predictions of the target's {counted(num_rows, 'row')}, got others in {wrong}."
        )
    if truth.dtype.kind == "b":
        truth = truth.astype(np.int64)
    numbers = None if table is None else _numbers(table, num_rows, where="table")
    made = select(members, truth, fold_of.astype(np.int64), scorer, method, forward=forward, table=numbers)
    blended: FloatArray | None = None
    if test is not None:
        of_test = _columns(test, where="test")
        num_test = len(next(iter(of_test.values()))) if of_test else 0
        of_table = None if test_table is None else _numbers(test_table, num_test, where="test_table")
        blended = made.apply(of_test, of_table)[:]
    return EnsembledArrays(ensemble=made, oof=made.oof[:], test=blended)


def _columns(given: Mapping[str, npt.ArrayLike], *, where: str) -> dict[str, FloatArray]:
    """Return name -> (N, C). Raises DataError where an array has no rows of finite numbers."""
    found: dict[str, FloatArray] = {}
    if TABLE in given:
        raise DataError(f"ensemble: expected another name than {TABLE!r}, which stands for what table= gives.")
    for name, values in given.items():
        array = np.asarray(values, dtype=np.float32)
        array = array[:, np.newaxis] if array.ndim == 1 else array
        if array.ndim != 2 or not np.isfinite(array).all():
            raise DataError(
                f"ensemble: expected {where}[{name!r}] as (N,) or (N, C) finite numbers, got {array.shape}."
            )
        found[name] = array
    return found


def _numbers(given: npt.ArrayLike, num_rows: int, *, where: str) -> FloatArray:
    """Return (N, D) numbers, NaN where one is missing. Raises DataError where they are none, or of other rows."""
    table = np.asarray(given, dtype=np.float32)
    if table.ndim != 2 or len(table) != num_rows or not table.shape[1] or np.isinf(table).any():
        raise DataError(
            f"ensemble: expected {where} as ({num_rows}, D) numbers, NaN where one is missing, got {table.shape}."
        )
    return table
