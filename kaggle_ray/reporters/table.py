"""The leaderboard as a rich table, for every reporter and the report."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from kaggle_ray.reporters.events import BoardRow, RowKind
from kaggle_ray.reporters.texts import duration_text, one_line, plain, score_or_so_far_text, score_text

_KIND_STYLES: dict[RowKind, str] = {"ensemble": "bold", "baseline": "dim"}


_LEAST = ("epochs", "optimism", "time", "folds")
"""Columns that are left out where the names have no room, the first of them first."""
_ENOUGH_FOR_A_NAME = 24
"""Letters of a line that let most names stand in one or two, no word of them broken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaderboard:
    """The leaderboard as a table that fits: its names are readable, and the least of its columns give way."""

    rows: Sequence[BoardRow]
    """Best first. A column that all rows leave empty is left out; their errors and notes stand beneath."""
    metric: str
    """Heads the column of honest scores."""
    greater_is_better: bool
    """Which way the metric is up; optimism is negative where a score looks worse than it is."""
    ascii_only: bool = False
    """Draw the frame with ASCII, for logs."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table with as many columns as the width allows."""
        table = self.as_table()
        for number in range(1, len(_LEAST) + 1):
            if table.__rich_measure__(console, options).minimum <= options.max_width:
                break
            table = self.as_table(without=_LEAST[:number])
        yield table

    def as_table(self, *, without: Collection[str] = ()) -> Table:
        """Return the table, without some of its columns."""
        columns: dict[str, Callable[[BoardRow], str]] = {
            self.metric: score_or_so_far_text,
            "± folds": lambda row: score_text(row.score_std),
            "± se": lambda row: score_text(row.standard_error),
            "optimism": lambda row: score_text(row.optimism(greater_is_better=self.greater_is_better)),
            "weight": lambda row: "" if row.weight is None else f"{row.weight:.3f}",
            "folds": lambda row: f"{row.folds_done}/{row.num_folds}" if row.num_folds else "",
            "epochs": lambda row: str(row.epochs or ""),
            "time": lambda row: duration_text(row.duration_s) if row.duration_s else "",
        }
        cells = {title: [draw(row) for row in self.rows] for title, draw in columns.items() if title not in without}
        shown = [title for title in cells if any(cells[title]) or title == self.metric]
        table = self._frame()
        longest = max((len(row.name) for row in self.rows), default=0)
        table.add_column("#", justify="right")
        table.add_column("name", overflow="fold", min_width=min(longest, _ENOUGH_FOR_A_NAME))
        for title in shown:
            shown_as = title.replace("±", "+-") if self.ascii_only else title
            table.add_column(plain(shown_as), justify="right", no_wrap=True)
        for number, row in enumerate(self.rows):
            place = str(number + 1) if row.score is not None else ""
            figures = (cells[title][number] for title in shown)
            table.add_row(place, plain(row.name), *figures, style=_KIND_STYLES.get(row.kind))
        return table

    def _frame(self) -> Table:
        errors = [plain(f"{row.name}: {one_line(row.error)}") for row in self.rows if row.error]
        notes = [plain(f"{row.name}: {one_line(row.notes)}") for row in self.rows if row.notes]
        beneath = [Text("\n", style=style).join(lines) for style, lines in (("red", errors), ("dim", notes)) if lines]
        return Table(
            box=box.ASCII if self.ascii_only else box.SIMPLE_HEAD,
            caption=Text("\n").join(beneath) if beneath else None,
            caption_justify="left",
            padding=(0, 1) if self.ascii_only else (0, 1, 0, 0),  # the frame has a blank, and 80 columns are few
        )
