"""What was found on a machine, as a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich import box
from rich.table import Table
from rich.text import Text

from kaggle_ray.reporters.texts import plain

State = Literal["ok", "missing", "wrong"]
"""Missing: nothing that every run needs. Wrong: a run that needs it would fail."""

_STYLES: dict[State, str] = {"ok": "green", "missing": "yellow", "wrong": "bold red"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    state: State
    text: str
    """What was found, in a line."""
    next_step: str = ""
    """What to do where it is needed."""


def findings_table(findings: Sequence[Finding]) -> Table:
    """Return a line for each finding, with the next step beneath it where there is one."""
    table = Table(box=box.SIMPLE_HEAD, show_header=False, pad_edge=False)
    table.add_column("subject", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("text", overflow="fold")
    for finding in findings:
        text = plain(finding.text)
        if finding.next_step:
            text.append_text(Text("\n")).append_text(plain(finding.next_step))
            text.stylize("dim", len(text) - len(plain(finding.next_step)))
        table.add_row(finding.subject, Text(finding.state, style=_STYLES[finding.state]), text)
    return table
