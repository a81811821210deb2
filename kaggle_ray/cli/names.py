"""The command that lists what there is by name."""

from __future__ import annotations

import click

from kaggle_ray.cli.completion import complete_competition, complete_kind
from kaggle_ray.untrusted import printable


@click.command()
@click.argument("kind", shell_complete=complete_kind)
@click.argument("pattern", required=False, default="")
@click.option(
    "--competition",
    metavar="NAME_OR_PATH",
    shell_complete=complete_competition,
    help="A competition whose file registers some of its own, which are listed, too.",
)
def names(kind: str, pattern: str, competition: str | None) -> None:
    """List what there is of KIND by name, a line for each: all, or what PATTERN is a part of, such as res or res*18.

    KIND is models, losses, optimizers, schedules, metrics, augmentations, constraints, ensembles, decisions,
    samplers, searchers, readers or reporters.
    """
    from kaggle_ray.pipeline.names import names_of

    if competition is not None:
        from kaggle_ray.data.opening import load_competition

        load_competition(competition)
    found = names_of(kind, pattern)
    width = max((len(each.name) for each in found), default=0)
    for each in found:
        click.echo(printable(f"{each.name:<{width}}  {each.what}"))
    if not found:
        click.echo(printable(f"no {kind} are named like {pattern!r}"), err=True)
