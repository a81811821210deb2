"""The command that draws a competition's files, or a submission on them, and tells what a model consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kaggle_ray.cli.completion import complete_competition
from kaggle_ray.cli.options import options_of
from kaggle_ray.counted import counted
from kaggle_ray.pipeline.option_values import parse_overrides
from kaggle_ray.pipeline.options import DataOptions, SearchOptions

if TYPE_CHECKING:
    from rich.table import Table

    from kaggle_ray.models import Shapes
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
    layers, parameters and operations; COMPETITION then only tells what goes in and comes out, with --data just as its
    files do.
    """
    if model is not None:
        from rich.console import Console

        Console().print(_table(_summary(model, competition, data, parse_overrides(overrides) or {})))
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


def _summary(name: str, named: str | None, data: str | None, overrides: Mapping[str, JsonValue]) -> ModelSummary:
    """Return what a model consists of; for images of the size that its library trained it on, where none is set."""
    from kaggle_ray.config import SearchSpace
    from kaggle_ray.models import input_size
    from kaggle_ray.models.summary import shapes_for, summarise

    point = SearchSpace(base={"image_size": 0, "model": name}).expand({**overrides, "model": name})[-1]
    model, images = point.model, point.images
    shapes = shapes_for(name, num_outputs=1, num_channels=3) if named is None else _shapes_of(named, data, name)
    if model.fuse != "mean":
        shapes = replace(shapes, num_views=max(shapes.num_views, _FUSED))
    size = images.predict_size or input_size(name, model.args)
    return summarise(name, shapes, sides=images.sides(size), model_args=model.args, head=model.head, fuse=model.fuse)


def _shapes_of(named: str, data: str | None, model: str) -> Shapes:
    """Return what a model of a competition takes and gives: as its files tell where they are given."""
    from kaggle_ray.cache.folder import default_cache_dir
    from kaggle_ray.data.opening import load_competition, open_competition
    from kaggle_ray.data.staging import stage_data
    from kaggle_ray.models.summary import shapes_for
    from kaggle_ray.train.fold_data import shapes_of
    from kaggle_ray.train.inputs import shapes_of_heads

    declared, _ = load_competition(named)
    if data is not None:
        return shapes_of(*open_competition(declared, stage_data(data, cache_dir=default_cache_dir()).folder))
    if declared.resolve is not None:  # which files are needed for
        return shapes_for(model, num_outputs=1, num_channels=declared.channels, num_views=declared.images_per_file)
    return shapes_of_heads(
        declared.heads, declared.auxiliary_heads, num_channels=declared.channels, num_views=declared.images_per_file
    )


def _table(summary: ModelSummary) -> Table:
    from rich.table import Table

    from kaggle_ray.reporters.texts import size_text

    channels, height, width = summary.input
    images = "an image" if summary.num_views == 1 else counted(summary.num_views, "image")
    table = Table(
        title=f"{summary.name}: {size_text(summary.size)} for {images} of {channels} x {height} x {width}",
        caption="A multiplication and an addition are two operations. A line counts with all that is in it.",
    )
    for header in ("layer", "kind", "output", "parameters", "GFLOPs"):
        table.add_column(header, justify="left" if header in ("layer", "kind") else "right")
    for layer in summary.layers:
        output = "" if layer.output is None else " x ".join(map(str, layer.output))
        table.add_row(layer.name, layer.kind, output, f"{layer.num_parameters:,}", f"{layer.flops / 1e9:.3g}")
    return table
