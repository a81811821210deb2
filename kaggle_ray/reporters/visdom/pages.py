"""The windows of text: how far the run is, which trials are under way, and the leaderboard."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from kaggle_ray.reporters.live_view import counts, doing_text
from kaggle_ray.reporters.progress import RunProgress
from kaggle_ray.reporters.table import Leaderboard
from kaggle_ray.reporters.texts import (
    clock_text,
    eta_text,
    known_score,
    loss_text,
    metric_text,
    one_line,
    slots_text,
    time_text,
    title_text,
)
from kaggle_ray.reporters.trial_sums import TrialProgress
from kaggle_ray.reporters.visdom.history import RunHistory
from kaggle_ray.reporters.visdom.windows import TALL, Html, Window, escaped

MAX_ROWS = 20
"""Rows of a table."""

_PAGE = "padding:0 8px;color:#222;font:12px/1.45 system-ui,sans-serif;overflow-wrap:anywhere"
_DIM, _BAD = "color:#777", "color:#b00"
_CELL = "padding:1px 6px 1px 0;vertical-align:top"


def text_windows(history: RunHistory) -> list[Window]:
    """Return the windows of text, empty ones too: they keep their places, and none tells of another time."""
    pages = [
        ("summary", "run", _summary(history)),
        ("board", "leaderboard", _board(history)),
        ("running", "trials under way", _running(history.progress)),
    ]
    return [
        Window(name=name, title=title, content=Html(markup=_page(parts)), height=TALL) for name, title, parts in pages
    ]


def html_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, text_column: int) -> str:
    """Return a table of texts, which are escaped; all columns but one are figures, aligned to the right."""
    lines = ["".join(_cell("th", text, is_figure=column != text_column) for column, text in enumerate(header))]
    lines += [
        "".join(_cell("td", text, is_figure=column != text_column) for column, text in enumerate(row)) for row in rows
    ]
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _page(parts: Iterable[str]) -> str:
    return f'<div style="{_PAGE}">{"".join(parts)}</div>'


def _cell(tag: str, text: str, *, is_figure: bool) -> str:
    look = "text-align:right;overflow-wrap:normal" if is_figure else "text-align:left;min-width:95px"
    return f'<{tag} style="{_CELL};{look}">{escaped(text)}</{tag}>'


def _paragraph(text: str, style: str = "") -> str:
    return f'<div style="margin-bottom:4px;{style}">{escaped(text)}</div>'


def _summary(history: RunHistory) -> list[str]:
    progress = history.progress
    parts = [
        _paragraph(f"{progress.competition} {progress.run_id}", "font-weight:bold;font-size:14px"),
        _paragraph(_state(progress), _BAD if progress.error else ""),
        _paragraph(counts(progress).plain),
        _paragraph(metric_text(progress)),
        _paragraph(f"{slots_text(progress)}, {history.user} on {history.host}"),
        _paragraph(progress.run_dir),
    ]
    if progress.how_to_resume and (progress.stopped_by or progress.error):
        parts.append(_paragraph(f"go on: {progress.how_to_resume}", "font-family:monospace"))
    return parts + [_paragraph(one_line(note), "border-top:1px solid #ddd") for note in reversed(history.notes)]


def _state(progress: RunProgress) -> str:
    """Return what the run is at, by the latest event."""
    if progress.error:
        return f"failed: {one_line(progress.error)}"
    if progress.has_ended:
        return f"ended after {clock_text(progress.elapsed_s)}"
    if progress.stopped_by:
        return f"stopped by {progress.stopped_by} after {clock_text(progress.elapsed_s)}"
    ends = "" if progress.ends_at is None else f", ends about {time_text(progress.ends_at)}"
    return f"{clock_text(progress.elapsed_s)} elapsed{eta_text(progress)}{ends}, as of {time_text(progress.now)}"


def _running(progress: RunProgress) -> list[str]:
    running = progress.running
    if not running:
        return [_paragraph("none", _DIM)]
    header = ["trial", "epoch", "now", "valid loss", progress.metric, "eta"]
    table = html_table(header, (_running_row(trial, progress) for trial in running[:MAX_ROWS]), text_column=0)
    return [table, _left_out(len(running))]


def _running_row(trial: TrialProgress, progress: RunProgress) -> list[str]:
    eta = progress.eta_of(trial)
    return [
        title_text(trial.trial, progress),
        f"{trial.epoch}/{progress.num_epochs_of(trial.trial) or '?'}",
        doing_text(trial),
        loss_text(trial.measured.valid_loss) if trial.measured else "",
        known_score(trial.measured.score) if trial.measured else "",
        "" if eta is None else clock_text(eta),
    ]


def _board(history: RunHistory) -> list[str]:
    progress, rows = history.progress, history.board
    if not rows:
        return [_paragraph("no trial is committed yet", _DIM)]
    metric = progress.metric if history.final_board else f"{progress.metric}, mean of folds"
    table = Leaderboard(rows=rows[:MAX_ROWS], metric=metric, greater_is_better=progress.greater_is_better).as_table()
    errors = [_paragraph(f"{row.name}: {one_line(row.error)}", _BAD) for row in rows[:MAX_ROWS] if row.error]
    return [_html_of(table), _left_out(len(rows)), *errors]


def _html_of(table: Table) -> str:
    """Return a table that was made for terminals, as HTML; its first column is the number of the row."""
    header = [_plain(column.header) for column in table.columns]
    cells = zip(*([_plain(cell) for cell in column.cells] for column in table.columns), strict=True)
    return html_table(header, cells, text_column=1)


def _plain(cell: object) -> str:
    return cell.plain if isinstance(cell, Text) else str(cell)


def _left_out(number: int) -> str:
    return _paragraph(f"{MAX_ROWS} of {number}", _DIM) if number > MAX_ROWS else ""
