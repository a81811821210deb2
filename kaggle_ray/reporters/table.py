"""The leaderboard as a rich table, and how scores and durations are written, for every reporter and the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from kaggle_ray.reporters.events import BoardRow, RowKind
from kaggle_ray.untrusted import printable

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
    )
    table.add_column("#", justify="right")
    table.add_column("name", overflow="fold")
    for title in shown:
        shown_as = "+- folds" if ascii_only and title == "± folds" else title
        table.add_column(plain(shown_as), justify="right", no_wrap=True)
    for number, row in enumerate(rows):
        place = str(number + 1) if row.score is not None else ""
        figures = (cells[title][number] for title in shown)
        table.add_row(place, plain(row.name), *figures, style=_KIND_STYLES.get(row.kind))
    return table


def score_text(score: float | None) -> str:
    """Return a score, or a difference of scores, to five decimals; nothing for None."""
    return "" if score is None else f"{score:.5f}"


def duration_text(seconds: float) -> str:
    """Return ``8.1s``, ``1:12`` (minutes:seconds) or ``2:03:04``."""
    if seconds < 60 and f"{seconds:.1f}" != "60.0":
        return f"{seconds:.1f}s"
    return clock_text(seconds)


def clock_text(seconds: float) -> str:
    """Return ``0:08``, ``1:12`` (minutes:seconds) or ``2:03:04``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def plain(text: str) -> Text:
    """Return a text that is shown letter by letter: nothing in it is markup, or moves the cursor."""
    return Text(printable(text))


def one_line(text: str) -> str:
    """Return ``text`` with every run of white space, line ends too, as one space."""
    return " ".join(text.split())
