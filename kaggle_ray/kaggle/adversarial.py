"""Adversarial validation: can a classifier tell test images from training images.

Shape legend: N images, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kaggle_ray.errors import DataError
from kaggle_ray.images.layout import Layout
from kaggle_ray.images.readers import NamedReader
from kaggle_ray.kaggle.verdict import AdversarialAuc
from kaggle_ray.types import Float64Array

_SIDE = 8
"""Pixels of the sides that images are shrunk to: colours and where they are, and nothing of what is shown."""
_MOST = 400
"""Images of either side that are looked at: evenly spaced ones."""
_NUM_FOLDS = 5


def adversarial_auc(
    train: Sequence[Path], test: Sequence[Path], *, channels: int = 3, reader: NamedReader | None = None
) -> AdversarialAuc | None:
    """Return how well a linear classifier of shrunk images tells the sides apart; None where there are too few.

    Images that do not decode are left out.

    Args:
        train: image files to train on.
        test: image files to predict.
        channels: of an image.
        reader: of images that are no photographs.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    layout = Layout(height=_SIDE, width=_SIDE, channels=channels, reader=reader)
    features = [_features(files, layout) for files in (train, test)]
    if min(map(len, features)) < 2 * _NUM_FOLDS:
        return None
    sides = np.repeat([0, 1], list(map(len, features)))
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    folds = StratifiedKFold(_NUM_FOLDS, shuffle=True, random_state=0)
    scores = cross_val_score(classifier, np.concatenate(features), sides, cv=folds, scoring="roc_auc")
    return AdversarialAuc(of_folds=tuple(map(float, scores)))


def _features(files: Sequence[Path], layout: Layout) -> Float64Array:
    """Return (N, F) what is seen of the images."""
    chosen = np.unique(np.linspace(0, len(files) - 1, min(len(files), _MOST)).astype(int)).tolist()
    found: list[Float64Array] = []
    for number in chosen:
        try:
            pixels = layout.decode(files[number])
        except DataError:  # a run lists them; here they would only be missing
            continue
        found.append(pixels.astype(np.float64).ravel())
    return np.array(found)
