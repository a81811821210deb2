"""The leaderboard of a run: experiments, ensembles and the baseline by their honest scores."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Literal

from kaggle_ray.types import JsonValue

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

RowKind = Literal["experiment", "member", "ensemble", "baseline"]


@dataclass(frozen=True, kw_only=True, slots=True)
class BoardRow:
    """One line of the leaderboard."""

    name: str
    kind: RowKind
    score: float | None
    """Honest, over all scored rows; None where folds are missing."""
    score_std: float | None = None
    """Standard deviation of the folds' scores."""
    in_sample: float | None = None
    """Of ensembles: the score on the very rows that chose the weights. Shown only as optimism."""
    weight: float | None = None
    """In the chosen ensemble."""
    folds_done: int = 0
    num_folds: int = 0
    """0 for what has no folds."""
    epochs: int = 0
    """Of each trial."""
    duration_s: float = 0.0
    """Sum over the trials."""
    error: str | None = None
    """One line; why folds are missing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Board:
    """Rows sorted best first, incomplete ones last, equals in the order given."""

    metric: str
    greater_is_better: bool
    rows: tuple[BoardRow, ...] = ()

    def __post_init__(self) -> None:
        """Sort the rows."""
        object.__setattr__(self, "rows", tuple(sorted(self.rows, key=self._rank)))

    def optimism(self, row: BoardRow) -> float | None:
        """Return how much better the row looks in-sample than it is; negative where it looks worse."""
        if row.in_sample is None or row.score is None:
            return None
        return row.in_sample - row.score if self.greater_is_better else row.score - row.in_sample

    def to_rows(self) -> list[dict[str, JsonValue]]:
        """Return JSON rows: the fields of BoardRow, and ``optimism``."""
        return [{**asdict(row), "optimism": self.optimism(row)} for row in self.rows]

    def table(self) -> Table:
        """Return the board as a rich table."""
        from kaggle_ray.reporters.table import leaderboard_table

        return leaderboard_table(self.to_rows(), metric=self.metric)

    def to_frame(self) -> pd.DataFrame:
        """Return the board as a data frame with the columns of ``to_rows``."""
        import pandas as pd

        names = [*(spec.name for spec in fields(BoardRow)), "optimism"]
        return pd.DataFrame(self.to_rows(), columns=names)

    def _rank(self, row: BoardRow) -> tuple[bool, float]:
        if row.score is None or not math.isfinite(row.score):
            return (True, 0.0)
        return (False, -row.score if self.greater_is_better else row.score)
