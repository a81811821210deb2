"""Commands that look at, and delete, what runs have told Elasticsearch."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kaggle_ray.counted import counted

if TYPE_CHECKING:
    from kaggle_ray.reporters.elasticsearch.queries import Order, Selection
    from kaggle_ray.reporters.elasticsearch.server import Server

Command = TypeVar("Command", bound=Callable[..., Any])

NAMED = click.argument("named", metavar="ID")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _of_runs(command: Command) -> Command:
    """Add the options that say whose runs are meant."""
    for flag, of in (
        ("--run", "the run of this id"),
        ("--user", "this user's runs"),
        ("--competition", "a competition"),
    ):
        command = click.option(flag, metavar="NAME", help=f"Only what is of {of}.")(command)
    return command


@click.group()
def elasticsearch() -> None:
    """Look at what runs have told Elasticsearch, across users and competitions; delete it.

    The server is the one that `--reporter elasticsearch` writes to.
    """


@elasticsearch.command("list")
@_of_runs
@click.option("--at-least", type=float, metavar="SCORE", help="Only scores that are not lower.")
@click.option("--at-most", type=float, metavar="SCORE", help="Only scores that are not higher.")
@click.option(
    "--sort",
    type=click.Choice(["score", "time"]),
    default="score",
    show_default=True,
    help="The best of each competition first, or the latest.",
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many are listed.")
@AS_JSON
def list_(at_least: float | None, at_most: float | None, sort: Order, limit: int, as_json: bool, **whose: Any) -> None:
    """List experiments."""
    from kaggle_ray.reporters.elasticsearch.queries import list_experiments
    from kaggle_ray.reporters.elasticsearch.tables import experiments_table

    selection = _selection(at_least=at_least, at_most=at_most, **whose)
    found = list_experiments(_server(), selection, order=sort, limit=limit)
    if as_json:
        click.echo(json.dumps(found))
    else:
        _print(experiments_table(found))


@elasticsearch.command()
@NAMED
@_of_runs
@AS_JSON
def show(named: str, as_json: bool, **whose: Any) -> None:
    """Show a run, by its id, or an experiment, by its id or name."""
    from kaggle_ray.errors import ConfigError
    from kaggle_ray.reporters.elasticsearch.queries import find_experiments, find_runs
    from kaggle_ray.reporters.elasticsearch.tables import experiment_view, run_view

    server, selection = _server(), _selection(**whose)
    runs, experiments = find_runs(server, named, selection), find_experiments(server, named, selection)
    if not runs and not experiments:
        raise ConfigError(f"there is no run or experiment {named!r} in Elasticsearch.")
    if as_json:
        click.echo(json.dumps({"runs": [*map(asdict, runs)], "experiments": [*map(asdict, experiments)]}))
    else:
        _print(*map(run_view, runs), *map(experiment_view, experiments))


@elasticsearch.command()
@NAMED
@_of_runs
@click.option("--yes", is_flag=True, help="Do not ask.")
@AS_JSON
def delete(named: str, yes: bool, as_json: bool, **whose: Any) -> None:
    """Delete the documents of a run or of an experiment, by its id; the run itself stays as it is.

    A run that goes on, or is resumed, with `--reporter elasticsearch` writes them anew.
    """
    from kaggle_ray.reporters.elasticsearch.queries import find_documents, num_by_run
    from kaggle_ray.untrusted import printable

    server = _server()
    hits = find_documents(server, named, _selection(**whose))
    for run, number in sorted(num_by_run(hits).items()):
        click.echo(printable(f"{run}: {counted(number, 'document')}"), err=as_json)
    if not yes:
        click.confirm("Delete them?", abort=True, err=as_json)
    server.delete(hits)
    click.echo(json.dumps({"num_deleted": len(hits)}) if as_json else f"deleted {counted(len(hits), 'document')}")


def _server() -> Server:
    from kaggle_ray.reporters.elasticsearch.server import Server
    from kaggle_ray.reporters.elasticsearch.settings import ElasticsearchSettings
    from kaggle_ray.reporters.settings import settings_of

    return Server(ElasticsearchSettings.of(settings_of("elasticsearch")))


def _selection(*, run: str | None, **whose: Any) -> Selection:
    from kaggle_ray.reporters.elasticsearch.queries import Selection

    return Selection(run_id=run, **whose)


def _print(*views: Any) -> None:
    from rich.console import Console

    console = Console()
    for view in views:
        console.print(view)
