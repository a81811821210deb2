"""Commands that look at runs, at a machine and at a competition's files: list, status, doctor, board, show, ..."""

from __future__ import annotations

import json

import click

from kaggle_ray.cli.options import RUN, options_of
from kaggle_ray.pipeline.options import OutputOptions, PredictOptions
from kaggle_ray.untrusted import printable

_SORT = click.option(
    "--sort", metavar="COLUMN", help="Order by a column, -COLUMN for the largest first, instead of the usual order."
)
_CSV = click.option("--csv", "as_csv", is_flag=True, help="Print CSV, which has all columns.")


@click.command("list")
@options_of(OutputOptions, "runs")
@_SORT
@click.option("--filter", "where", multiple=True, metavar="CONDITION", help="Such as competition=dogs or score<0.3.")
@_CSV
def list_(runs: str, sort: str | None, where: tuple[str, ...], as_csv: bool) -> None:
    """List the runs, with how far they are and their honest scores."""
    from rich.console import Console

    from kaggle_ray.report.cells import rows_csv, select_rows
    from kaggle_ray.report.run_list import listed_runs, runs_table
    from kaggle_ray.store.opening import list_imported

    found = select_rows(listed_runs(runs), where=where, sort=sort)
    if not as_csv:
        Console().print(runs_table(found, title=f"Runs in {runs}"))
        for place in list_imported(runs):
            click.echo(printable(f"imported predictions, for kaggle-ray ensemble: {place}"))
        return
    click.echo(rows_csv(found), nl=False)
    for error in (run.error for run in found if run.error):
        click.echo(printable(error), err=True)


@click.command()
@click.argument("run", required=False)
@options_of(OutputOptions, "reporters", "runs")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def status(run: str | None, reporters: tuple[str, ...], runs: str, as_json: bool) -> None:
    """Tell how far RUN is, and whether its driver is alive: a run folder, a run's id, or a competition's latest run.

    Without RUN it is the latest run of all. Any shell that sees the folder may ask, at any time. Nothing is written,
    but with --reporter: services are told what they lack, that the driver was killed among it.
    """
    from rich.console import Console

    from kaggle_ray.pipeline.services import deliver_to
    from kaggle_ray.report.runs import find_run
    from kaggle_ray.report.status import status_of

    store = find_run(run, runs)
    found = status_of(store)
    if as_json:
        click.echo(json.dumps(found.to_json(), allow_nan=False))
    else:
        Console().print(found.view(), soft_wrap=True)
    for line in deliver_to(reporters, store) if reporters else ():
        click.echo(line, err=as_json)


@click.command()
@options_of(OutputOptions, "runs")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def doctor(runs: str, as_json: bool) -> None:
    """Look at what this machine has for runs, and say what is missing; exit code 1 where something is wrong."""
    from dataclasses import asdict

    from rich.console import Console

    from kaggle_ray.pipeline.doctor import examine
    from kaggle_ray.report.findings import findings_table

    findings = examine(runs)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings]))
    else:
        Console().print(findings_table(findings))
    if any(finding.state == "wrong" for finding in findings):
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("places", nargs=-1, required=True, metavar="RUN...")
@options_of(OutputOptions, "runs")
@_SORT
@click.option("--filter", "where", multiple=True, metavar="CONDITION", help="Such as lr>=0.01, user=ann, run~abc.")
@click.option("--columns", metavar="NAMES", help="Columns and hyperparameters to show, with commas between.")
@_CSV
def board(
    places: tuple[str, ...], runs: str, sort: str | None, where: tuple[str, ...], columns: str | None, as_csv: bool
) -> None:
    """Print the leaderboard of RUN, a run that is still going on, too; or compare the experiments of several.

    RUN is a run, its id, a competition's name for its latest run, a folder of runs or of pulled ones, or a place where
    runs are shared.
    """
    from rich.console import Console

    from kaggle_ray.report.cells import rows_csv
    from kaggle_ray.report.collect import board_of
    from kaggle_ray.report.comparison import chosen, compared, comparison_table
    from kaggle_ray.report.runs import place_named
    from kaggle_ray.share.sources import runs_at

    found, errors = runs_at(*(place_named(place, runs) for place in places))
    if len(found) == 1 and not (errors or sort or where or columns or as_csv):
        Console().print(board_of(found[0].store).table())
        return
    all_rows, unreadable = compared((each.user, each.store) for each in found)
    errors += unreadable
    rows = chosen(all_rows, where=where, sort=sort)
    names = columns.split(",") if columns else ()
    if as_csv:
        click.echo(rows_csv(rows, columns=names), nl=False)
        for error in errors:
            click.echo(printable(error), err=True)
    else:
        Console().print(comparison_table(rows, columns=names, errors=errors))


@click.command()
@click.argument("a", metavar="EXPERIMENT")
@click.argument("b", metavar="OTHER")
@options_of(OutputOptions, "runs")
def diff(a: str, b: str, runs: str) -> None:
    """Say what differs between EXPERIMENT and OTHER, and what it did to the score of each fold.

    Each is RUN/NAME, RUN a run's id or folder; or the name or id of an experiment alone: it is one of the latest run,
    or, where that has none such, the one that another run has.
    """
    from rich.console import Console

    from kaggle_ray.report.diff import diff_of, find_side

    Console().print(diff_of(find_side(a, runs), find_side(b, runs)).view())


@click.command()
@RUN
@click.argument("experiment")
def explain(run: str, experiment: str) -> None:
    """Say in one sentence why EXPERIMENT of RUN, a name or an id, was stopped, or why not."""
    from kaggle_ray.report import explain as explaining
    from kaggle_ray.store.opening import open_run

    click.echo(printable(explaining.explain(open_run(run), experiment)))


@click.command()
@RUN
@click.argument("experiment")
@click.option("--name", help="Its new name; empty: the one that the run gave it.")
@click.option("--notes", help="What to note of it; empty: nothing.")
def label(run: str, experiment: str, name: str | None, notes: str | None) -> None:
    """Give EXPERIMENT of RUN, a name or an id, a name and notes of your own. Nothing is computed anew for it."""
    from kaggle_ray.report.explain import find_experiment
    from kaggle_ray.store.opening import open_run

    if name is None and notes is None:
        raise click.UsageError("expected --name, --notes, or both.")
    store = open_run(run)
    experiment_id = find_experiment(store, experiment).experiment_id
    store.label(experiment_id, name=name, notes=notes)
    click.echo(printable(f"{experiment_id}: {find_experiment(store, experiment_id).name}"))


@click.command()
@RUN
@options_of(PredictOptions, "competition")
def report(run: str, competition: str | None) -> None:
    """Write report.html of RUN, a run folder, anew."""
    from kaggle_ray.pipeline.recorded import load_own_rules
    from kaggle_ray.report.collect import save_report_of
    from kaggle_ray.store.opening import open_run

    store = open_run(run)
    load_own_rules(store, store.known_record(), competition, decides=True)
    click.echo(save_report_of(store))
