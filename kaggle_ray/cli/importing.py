"""The command that takes in predictions of somebody without kaggle_ray."""

from __future__ import annotations

import click

from kaggle_ray.cli.options import options_of
from kaggle_ray.counted import counted
from kaggle_ray.pipeline.options import OutputOptions, PredictOptions


@click.command("import")
@click.argument("files", nargs=-1, required=True, metavar="[OOF] TEST")
@click.option("--run", metavar="RUN", help="A run of yours, its id or its competition's name. Default: the latest one.")
@click.option("--folds", metavar="FILE", help="Folds that OOF was predicted under. Default: OOF's column fold, if any.")
@click.option("--name", help="What to call the predictions. Default: a digest of the files.")
@click.option("--user", default="", help="Whose they are.")
@click.option("--share", type=float, help="Share of the submission, of TEST alone: there is nothing to choose it by.")
@options_of(PredictOptions, "data", "competition")
@options_of(OutputOptions, "runs")
def import_(
    files: tuple[str, ...],
    run: str | None,
    folds: str | None,
    name: str | None,
    user: str,
    share: float | None,
    data: str,
    competition: str | None,
    runs: str,
) -> None:
    """Take in predictions made elsewhere, for the ensembles of a run: csv files of the scored rows and the test rows.

    OOF has a row for each row that the run scores, predicted by a model that never saw it; TEST one for each test row.
    Their columns are named as in the submission, or by the classes. See kaggle-ray ensemble --admit-unproven.
    """
    from kaggle_ray.errors import ConfigError
    from kaggle_ray.pipeline.importing import import_files
    from kaggle_ray.report.runs import find_run
    from kaggle_ray.untrusted import printable

    if len(files) > 2:
        raise ConfigError(
            f"expected the file of the test rows, one of scored rows before it, got {counted(len(files), 'file')}."
        )
    *oof, test = files
    done = import_files(
        find_run(run, runs),
        oof[0] if oof else None,
        test,
        data=data,
        runs=runs,
        folds=folds,
        name=name,
        user=user,
        share=share,
        competition=competition,
    )
    click.echo(printable(done.words))
