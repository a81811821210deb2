"""The command that draws a competition's files, or a submission on them, and tells what a model consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kaggle_ray.cli.completion import complete_competition
from kaggle_ray.cli.options import options_of
from kaggle_ray.pipeline.option_values import parse_overrides
from kaggle_ray.pipeline.options import DataOptions, SearchOptions

if TYPE_CHECKING:
    from rich.table import Table

    from kaggle_ray.data.competition import Competition
    from kaggle_ray.models.summary import ModelSummary
    from kaggle_ray.types import JsonValue

_FUSED = 2
"""Images of an id that a fused model is summed up for, where no competition says how many there are."""


@click.command()
@click.argument("competition", required=False, shell_complete=complete_competition)
@options_of(DataOptions, "data")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the contact sheets. Default: show/COMPETITION.")
@click.option(
    "--augment",
    multiple=True,
    metavar="RECIPE",
    help="Augmentation whose variants are shown; may be given several times. Default: all.",
)
@click.option(
    "--submission",
    type=click.Path(path_type=Path),
    help="Show what this file says of the test images instead.",
)
@click.option(
    "--model", metavar="NAME", help="Tell what this model consists of instead, with --set as of an experiment."
)
@options_of(SearchOptions, "overrides")
def show(
    competition: str | None,
    data: str | None,
    out: Path | None,
    augment: tuple[str, ...],
    submission: Path | None,
    model: str | None,
    overrides: tuple[str, ...],
) -> None:
    """Write contact sheets of COMPETITION: samples, masks, augmented variants, sizes and channels of train and test.

    With --submission, of the file's masks or labels on the test images, the worst-looking first. With --model, print
    layers, parameters and operations; COMPETITION then only tells what goes in and comes out.
    """
    if model is not None:
        from rich.console import Console

        Console().print(_table(_summary(model, competition, parse_overrides(overrides) or {})))
        return
    if competition is None:
        raise click.UsageError("name a COMPETITION, or a --model.")
    if submission is not None:
        click.echo(_submission_page(submission, competition, data, out))
        return
    from kaggle_ray.cache.folder import default_cache_dir
    from kaggle_ray.data.opening import load_competition, open_competition
    from kaggle_ray.data.staging import stage_data
    from kaggle_ray.report.show import contact_sheets

    declared, _ = load_competition(competition)
    staged = stage_data(data or str(Path("data") / declared.name), cache_dir=default_cache_dir())
    opened, samples = open_competition(declared, staged.folder)
    click.echo(contact_sheets(opened, samples, out=out or Path("show") / opened.name, recipes=augment or None))


def _submission_page(file: Path, competition: str, data: str | None, out: Path | None) -> Path:
    """Return the page of a submission; the training images need not be there."""
    from kaggle_ray.cache.folder import default_cache_dir
    from kaggle_ray.data.opening import load_competition, open_to_predict
    from kaggle_ray.data.reading import Reading
    from kaggle_ray.data.staging import stage_data
    from kaggle_ray.images.sizes import with_test_sizes
    from kaggle_ray.report.show import submission_page

    declared, _ = load_competition(competition)
    staged = stage_data(data or str(Path("data") / declared.name), cache_dir=default_cache_dir())
    opened, samples = open_to_predict(declared, staged.folder)
    read = replace(opened, reading=opened.reading or Reading())
    sized = with_test_sizes(read, samples, default_cache_dir())
    return submission_page(file, sized, samples, out=out or Path("show") / opened.name)


def _summary(name: str, named: str | None, overrides: Mapping[str, JsonValue]) -> ModelSummary:
    """Return what a model consists of; for images of the size that its library trained it on, where none is set."""
    from kaggle_ray.config import Hyperparameters
    from kaggle_ray.data.opening import load_competition
    from kaggle_ray.models import input_size
    from kaggle_ray.models.summary import shapes_for, summarise

    competition: Competition | None = None if named is None else load_competition(named)[0]
    heads = () if competition is None or competition.resolve is not None else competition.heads
    hyperparameters = Hyperparameters(**{"image_size": 0, **overrides, "model": name})
    fuse, num_views = hyperparameters.model.fuse, 1 if competition is None else competition.images_per_file
    size = hyperparameters.images.image_size or input_size(name, hyperparameters.model.args)
    return summarise(
        name,
        shapes_for(
            name,
            num_outputs=sum(head.num_outputs for head in heads) or 1,
            num_channels=3 if competition is None else competition.channels,
            num_views=num_views if fuse == "mean" else max(num_views, _FUSED),
        ),
        sides=hyperparameters.images.sides(size),
        model_args=hyperparameters.model.args,
        head=hyperparameters.model.head,
        fuse=fuse,
    )


def _table(summary: ModelSummary) -> Table:
    from rich.table import Table

    channels, height, width = summary.input
    images = "an image" if summary.num_views == 1 else f"{summary.num_views} images"
    flops = "unknown" if summary.flops is None else f"{summary.flops / 1e9:.3f} GFLOPs"
    table = Table(
        title=f"{summary.name}: {summary.num_parameters:,} parameters, {flops} for {images} of {channels} x "
        f"{height} x {width}",
        caption="A multiplication and an addition are two operations. A layer counts with all that is in it.",
    )
    for header in ("layer", "kind", "output", "parameters", "GFLOPs"):
        table.add_column(header, justify="left" if header in ("layer", "kind") else "right")
    for layer in summary.layers:
        output = "" if layer.output is None else " x ".join(map(str, layer.output))
        table.add_row(layer.name, layer.kind, output, f"{layer.num_parameters:,}", f"{layer.flops / 1e9:.3f}")
    return table
