"""The command that tells services what they lack of a run, after it has ended or while it goes on."""

from __future__ import annotations

import click

from kaggle_ray.cli.options import options_of
from kaggle_ray.pipeline.options import OutputOptions


@click.command()
@click.argument("run")
@options_of(OutputOptions, "reporters", "runs")
@click.option("--again", is_flag=True, help="Deliver all events anew: to a server that has lost what it had.")
def deliver(run: str, reporters: tuple[str, ...], runs: str, again: bool) -> None:
    """Deliver what services lack of the events of RUN: a run folder, a run's id, or a competition's latest run.

    A run does so itself, when it is started again; this is for one that is over, after a server was down.
    """
    if not reporters:
        raise click.UsageError("name a service: --reporter NAME.")
    from kaggle_ray.pipeline.services import deliver_to
    from kaggle_ray.report.runs import find_run

    for line in deliver_to(reporters, find_run(run, runs), again=again):
        click.echo(line)
