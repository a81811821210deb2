"""What the cache holds on this machine, as a table."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from kaggle_ray.cache.budget import budget_of
from kaggle_ray.cache.entries import CacheEntry, list_entries
from kaggle_ray.reporters.texts import plain

_MIB = 2**20


def cache_table(cache_dir: Path) -> Table:
    """Return one row per set of decoded images or staged copy, the least recently used first: what would go first."""
    entries = list_entries(cache_dir)
    num_bytes = sum(entry.num_bytes for entry in entries)
    limit = budget_of(cache_dir) if cache_dir.is_dir() else 0
    table = Table(title=plain(f"{cache_dir}: {num_bytes / _MIB:,.0f} MiB of at most {limit / _MIB:,.0f}"))
    for name in ("of", "kind", "files", "size", "MiB", "last used", ""):
        table.add_column(name, overflow="fold")
    for entry in entries:
        table.add_row(
            plain(entry.description.source),
            plain(entry.description.content),
            f"{entry.description.num_files:,}",
            " x ".join(str(side) for side in entry.description.sides or ()),
            f"{entry.num_bytes / _MIB:,.1f}",
            f"{entry.last_used.astimezone():%Y-%m-%d %H:%M}",
            _state(entry),
        )
    return table


def _state(entry: CacheEntry) -> str:
    if entry.is_in_use:
        return "in use" if entry.is_whole else "being filled"
    return "" if entry.is_whole else "half done"
