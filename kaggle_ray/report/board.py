"""The leaderboard of a run: experiments, ensembles and the baseline by their honest scores."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from html import escape
from typing import TYPE_CHECKING

from kaggle_ray.combine.saved import BestExperiment as BestExperiment
from kaggle_ray.reporters.events import BoardRow as BoardRow
from kaggle_ray.reporters.texts import duration_text, score_or_so_far_text, score_text
from kaggle_ray.types import JsonValue

if TYPE_CHECKING:
    import pandas as pd

    from kaggle_ray.reporters.table import Leaderboard


@dataclass(frozen=True, kw_only=True, slots=True)
class Board:
    """Rows sorted best first, incomplete ones last, equals in the order given."""

    metric: str
    greater_is_better: bool
    rows: tuple[BoardRow, ...] = ()
    best_experiment: BestExperiment | None = None
    """Best experiment by itself; None where none has an honest score."""

    def __post_init__(self) -> None:
        """Sort the rows."""
        object.__setattr__(self, "rows", tuple(sorted(self.rows, key=self._rank)))

    @property
    def submitted(self) -> BoardRow | None:
        """The ensemble that the submission was made of; None where no experiment is complete."""
        return next((row for row in self.rows if row.is_submitted), None)

    def optimism(self, row: BoardRow) -> float | None:
        """Return how much better the row looks in-sample than it is; negative where it looks worse."""
        return row.optimism(greater_is_better=self.greater_is_better)

    def to_rows(self) -> list[dict[str, JsonValue]]:
        """Return JSON rows: the fields of BoardRow, its metrics each by its name, and ``optimism``."""
        rows = [{**row.metrics, **asdict(row), "optimism": self.optimism(row)} for row in self.rows]
        for row in rows:
            del row["metrics"]
        return rows

    def table(self) -> Leaderboard:
        """Return the board as what rich prints: a table that fits."""
        from kaggle_ray.reporters.table import Leaderboard

        return Leaderboard(rows=self.rows, metric=self.metric, greater_is_better=self.greater_is_better)

    def to_frame(self) -> pd.DataFrame:
        """Return the board as a data frame with the columns of ``to_rows``."""
        import pandas as pd

        names = [*(spec.name for spec in fields(BoardRow) if spec.name != "metrics"), "optimism"]
        further = dict.fromkeys(name for row in self.rows for name in row.metrics if name not in names)
        return pd.DataFrame(self.to_rows(), columns=[*names, *further])

    def _repr_html_(self) -> str:
        """Return the board as the HTML table of a notebook, which says what a terminal's does."""
        rows = [
            {
                "name": row.name,
                self.metric: score_or_so_far_text(row),
                "± folds": score_text(row.score_std),
                "± se": score_text(row.standard_error),
                "optimism": score_text(self.optimism(row)),
                "weight": "" if row.weight is None else f"{row.weight:.3f}",
                "folds": f"{row.folds_done}/{row.num_folds}" if row.num_folds else "",
                "epochs": str(row.epochs or ""),
                "time": duration_text(row.duration_s) if row.duration_s else "",
                "notes": row.notes,
            }
            for row in self.rows
        ]
        shown = [name for name in (rows[0] if rows else ()) if any(row[name] for row in rows)]
        lines = [[escape(row[name]) for name in shown] for row in rows]
        return _html_table(map(escape, shown), lines)

    def _rank(self, row: BoardRow) -> tuple[bool, float]:
        if row.score is None or not math.isfinite(row.score):
            return (True, 0.0)
        return (False, -row.score if self.greater_is_better else row.score)


def _html_table(titles: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{title}</th>" for title in titles)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in line)}</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
