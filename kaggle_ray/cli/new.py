"""The command that begins a new competition."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

import click

from kaggle_ray.counted import counted
from kaggle_ray.untrusted import printable

if TYPE_CHECKING:
    from kaggle_ray.types import Task


def _known_task(context: click.Context, parameter: click.Parameter, given: str | None) -> Task | None:
    """Return a task by its name. Raises BadParameter where there is no such task."""
    from kaggle_ray.types import Task  # which imports numpy, as no --help should

    if given is not None and given not in get_args(Task):
        raise click.BadParameter(f"expected one of {', '.join(get_args(Task))}, got {given!r}.", context, parameter)
    return cast("Task | None", given)


@click.command()
@click.argument("slug")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of its files. Default: data/SLUG.")
@click.option("--sample", metavar="FILE", help="The sample submission, below the folder.")
@click.option("--labels", metavar="FILE", help="The table of labels, below the folder.")
@click.option("--train", metavar="FOLDER", help="The folder of the training images, below the folder.")
@click.option("--id", "id_column", metavar="COLUMN", help="Its column that names the images.")
@click.option("--target", metavar="COLUMN", help="Its column of labels.")
@click.option("--task", callback=_known_task, metavar="TASK", help="Where numbers may be classes or amounts.")
@click.option("--positive", metavar="LABEL", help="Of which of two labels the probability is asked for.")
@click.option("--metric", metavar="NAME", help="Which no file tells.")
def new(
    slug: str,
    data: Path | None,
    sample: str | None,
    labels: str | None,
    train: str | None,
    id_column: str | None,
    target: str | None,
    task: Task | None,
    positive: str | None,
    metric: str | None,
) -> None:
    """Look at the files of SLUG, say what they tell, and write competitions/NAME.py and a small search space.

    What the files leave open is asked: the options are the answers. Download the files with Kaggle's own command line.
    """
    from kaggle_ray.scaffold.answers import Answers
    from kaggle_ray.scaffold.new import new_competition

    answers = Answers(
        sample=sample,
        labels=labels,
        train=train,
        id_column=id_column,
        target=target,
        task=task,
        positive=positive,
        metric=metric,
    )
    done = new_competition(slug, data or Path("data") / slug, answers=answers)
    for what, why in done.conclusion.said:
        click.echo(printable(f"{what}: {why}"))
    click.echo(
        printable(f"{done.competition}: {counted(done.num_train, 'image')} to train on, {done.num_test} to predict")
    )
    click.echo(printable(f"{done.space}: a small search space"))
