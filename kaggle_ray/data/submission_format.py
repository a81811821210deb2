"""How a competition wants its submission laid out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmissionFormat:
    """A CSV file with one row per test id and one probability per column."""

    id_column: str
    columns: tuple[str, ...]
    """(C,) names of the value columns, in the order of a prediction's columns."""
    sample_file: str = "sample_submission.csv"
    """The competition's example, relative to its data folder: ids, their order and the header are taken from it."""

    @property
    def header(self) -> tuple[str, ...]:
        """All column names, the id's first."""
        return (self.id_column, *self.columns)
