"""How a competition wants its submission laid out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from kaggle_ray.counted import counted
from kaggle_ray.errors import ConfigError, suggest

CellKind = Literal["probabilities", "numbers", "label", "tags", "rle"]
PixelOrder = Literal["rows", "columns"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmissionFormat:
    """A CSV file with one row per test id.

    >>> from kaggle_ray import SubmissionFormat
    >>> SubmissionFormat(id_column="image_name", columns=("tags",), cells="tags").header
    ('image_name', 'tags')

    Raises:
        ConfigError: on creation, where kind and columns contradict each other.
    """

    id_column: str
    columns: tuple[str, ...]
    """Names of the other columns, in any order: the file has that of the sample. Those of probabilities, numbers and
    run lengths are the names of the classes, labels or heads; see ``place_columns``."""
    cells: CellKind = "probabilities"
    """``probabilities`` and ``numbers``: a number per column; where the metric scores a decided answer, that answer: 0
    or 1 of a class or label, or a grade. ``label``: the name of the most probable class; ``tags``: the names of the
    decided labels; ``rle``: a mask as run lengths, of each class but the background where there are several."""
    separator: str = " "
    """What stands between the names in cells of kind tags; no name may contain it."""
    pixel_order: PixelOrder = "rows"
    """Whether the run lengths of cells of kind rle count pixels along rows or down columns."""
    holds: tuple[str, ...] = ()
    """The class, label or head (of several, ``head.class``) that each column holds, where its name does not tell."""
    sample_file: str = "sample_submission.csv"
    """The competition's example, relative to its data folder: ids, their order and the header are taken from it."""

    def __post_init__(self) -> None:
        """Check the kind, that words have one column, and that names do not repeat."""
        if self.cells not in get_args(CellKind):
            raise ConfigError(f"submission: there are no cells {self.cells!r}{suggest(self.cells, get_args(CellKind))}")
        if not self.separator:
            raise ConfigError("submission: expected a separator of tags, got an empty one.")
        if self.cells in ("label", "tags") and len(self.columns) != 1:
            raise ConfigError(f"submission: cells of kind {self.cells!r} have 1 column, got {len(self.columns)}.")
        if len(set(self.header)) < len(self.header):
            raise ConfigError(f"submission: expected columns of different names, got {', '.join(self.header)}.")
        if self.holds and (self.cells in ("label", "tags") or len(self.holds) != len(self.columns)):
            raise ConfigError(
                f"submission: holds says what each column of numbers or run lengths holds: expected "
                f"{counted(len(self.columns), 'name')} for {', '.join(self.columns)}, got {', '.join(self.holds)}."
            )

    def join_tags(self, names: Iterable[str]) -> str:
        """Return the cell of several names."""
        return self.separator.join(names)

    def split_tags(self, cell: str) -> list[str]:
        """Return the names in a cell of several, to the letter."""
        return cell.split(self.separator) if cell else []

    @property
    def header(self) -> tuple[str, ...]:
        """All column names, the id's first."""
        return (self.id_column, *self.columns)
