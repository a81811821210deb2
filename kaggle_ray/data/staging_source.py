"""The contract of a place that files are staged from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteFile:
    """One file of a source."""

    name: str
    """Relative to the source, with slashes."""
    num_bytes: int
    stamp: str
    """Changes whenever the content does."""


class Source(Protocol):
    """Where files are staged from."""

    def list(self) -> list[RemoteFile]:
        """Return all files.

        Raises:
            DataError: there is no such place, or no access to it.
        """
        ...

    def fetch(self, file: RemoteFile, path: Path) -> None:
        """Write the file to ``path``; raise DataError where what arrived is not what the source has."""
        ...
