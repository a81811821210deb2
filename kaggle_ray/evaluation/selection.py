"""Selections of the evaluation table: by outcome, label, combination of labels, and range of probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from kaggle_ray.errors import ConfigError, suggest
from kaggle_ray.evaluation.answers import LabelAnswers, MaskAnswers
from kaggle_ray.evaluation.table import Evaluation
from kaggle_ray.types import BoolArray, Float64Array

Outcome = Literal["right", "wrong", "true_positive", "false_positive", "true_negative", "false_negative"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Conditions that a row has to meet, all of them; by default every row does.

    Raises:
        ConfigError: on creation, where a condition is none.
    """

    outcome: Outcome | None = None
    """``right`` or ``wrong`` as a whole; the others are of one label, which is named, or of a binary task's second
    class."""
    label: str | None = None
    """Class or label whose outcome and probability are meant; without an outcome, rows that truly have it."""
    combination: str | None = None
    """Labels, with blanks or commas between, that a row has to have, and no others; empty: none at all."""
    probability: tuple[float, float] | None = None
    """Lowest and highest, both included: of the label that is named, else of the surest answer; of masks the Dice."""
    head: str | None = None
    """Head that is meant, by default the first one."""

    def __post_init__(self) -> None:
        """Check the outcome, and that the range is one."""
        if self.outcome is not None and self.outcome not in OUTCOMES:
            raise ConfigError(f"outcome: there is no {self.outcome!r}{suggest(self.outcome, OUTCOMES)}")
        if self.probability is not None and not self.probability[0] <= self.probability[1]:
            raise ConfigError(f"probability: expected a range from low to high, got {self.probability}.")

    @property
    def words(self) -> str:
        """What is selected, in words, such as ``false negative of haze, 0.5 to 1``."""
        parts = [
            (self.outcome or "").replace("_", " "),
            "" if self.label is None else f"of {self.label}",
            "" if self.combination is None else f"labelled {self.combination or 'with nothing'}",
        ]
        words = " ".join(part for part in parts if part) or "all rows"
        return words if self.probability is None else f"{words}, {self.probability[0]:g} to {self.probability[1]:g}"

    def of(self, evaluation: Evaluation) -> Evaluation:
        """Return the rows that meet all conditions.

        Raises:
            ConfigError: there is no such head or label, or a condition does not suit the task.
        """
        chosen = np.ones(len(evaluation), dtype=np.bool_)
        if self.label is not None or self.outcome is not None or self.combination is not None:
            chosen &= self._of_labels(evaluation.labels(self.head))
        if self.probability is not None:
            low, high = self.probability
            sureness = self._sureness(evaluation)
            chosen &= (sureness >= low) & (sureness <= high)
        return evaluation.where(chosen)

    def _of_labels(self, answers: LabelAnswers) -> BoolArray:
        chosen = np.ones(len(answers.is_there), dtype=np.bool_)
        if self.combination is not None:
            wanted = {_number_of(answers, name) for name in self.combination.replace(",", " ").split()}
            chosen &= (answers.is_there == np.isin(np.arange(len(answers.names)), list(wanted))).all(axis=1)
        if self.outcome in ("right", "wrong"):
            is_right = (answers.is_there == answers.is_answered).all(axis=1)
            chosen &= is_right == (self.outcome == "right")
            if self.label is not None:
                chosen &= answers.is_there[:, _number_of(answers, self.label)]
        elif self.outcome is not None:
            column = self._column(answers)
            is_answered = answers.is_answered[:, column]
            is_right = answers.is_there[:, column] == is_answered
            chosen &= (is_answered == self.outcome.endswith("positive")) & (is_right == self.outcome.startswith("true"))
        elif self.label is not None:
            chosen &= answers.is_there[:, _number_of(answers, self.label)]
        return chosen

    def _column(self, answers: LabelAnswers) -> int:
        """Return the number of the label that an outcome is of."""
        if self.label is not None:
            return _number_of(answers, self.label)
        if answers.is_exclusive and len(answers.names) == 2:
            return 1
        raise ConfigError(f"outcome {self.outcome!r}: name the label that it is of, one of {', '.join(answers.names)}.")

    def _sureness(self, evaluation: Evaluation) -> Float64Array:
        """Return (N,) the number that the range is of."""
        answers = evaluation.answers(self.head)
        if isinstance(answers, MaskAnswers):
            return np.asarray(answers.dice.mean(axis=1))
        of_labels = evaluation.labels(self.head)
        if self.label is not None:
            return of_labels.probabilities[:, _number_of(of_labels, self.label)].astype(np.float64)
        answered = np.where(of_labels.is_answered, of_labels.probabilities, 0)
        return np.asarray(answered.max(axis=1), dtype=np.float64)


def _number_of(answers: LabelAnswers, label: str) -> int:
    if label not in answers.names:
        raise ConfigError(f"there is no label {label!r}{suggest(label, answers.names)}")
    return answers.names.index(label)
