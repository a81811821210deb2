"""Commands about submission files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kaggle_ray.cli.options import RUN, options_of
from kaggle_ray.counted import counted
from kaggle_ray.errors import ConfigError
from kaggle_ray.pipeline.options import DataOptions, OutputOptions, PredictOptions
from kaggle_ray.untrusted import printable

if TYPE_CHECKING:
    from kaggle_ray.data.competition import Competition


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--sample", required=True, type=click.Path(path_type=Path), help="The competition's sample submission.")
@click.option("--competition", metavar="FILE", help="What declares the cells. Default: what the sample tells of them.")
@options_of(DataOptions, "data")
@click.option("--mask-size", metavar="HEIGHTxWIDTH", help="Of all masks, where no competition declares it.")
@click.option(
    "--pixel-order",
    type=click.Choice(["rows", "columns"]),
    default="rows",
    show_default=True,
    help="Which pixels of a mask follow each other, where no competition declares it.",
)
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
    click.echo(printable(f"{file}: {counted(found.num_rows, 'row is', 'rows are')} what {sample} asks for."))


@click.command()
@RUN
@click.option("-m", "--message", required=True, help="What Kaggle shows beside it.")
@click.option("--slug", metavar="NAME", help="The competition's name on Kaggle. Default: the run's, with dashes.")
@click.option("--refit", is_flag=True, help="Submit what the models of all rows predict.")
@click.option("--wait", default=600.0, show_default=True, metavar="SECONDS", help="For the score.")
def submit(run: str, message: str, slug: str | None, refit: bool, wait: float) -> None:
    """Submit RUN to Kaggle, wait for the score, and record it with the run; again: nothing is submitted twice.

    The run's report.html shows the score against the honest one.
    """
    from kaggle_ray.kaggle.client import KaggleCommand
    from kaggle_ray.kaggle.submitting import Submitting
    from kaggle_ray.report.collect import save_report_of
    from kaggle_ray.reporters.texts import score_text
    from kaggle_ray.store.opening import open_run
    from kaggle_ray.submission.saved import FINAL, REFIT

    store = open_run(run)
    competition = store.known_record().competition
    command = KaggleCommand(slug or competition.replace("_", "-"))
    done = Submitting(store=store, kaggle=command).submit(message, name=REFIT if refit else FINAL, wait_s=wait)
    save_report_of(store)
    scores = f"public score {score_text(done.public_score)}" if done.state == "complete" else "not scored yet"
    click.echo(printable(f"{done.slug}: submission {done.ref}: {scores}; honest score {score_text(done.score_honest)}"))


@click.command()
@click.argument("run", required=False)
@options_of(OutputOptions, "runs")
@click.option("--refresh", is_flag=True, help="Ask Kaggle for the scores that are there now.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE", help="Page to draw them on, by competition.")
def submissions(run: str | None, runs: str, refresh: bool, plot: Path | None) -> None:
    """List what was submitted to Kaggle of RUN, or of all runs: public and private scores beside the honest ones."""
    from rich.console import Console

    from kaggle_ray.kaggle.client import KaggleCommand
    from kaggle_ray.kaggle.listing import submissions_table
    from kaggle_ray.report.kaggle_scores import kaggle_scores_page
    from kaggle_ray.report.runs import find_run
    from kaggle_ray.store.opening import list_runs

    stores = list_runs(runs) if run is None else [find_run(run, runs)]
    Console().print(submissions_table(stores, ask=KaggleCommand if refresh else None))
    if plot is not None:
        plot.write_text(kaggle_scores_page(stores), encoding="utf-8")
        click.echo(plot)


@click.command()
@RUN
@click.argument("others", nargs=-1, metavar="[OTHER]...")
@options_of(PredictOptions, "data", "competition")
@click.option("--public-share", required=True, type=click.FloatRange(0, 1, min_open=True), help="As Kaggle says it.")
@click.option("--leaderboard", type=click.Path(path_type=Path), help="A downloaded one, as CSV or zip.")
def meaning(
    run: str,
    others: tuple[str, ...],
    data: str,
    competition: str | None,
    public_share: float,
    leaderboard: Path | None,
) -> None:
    """Say which public score to expect of RUN, what the gap to the one it has means, and its rank.

    With OTHER runs that have public scores, too: which two submissions to choose.
    """
    from kaggle_ray.pipeline.meaning import choice_of, meaning_of
    from kaggle_ray.store.opening import open_run

    stores = [open_run(each) for each in (run, *others)]
    meanings = [meaning_of(each, data=data, public_share=public_share, competition=competition) for each in stores]
    for each in meanings:
        for line in each.lines(leaderboard):
            click.echo(printable(line))
    if len(meanings) > 1:
        choice = choice_of(meanings)
        click.echo(printable(f"choose {' and '.join(choice.names)}: one is the best of all with {choice.chance:.0%}"))


def _opened(named: str, data: str | None) -> Competition:
    """Return what declares the cells; its files are read only where they are needed for it, or named."""
    from kaggle_ray.cache.folder import default_cache_dir
    from kaggle_ray.data.opening import load_competition, open_competition
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
