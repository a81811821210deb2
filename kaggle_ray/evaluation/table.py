"""The evaluation table: a row for each scored row of a run, with its truth, its answer, and how wrong that is.

Shape legend: N scored rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kaggle_ray.errors import ConfigError, suggest
from kaggle_ray.evaluation.answers import Answers, Column, LabelAnswers
from kaggle_ray.types import BoolArray, Float64Array, IntArray, StrArray

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """Rows that a run has scored, each predicted by models that never saw it, and decided by such a rule."""

    ids: StrArray
    """(N,) ids."""
    fold_of: IntArray
    """(N,) fold that scores each."""
    of_heads: Mapping[str, Answers]
    """Head -> its answers."""
    loss_weights: Mapping[str, float]
    """Head -> share in the loss, relative to the others."""

    def __len__(self) -> int:
        """Return N."""
        return len(self.ids)

    @property
    def loss(self) -> Float64Array:
        """(N,) how wrong each row is: the sum of the heads' losses, each times its share."""
        losses = [self.loss_weights[name] * each.loss for name, each in self.of_heads.items()]
        return np.asarray(np.sum(losses, axis=0))

    def where(self, chosen: BoolArray | IntArray) -> Evaluation:
        """Return the chosen rows, by whether each is chosen or by their positions, in that order."""
        return Evaluation(
            ids=self.ids[chosen],
            fold_of=self.fold_of[chosen],
            of_heads={name: each.where(chosen) for name, each in self.of_heads.items()},
            loss_weights=self.loss_weights,
        )

    def worst(self, number: int) -> Evaluation:
        """Return the rows with the greatest loss, the worst one first."""
        return self.where(np.argsort(-self.loss, kind="stable")[:number])

    def answers(self, head: str | None = None) -> Answers:
        """Return the answers of a head, by default the first one.

        Raises:
            ConfigError: there is no such head.
        """
        name = next(iter(self.of_heads)) if head is None else head
        if name not in self.of_heads:
            raise ConfigError(f"there is no head {name!r}{suggest(name, self.of_heads)}")
        return self.of_heads[name]

    def labels(self, head: str | None = None) -> LabelAnswers:
        """Return the answers of a head of classes or labels, by default the first one.

        Raises:
            ConfigError: there is no such head, or it is of numbers or masks.
        """
        found = self.answers(head)
        if not isinstance(found, LabelAnswers):
            raise ConfigError(
                f"expected a head of classes or labels, {head or next(iter(self.of_heads))!r} is neither."
            )
        return found

    def to_frame(self) -> pd.DataFrame:
        """Return a row per scored row: id, fold, truth, answer, what the model says, loss.

        Of several heads the columns have the head's name and a dot before them.
        """
        import pandas as pd

        columns: dict[str, Column] = {"id": self.ids, "fold": self.fold_of}
        for name, each in self.of_heads.items():
            before = f"{name}." if len(self.of_heads) > 1 else ""
            columns |= {f"{before}{column}": values for column, values in each.columns().items()}
            if before:
                columns[f"{before}loss"] = each.loss
        return pd.DataFrame({**columns, "loss": self.loss})
