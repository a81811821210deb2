"""What each class or label is worth by itself: counts, precision, recall, F-scores, and histograms of probabilities.

Shape legend: N rows, L classes or labels, B bins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kaggle_ray.evaluation.answers import LabelAnswers
from kaggle_ray.metrics import AUC
from kaggle_ray.metrics.precision_recall import precision_of, recall_of
from kaggle_ray.types import BoolArray, Float64Array, FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd


def label_scores(answers: LabelAnswers) -> pd.DataFrame:
    """Return a row per class or label, in their order, each against all others.

    Columns: ``label``, the rows that truly have it and those that are answered so, the four outcomes, precision,
    recall, F1, F2, and the areas under the ROC curve and the precision-recall curve (average precision). What is not
    defined, as recall without a row that has the label, is NaN.
    """
    import pandas as pd

    there, answered = answers.is_there, answers.is_answered
    both, num_there, num_answered = (each.sum(axis=0) for each in (there & answered, there, answered))
    areas = np.array([_areas(*of_label) for of_label in zip(there.T, answers.probabilities.T, strict=True)])
    return pd.DataFrame(
        {
            "label": answers.names,
            "rows": num_there,
            "answered": num_answered,
            "true_positive": both,
            "false_positive": num_answered - both,
            "false_negative": num_there - both,
            "true_negative": len(there) - num_there - num_answered + both,
            "precision": precision_of(both, num_there, num_answered),
            "recall": recall_of(both, num_there, num_answered),
            "f1": _f_beta_of(1.0, both, num_there, num_answered),
            "f2": _f_beta_of(2.0, both, num_there, num_answered),
            "auc": areas[:, 0],
            "average_precision": areas[:, 1],
        }
    )


def histograms(answers: LabelAnswers, *, num_bins: int = 20) -> pd.DataFrame:
    """Return a row per label and bin of its probability: its bounds, and the rows that have the label, or lack it."""
    import pandas as pd

    edges = np.linspace(0, 1, num_bins + 1)
    frames = []
    for label, name in enumerate(answers.names):
        of_label, there = answers.probabilities[:, label].clip(0, 1), answers.is_there[:, label]
        counts = [np.histogram(of_label[rows], bins=edges)[0] for rows in (there, ~there)]
        columns = {"label": name, "low": edges[:-1], "high": edges[1:], "there": counts[0], "not_there": counts[1]}
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


def _f_beta_of(beta: float, both: IntArray, num_there: IntArray, num_answered: IntArray) -> Float64Array:
    """Return (L,) F-beta of each label over its rows; NaN where nothing is there nor answered."""
    total = beta**2 * num_there + num_answered
    return np.asarray(np.divide((1 + beta**2) * both, total, out=np.full(total.shape, np.nan), where=total > 0))


def _areas(there: BoolArray, values: FloatArray) -> tuple[float, float]:
    """Return the areas under a label's ROC and precision-recall curves; NaN where all rows have it, or none."""
    if there.all() or not there.any():
        return np.nan, np.nan
    from sklearn.metrics import average_precision_score

    return AUC.score(there.astype(np.int64), values[:, np.newaxis]), float(average_precision_score(there, values))
