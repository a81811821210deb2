"""Commands that share runs, ensemble those of several people, and remove them."""

from __future__ import annotations

from pathlib import Path

import click

from kaggle_ray.cli.options import RUN, options_of
from kaggle_ray.pipeline.options import OutputOptions, PredictOptions

_PLACE = click.argument("place")
_USER = "Whose corner of PLACE it is. Default: the name of this machine's user."
_WEIGHTS = click.option(
    "--weights/--no-weights", default=True, help="With the weights, by which new rows are predicted, or without."
)


@click.command()
@RUN
@_PLACE
@click.option("--user", envvar="KAGGLE_RAY_USER", help=_USER)
@_WEIGHTS
@click.option("--check", is_flag=True, help="Read what is there already, too, and replace what is damaged.")
def push(run: str, place: str, user: str | None, weights: bool, check: bool) -> None:
    """Share RUN at PLACE, a folder or s3://bucket/prefix: its experiments, predictions and ensembles."""
    from kaggle_ray.counted import counted
    from kaggle_ray.reporters.texts import bytes_text
    from kaggle_ray.share import push as pushing
    from kaggle_ray.store.opening import open_run
    from kaggle_ray.untrusted import printable

    done = pushing.push(open_run(run), place, user=user, weights=weights, check=check)
    whole = f"{counted(len(done.index.files), 'file')}, {bytes_text(done.index.num_bytes)}"
    new = f"{counted(done.num_new_files, 'new content')}, {bytes_text(done.num_new_bytes)}"
    click.echo(printable(f"{done.index.name}: {whole}; {new} sent."))


@click.command()
@_PLACE
@click.option("--run", "run_id", metavar="ID", help="The run to pull. Default: all.")
@click.option("--user", help="Whose runs to pull. Default: everybody's.")
@click.option("--to", default="shared", show_default=True, type=click.Path(path_type=Path), help="Folder of them.")
@_WEIGHTS
@click.option("--max-gib", default=50.0, show_default=True, help="Most that one run may take.")
@options_of(OutputOptions, "runs")
def pull(place: str, run_id: str | None, user: str | None, to: Path, weights: bool, max_gib: float, runs: str) -> None:
    """Fetch the runs that are shared at PLACE. What arrives is checked, and nothing of it is run."""
    from kaggle_ray.counted import counted
    from kaggle_ray.reporters.texts import bytes_text
    from kaggle_ray.share import pull as pulling
    from kaggle_ray.untrusted import printable

    for corner, revision in pulling.find_shared(place, user=user, run_id=run_id):
        done = pulling.pull(corner, revision.index, to, weights=weights, max_bytes=round(max_gib * 2**30))
        new = f"{counted(done.num_new_files, 'new file')}, {bytes_text(done.num_new_bytes)}"
        click.echo(printable(f"{done.folder}: {new}. {pulling.folds_text(done.index, runs)}"))


@click.command()
@RUN
@click.option("--shared", metavar="ID", help="Remove this run of yours from RUN, a place where runs are shared.")
@click.option("--user", envvar="KAGGLE_RAY_USER", help=_USER)
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(run: str, shared: str | None, user: str | None, yes: bool) -> None:
    """Remove RUN with all that it has, or what you share of it; says what goes, and asks."""
    from kaggle_ray.reporters.envelope import this_user
    from kaggle_ray.share import removal
    from kaggle_ray.store.opening import open_run
    from kaggle_ray.untrusted import printable

    me = user or this_user()
    contents = removal.contents_of_shared(run, shared, user=me) if shared else removal.contents_of(open_run(run))
    click.echo(printable(str(contents)))
    if not yes:
        click.confirm("Remove it for good?", abort=True)
    if shared:
        removal.remove_shared(run, shared, user=me)
    else:
        removal.remove_run(open_run(run))


@click.command()
@RUN
@click.argument("others", nargs=-1, metavar="[OTHER...]")
@options_of(PredictOptions, "data", "competition")
@options_of(OutputOptions, "ensemble", "admit_unproven")
@click.option("--repeated-folds", is_flag=True, help="Take runs of the same rows in other folds, too: see above.")
@click.option("--out", default="team", show_default=True, help="Folder that ensemble and submission are written to.")
def ensemble(
    run: str,
    others: tuple[str, ...],
    data: str,
    competition: str | None,
    ensemble: str,
    admit_unproven: bool,
    repeated_folds: bool,
    out: str,
) -> None:
    """Ensemble what of RUN is complete, while it goes on, too, alone or with OTHER runs; write the submission.

    RUN is one of your own, and the others have the same folds, such as pulled ones. OTHER is a run, a folder of runs or
    of pulled ones, a place where runs are shared, or predictions that kaggle-ray import has taken in.
    With --repeated-folds the others may be the same rows in other folds (kaggle-ray run --fold-seed 1): an experiment
    that several runs have is one member, their mean.
    """
    from rich.console import Console

    from kaggle_ray.pipeline.team import ensemble_of_runs
    from kaggle_ray.share.sources import imported_at, runs_at
    from kaggle_ray.store.opening import open_run
    from kaggle_ray.untrusted import printable

    imported, places = imported_at(*others)
    of_others, errors = runs_at(*places)
    for error in errors:
        click.echo(printable(f"left out: {error}"), err=True)
    found = ensemble_of_runs(
        open_run(run),
        of_others,
        data=data,
        out=out,
        imported=imported,
        competition=competition,
        method=ensemble,
        admit_unproven=admit_unproven,
        repeated_folds=repeated_folds,
    )
    Console().print(found.table())
    click.echo(printable(found.submission))
