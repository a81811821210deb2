"""The commands that list what there is by name."""

from __future__ import annotations

import click

from kaggle_ray.cli.completion import complete_competition, complete_kind
from kaggle_ray.untrusted import printable

_PATTERN = click.argument("pattern", required=False, default="")
_COMPETITION = click.option(
    "--competition",
    metavar="NAME_OR_PATH",
    shell_complete=complete_competition,
    help="A competition whose file registers some of its own, which are listed, too.",
)


@click.command()
@click.argument("kind", shell_complete=complete_kind)
@_PATTERN
@_COMPETITION
def names(kind: str, pattern: str, competition: str | None) -> None:
    """List what there is of KIND by name, a line for each: all, or what PATTERN is a part of, such as res or res*18.

    KIND is models, losses, optimizers, schedules, metrics, augmentations, constraints, ensembles, decisions,
    samplers, searchers, readers or reporters.
    """
    _list(kind, pattern, competition)


def _listing(kind: str) -> click.Command:
    """Return the command that is called as ``kind``, and lists what there is of it."""

    @click.command(kind, help=f"List the {kind} by name, a line for each: all, or what PATTERN is a part of.")
    @_PATTERN
    @_COMPETITION
    def of_kind(pattern: str, competition: str | None) -> None:
        _list(kind, pattern, competition)

    return of_kind


OF_KINDS = [_listing(kind) for kind in ("models", "losses", "metrics", "augmentations")]
"""Commands for the kinds that are asked for most: ``kaggle-ray models`` is ``kaggle-ray names models``."""


def _list(kind: str, pattern: str, competition: str | None) -> None:
    from kaggle_ray.cache.folder import default_cache_dir
    from kaggle_ray.pipeline.names import names_of

    if competition is not None:
        from kaggle_ray.data.opening import load_competition

        load_competition(competition)
    found = names_of(kind, pattern, cache_dir=default_cache_dir())
    width = max((len(each.name) for each in found), default=0)
    for each in found:
        click.echo(printable(f"{each.name:<{width}}  {each.what}"))
    if not found:
        click.echo(printable(f"no {kind} are named like {pattern!r}"), err=True)
