"""Labels that were flipped on purpose are found, by predictions of models that never saw the rows."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import average_precision_score
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from kaggle_ray.evaluation.answers import LabelAnswers
from kaggle_ray.evaluation.label_errors import label_doubts, suspects
from kaggle_ray.types import BoolArray, FloatArray


def of_classes(there: BoolArray, said: FloatArray) -> LabelAnswers:
    is_answered = said.argmax(axis=1)[:, np.newaxis] == np.arange(said.shape[1])
    names = tuple(map(str, range(said.shape[1])))
    return LabelAnswers(names=names, is_there=there, probabilities=said, is_answered=is_answered, is_exclusive=True)


def test_of_digits_with_five_percent_of_flipped_labels_the_flipped_ones_are_the_most_doubtful() -> None:
    images, labels = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    is_flipped = rng.permutation(len(labels)) < 0.05 * len(labels)
    given = np.where(is_flipped, (labels + rng.integers(1, 10, len(labels))) % 10, labels)
    model = KNeighborsClassifier(10)
    said = cross_val_predict(model, images, given, cv=5, method="predict_proba").astype(np.float32)
    answers = of_classes(given[:, np.newaxis] == np.arange(10), said)
    assert average_precision_score(is_flipped, label_doubts(answers)) >= 0.9
    found = suspects(answers)
    assert is_flipped[found[: is_flipped.sum() // 2]].mean() > 0.95


def test_a_label_that_should_not_be_there_is_doubted_and_a_sure_one_is_not() -> None:
    there = np.array([[1, 0], [1, 1], [0, 1], [0, 0]], dtype=np.bool_)
    said = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.1, 0.1]], dtype=np.float32)
    labels = LabelAnswers(
        names=("haze", "road"), is_there=there, probabilities=said, is_answered=said > 0.5, is_exclusive=False
    )
    assert suspects(labels).tolist() == [1]
