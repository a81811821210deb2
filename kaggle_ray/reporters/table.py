"""The leaderboard as a rich table, for every reporter and the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from kaggle_ray.reporters.events import BoardRow, RowKind
from kaggle_ray.reporters.texts import duration_text, one_line, plain, score_text

_KIND_STYLES: dict[RowKind, str] = {"ensemble": "bold", "baseline": "dim"}


def leaderboard_table(
    rows: Sequence[BoardRow], *, metric: str, greater_is_better: bool, ascii_only: bool = False
) -> Table:
    """Return the leaderboard, best first as given, with the rows' errors beneath it.

    Args:
        rows: A column that all rows leave empty is left out.
        metric: Heads the column of honest scores.
        greater_is_better: Of the metric; optimism is negative where a score looks worse than it is.
        ascii_only: Draw the frame with ASCII, for logs.
    """
    columns: dict[str, Callable[[BoardRow], str]] = {
        metric: lambda row: score_text(row.score),
        "± folds": lambda row: score_text(row.score_std),
        "± se": lambda row: score_text(row.standard_error),
        "optimism": lambda row: score_text(row.optimism(greater_is_better=greater_is_better)),
        "weight": lambda row: "" if row.weight is None else f"{row.weight:.3f}",
        "folds": lambda row: f"{row.folds_done}/{row.num_folds}" if row.num_folds else "",
        "epochs": lambda row: str(row.epochs or ""),
        "time": lambda row: duration_text(row.duration_s) if row.duration_s else "",
    }
    cells = {title: [draw(row) for row in rows] for title, draw in columns.items()}
    shown = [title for title in columns if any(cells[title]) or title == metric]
    errors = [plain(f"{row.name}: {one_line(row.error)}") for row in rows if row.error]

    table = Table(
        box=box.ASCII if ascii_only else box.SIMPLE_HEAD,
        caption=Text("\n", style="red").join(errors) if errors else None,
        caption_justify="left",
        padding=(0, 1) if ascii_only else (0, 1, 0, 0),  # the frame has a blank of its own, and 80 columns are few
    )
    table.add_column("#", justify="right")
    table.add_column("name", overflow="fold")
    for title in shown:
        shown_as = title.replace("±", "+-") if ascii_only else title
        table.add_column(plain(shown_as), justify="right", no_wrap=True)
    for number, row in enumerate(rows):
        place = str(number + 1) if row.score is not None else ""
        figures = (cells[title][number] for title in shown)
        table.add_row(place, plain(row.name), *figures, style=_KIND_STYLES.get(row.kind))
    return table
