"""The command line: a module per family of commands. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import sys

import click

from kaggle_ray.cli import (
    cache,
    deliver,
    elasticsearch,
    evaluate,
    importing,
    look,
    names,
    new,
    package,
    run,
    share,
    show,
    submissions,
)
from kaggle_ray.errors import KaggleRayError
from kaggle_ray.untrusted import printable

EXIT_INTERRUPTED, EXIT_TERMINATED = 130, 143
"""Exit codes of a shell: 128, and the number of the signal."""


@click.group()
@click.version_option(package_name="kaggle-ray")
def commands() -> None:
    """One image competition in; a leak-checked, cross-validated, ensembled, verified submission out."""


for each in (
    new.new,
    run.run,
    run.predict,
    run.augment,
    run.soup,
    run.train_on,
    run.find_lr,
    look.list_,
    look.status,
    look.doctor,
    names.names,
    *names.OF_KINDS,
    look.board,
    look.diff,
    look.explain,
    look.label,
    look.report,
    evaluate.evaluate,
    show.show,
    deliver.deliver,
    submissions.check,
    submissions.submit,
    submissions.submissions,
    submissions.meaning,
    share.push,
    share.pull,
    importing.import_,
    share.ensemble,
    share.delete,
    package.package,
    cache.cache,
    elasticsearch.elasticsearch,
):
    commands.add_command(each)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; an error of the user's is one line on stderr and exit code 1."""
    from kaggle_ray.train.preemption import Terminated

    try:
        exit_code = commands.main(args=arguments, standalone_mode=False)
    except KaggleRayError as error:
        click.echo(printable(f"{type(error).__name__}: {error}"), err=True)
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort) as stop:  # click raises an Abort from either
        if isinstance(stop.__cause__, EOFError):  # of a file that ends too soon, which click takes for ctrl-d
            raise stop.__cause__ from None
        sys.exit(EXIT_TERMINATED if isinstance(stop.__cause__ or stop, Terminated) else EXIT_INTERRUPTED)
    if exit_code:  # of a command that did its work and has something bad to tell
        sys.exit(exit_code)
