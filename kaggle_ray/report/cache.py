"""What the decode-once cache holds on this machine, as a table."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from kaggle_ray.images.evict import budget_of, list_entries

_MIB = 2**20


def cache_table(cache_dir: Path) -> Table:
    """Return one row per entry, the least recently used first: what would go first."""
    entries = list_entries(cache_dir)
    num_bytes = sum(entry.num_bytes for entry in entries)
    limit = budget_of(cache_dir) if cache_dir.is_dir() else 0
    table = Table(title=f"{cache_dir}: {num_bytes / _MIB:,.0f} MiB of at most {limit / _MIB:,.0f}")
    for name in ("images of", "kind", "number", "size", "MiB", "last used", ""):
        table.add_column(name, overflow="fold")
    for entry in entries:
        table.add_row(
            entry.source,
            entry.kind,
            f"{entry.num_images:,}",
            f"{entry.height} x {entry.width}",
            f"{entry.num_bytes / _MIB:,.1f}",
            f"{entry.last_used.astimezone():%Y-%m-%d %H:%M}",
            "in use" if entry.in_use else "",
        )
    return table
