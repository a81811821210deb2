"""Command that manages this machine's cache folder."""

from __future__ import annotations

from pathlib import Path

import click

from kaggle_ray.counted import counted


@click.command()
@click.option(
    "--keep",
    type=click.FloatRange(min=0),
    metavar="GIB",
    help="Remove what was used least recently, until this much is left.",
)
@click.option("--clear", is_flag=True, help="Remove everything that no running process uses.")
@click.option("--verify", "is_verified", is_flag=True, help="Read all that is sealed; what has gone bad is made anew.")
def cache(keep: float | None, clear: bool, is_verified: bool) -> None:
    """List what is decoded and staged on this machine; make room."""
    from rich.console import Console

    from kaggle_ray.cache.budget import evict
    from kaggle_ray.cache.folder import default_cache_dir
    from kaggle_ray.images.fingerprints import forget
    from kaggle_ray.report.cache import cache_table

    folder = default_cache_dir()
    if is_verified:
        _verify(folder)
    if clear or keep is not None:
        removed = evict(folder, keep_bytes=0 if clear else int((keep or 0) * 2**30))
        click.echo(
            f"removed {counted(len(removed), 'entry')}, {sum(entry.num_bytes for entry in removed) / 2**20:,.0f} MiB"
        )
    if clear:
        forget(folder)
    Console().print(cache_table(folder))


def _verify(folder: Path) -> None:
    """Say what was read, and name what is not what was sealed."""
    from kaggle_ray.cache.verify import verify
    from kaggle_ray.untrusted import printable

    found = verify(folder)
    click.echo(f"read {counted(found.num_entries, 'entry')}, {found.num_bytes / 2**20:,.0f} MiB")
    for entry in found.broken:
        of = f"{entry.description.content} of {entry.description.source}"
        click.echo(printable(f"{of}: is not what was sealed, and is made anew when it is opened next"))
