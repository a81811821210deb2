"""Command that manages this machine's cache folder."""

from __future__ import annotations

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
def cache(keep: float | None, clear: bool) -> None:
    """List what is decoded and staged on this machine; make room."""
    from rich.console import Console

    from kaggle_ray.cache.budget import evict
    from kaggle_ray.cache.folder import default_cache_dir
    from kaggle_ray.images.fingerprints import forget
    from kaggle_ray.report.cache import cache_table

    folder = default_cache_dir()
    if clear or keep is not None:
        removed = evict(folder, keep_bytes=0 if clear else int((keep or 0) * 2**30))
        click.echo(
            f"removed {counted(len(removed), 'entry')}, {sum(entry.num_bytes for entry in removed) / 2**20:,.0f} MiB"
        )
    if clear:
        forget(folder)
    Console().print(cache_table(folder))
