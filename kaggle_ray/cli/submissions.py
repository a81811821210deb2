"""Commands about submission files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kaggle_ray.cli.options import options_of
from kaggle_ray.errors import ConfigError
from kaggle_ray.pipeline.options import DataOptions
from kaggle_ray.untrusted import printable

if TYPE_CHECKING:
    from kaggle_ray.data.competition import Competition


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--sample", required=True, type=click.Path(path_type=Path), help="The competition's sample submission.")
@click.option("--competition", metavar="FILE", help="What declares the cells. Default: what the sample tells of them.")
@options_of(DataOptions, "data")
@click.option("--mask-size", metavar="HEIGHTxWIDTH", help="Of all masks, where no competition declares it.")
@click.option("--pixel-order", type=click.Choice(["rows", "columns"]), default="rows", show_default=True)
@click.option("--like", metavar="PLACE", help="A submission, or a run, that FILE is compared with, joined by id.")
def check(
    file: Path,
    sample: Path,
    competition: str | None,
    data: str | None,
    mask_size: str | None,
    pixel_order: str,
    like: str | None,
) -> None:
    """Check FILE, a submission of anybody's making: header, ids, order, and every cell.

    The first row that is wrong is named, with the reason; exit code 1.
    """
    from kaggle_ray.submission.check_any import check_file

    found = check_file(
        file,
        sample,
        competition=None if competition is None else _opened(competition, data),
        mask_size=None if mask_size is None else _parsed_size(mask_size),
        pixel_order="columns" if pixel_order == "columns" else "rows",
        like=None if like is None else _submission_of(like),
    )
    for line in found.told:
        click.echo(printable(f"held to: {line}"))
    for line in found.warnings:
        click.echo(printable(f"warning: {line}."))
    if found.likeness is not None:
        click.echo(printable(f"{found.likeness.kind} with {like}: {found.likeness.value:.4f}"))
    click.echo(printable(f"{file}: {found.num_rows} rows are what {sample} asks for."))


def _opened(named: str, data: str | None) -> Competition:
    """Return what declares the cells; its files are read only where they are needed for it, or named."""
    from kaggle_ray.cache.folder import default_cache_dir
    from kaggle_ray.data.competition import load_competition, open_competition
    from kaggle_ray.data.reading import Reading
    from kaggle_ray.data.staging import stage_data
    from kaggle_ray.images.sizes import with_test_sizes

    declared, _ = load_competition(named)
    has_own_sizes = declared.mask is not None and declared.mask.declared is None
    if data is None and declared.resolve is None and not has_own_sizes:
        return declared
    staged = stage_data(data or str(Path("data") / declared.name), cache_dir=default_cache_dir())
    competition, samples = open_competition(declared, staged.folder)
    read = replace(competition, reading=competition.reading or Reading())
    return with_test_sizes(read, samples, default_cache_dir())


def _parsed_size(text: str) -> tuple[int, int]:
    height, by, width = text.lower().partition("x")
    if not (by and height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise ConfigError(f"--mask-size: expected HEIGHTxWIDTH, such as 1280x1918, got {text!r}.")
    return int(height), int(width)


def _submission_of(place: str) -> Path:
    """Return the file of a submission, or that of a run."""
    from kaggle_ray.store.opening import open_run
    from kaggle_ray.submission.saved import submission_file

    return Path(place) if Path(place).is_file() else submission_file(open_run(place))
