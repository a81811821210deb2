"""What one head answers for some rows, beside the truth: of classes and labels, of numbers, of masks.

Shape legend: N rows, L classes or labels, K classes of a pixel that are drawn (the background is not), P pixels, C
columns of a prediction.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from kaggle_ray.counted import counted
from kaggle_ray.data.head import PlacedHead
from kaggle_ray.decide import Decision
from kaggle_ray.metrics.segmentation import dice_of
from kaggle_ray.rows import Rows, select_rows
from kaggle_ray.types import BoolArray, ByteArray, Float64Array, FloatArray, IntArray, StrArray, Target

_LEAST_PROBABILITY = 1e-15
Column = npt.NDArray[Any]


class Answers(Protocol):
    """Truth and answer of one head for N rows."""

    @property
    def loss(self) -> Float64Array:
        """(N,) how wrong each row is: 0 for a perfect answer."""
        ...

    @property
    def truth_words(self) -> StrArray:
        """(N,) what is true of each row, for people."""
        ...

    @property
    def answer_words(self) -> StrArray:
        """(N,) what is answered for each row, for people, with how sure the model is."""
        ...

    def columns(self) -> dict[str, Column]:
        """Return name -> (N,) the columns of the evaluation table."""
        ...

    def where(self, chosen: BoolArray | IntArray) -> Self:
        """Return the answers for the chosen rows."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelAnswers:
    """Classes or labels: which are there, how probable each is said to be, and which are answered."""

    names: tuple[str, ...]
    """(L,) names."""
    is_there: BoolArray
    """(N, L) the truth."""
    probabilities: FloatArray
    """(N, L) what the model says; not decided."""
    is_answered: BoolArray
    """(N, L) what is decided of it, by a rule that never saw the row."""
    is_exclusive: bool
    """Whether a row is of exactly one class."""

    @property
    def loss(self) -> Float64Array:
        """(N,) -ln P(class), of labels the mean over them; probabilities of classes are divided by their sum first."""
        values = self.probabilities.astype(np.float64)
        if self.is_exclusive:
            sums = values.sum(axis=1)
            of_truth = values[self.is_there]
            shares = np.divide(of_truth, sums, out=np.zeros_like(of_truth), where=sums > 0)
            return np.asarray(-np.log(shares.clip(_LEAST_PROBABILITY, 1.0)))
        of_truth = np.where(self.is_there, values, 1 - values)
        return np.asarray(-np.log(of_truth.clip(_LEAST_PROBABILITY, 1.0)).mean(axis=1))

    @property
    def truth_words(self) -> StrArray:
        """(N,) names of what is there, with a blank between labels."""
        return _joined(self.names, self.is_there)

    @property
    def answer_words(self) -> StrArray:
        """(N,) names of what is answered, each with its probability."""
        words = [
            " ".join(f"{self.names[label]} {of_row[label]:.2f}" for label in np.flatnonzero(answered))
            for of_row, answered in zip(self.probabilities, self.is_answered, strict=True)
        ]
        return np.array(words, dtype=np.str_)

    def columns(self) -> dict[str, Column]:
        """Return truth and answer as texts, and a probability for each class or label."""
        return {
            "truth": self.truth_words,
            "answer": _joined(self.names, self.is_answered),
            **{f"probability_{name}": self.probabilities[:, label] for label, name in enumerate(self.names)},
        }

    def where(self, chosen: BoolArray | IntArray) -> LabelAnswers:
        """Return the answers for the chosen rows."""
        return dataclasses.replace(
            self,
            is_there=self.is_there[chosen],
            probabilities=self.probabilities[chosen],
            is_answered=self.is_answered[chosen],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberAnswers:
    """A number for each row."""

    truth: Float64Array
    """(N,) the truth."""
    predicted: FloatArray
    """(N,) what the model says."""
    answered: FloatArray
    """(N,) what is submitted of it: a grade, a whole number, or the same."""

    @property
    def loss(self) -> Float64Array:
        """(N,) the square of the answer's error."""
        return np.asarray((self.answered.astype(np.float64) - self.truth) ** 2)

    @property
    def truth_words(self) -> StrArray:
        """(N,) the true numbers."""
        return np.array([f"{value:.4g}" for value in self.truth], dtype=np.str_)

    @property
    def answer_words(self) -> StrArray:
        """(N,) the answered numbers."""
        return np.array([f"{value:.4g}" for value in self.answered], dtype=np.str_)

    def columns(self) -> dict[str, Column]:
        """Return truth, answer and what the model says."""
        return {"truth": self.truth, "answer": self.answered, "prediction": self.predicted}

    def where(self, chosen: BoolArray | IntArray) -> NumberAnswers:
        """Return the answers for the chosen rows."""
        return NumberAnswers(truth=self.truth[chosen], predicted=self.predicted[chosen], answered=self.answered[chosen])


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskAnswers:
    """The pixels of masks, counted at the size that they are scored at."""

    names: tuple[str, ...]
    """(K,) what is drawn."""
    counts: IntArray
    """(N, K, 3) pixels of the true mask, of the answered one, and of both."""
    pixels: Rows | None = None
    """(N, P) the class that is answered for each pixel, read when it is asked for; None where it is not known."""

    @property
    def dice(self) -> Float64Array:
        """(N, K) 2 |A and B| / (|A| + |B|); 1 where both masks are empty."""
        return dice_of(*np.moveaxis(self.counts, 2, 0))

    @property
    def iou(self) -> Float64Array:
        """(N, K) |A and B| / |A or B|; 1 where both masks are empty."""
        num_true, num_answered, num_both = np.moveaxis(self.counts, 2, 0)
        union = num_true + num_answered - num_both
        return np.asarray(np.divide(num_both, union, out=np.ones(union.shape), where=union > 0))

    @property
    def loss(self) -> Float64Array:
        """(N,) 1 - Dice, the mean over what is drawn."""
        return np.asarray(1 - self.dice.mean(axis=1))

    @property
    def truth_words(self) -> StrArray:
        """(N,) the size of the true masks."""
        return np.array([counted(number, "pixel") for number in self.counts[:, :, 0].sum(axis=1)], dtype=np.str_)

    @property
    def answer_words(self) -> StrArray:
        """(N,) the size of the answered masks, and their Dice."""
        sizes = self.counts[:, :, 1].sum(axis=1)
        words = [
            f"{counted(size, 'pixel')}, Dice {dice:.3f}"
            for size, dice in zip(sizes, self.dice.mean(axis=1), strict=True)
        ]
        return np.array(words, dtype=np.str_)

    def columns(self) -> dict[str, Column]:
        """Return sizes, Dice and IoU for each thing that is drawn."""
        found: dict[str, Column] = {}
        for at, name in enumerate(self.names):
            of = "" if len(self.names) == 1 else f"_{name}"
            found |= {
                f"true_pixels{of}": self.counts[:, at, 0],
                f"answered_pixels{of}": self.counts[:, at, 1],
                f"dice{of}": self.dice[:, at],
                f"iou{of}": self.iou[:, at],
            }
        return found

    def where(self, chosen: BoolArray | IntArray) -> MaskAnswers:
        """Return the answers for the chosen rows."""
        pixels = None if self.pixels is None else select_rows(self.pixels, chosen)
        return dataclasses.replace(self, counts=self.counts[chosen], pixels=pixels)


def answers_of(
    place: PlacedHead, target: Target, values: FloatArray, part_of: IntArray, rules: Mapping[int, Decision]
) -> LabelAnswers | NumberAnswers:
    """Return what a head other than of masks answers.

    Args:
        place: the head, and where its columns are.
        target: (N, T) of all heads.
        values: (N, C) of all heads, not yet decided.
        part_of: (N,) the part of each row, which its rule was fitted without.
        rules: part -> the rule that decides all columns.
    """
    decided = np.empty(values.shape, dtype=np.float32)
    for part in np.unique(part_of).tolist():
        decided[part_of == part] = rules[part].apply(values[part_of == part])
    head, truth = place.head, target[:, place.targets]
    values, decided = values[:, place.outputs], decided[:, place.outputs]
    if head.task == "regression":
        return NumberAnswers(truth=truth[:, 0], predicted=values[:, 0], answered=decided[:, 0])
    if head.task == "multilabel":
        return LabelAnswers(
            names=head.classes,
            is_there=truth > 0.5,
            probabilities=values,
            is_answered=decided > 0.5,
            is_exclusive=False,
        )
    classes = np.arange(len(head.classes))
    if head.task == "binary":
        answer = (decided[:, 0] > 0.5).astype(np.int64)
        values = np.concatenate([1 - values, values], axis=1)
    else:
        answer = decided.argmax(axis=1)
    return LabelAnswers(
        names=head.classes,
        is_there=truth == classes,
        probabilities=values,
        is_answered=answer[:, np.newaxis] == classes,
        is_exclusive=True,
    )


def _joined(names: tuple[str, ...], chosen: BoolArray) -> StrArray:
    """Return (N,) the names of the chosen ones of (N, L), a blank between them."""
    of_sets, set_of = np.unique(chosen, axis=0, return_inverse=True)
    words = [
        " ".join(name for name, is_chosen in zip(names, row, strict=True) if is_chosen) for row in of_sets.tolist()
    ]
    return np.array(words, dtype=np.str_)[set_of.reshape(-1)]


def answered_pixels(values_C: FloatArray, num_classes: int, rule: Decision) -> ByteArray:
    """Return (P,) the class that is answered for each pixel of a mask, 1 for the only one there is.

    Args:
        values_C: probabilities of one mask, of several classes one plane after the other.
        num_classes: of a pixel; 1 where there is a foreground alone.
        rule: decides a mask of a single class.
    """
    if num_classes > 1:
        return np.asarray(values_C.reshape(num_classes, -1).argmax(axis=0), dtype=np.uint8)
    return np.asarray(rule.apply(values_C[np.newaxis])[0] > 0.5, dtype=np.uint8)
