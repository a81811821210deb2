"""Commands that compute: run, predict, augment, soup, train-on and find-lr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from kaggle_ray.cli.options import made, options_of
from kaggle_ray.errors import KaggleRayError
from kaggle_ray.pipeline.addition_options import AdditionOptions, AugmentOptions, SoupOptions, TrainOnOptions
from kaggle_ray.pipeline.options import PredictOptions, RunOptions

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from kaggle_ray.pipeline.result import RunResult


EXIT_TRIALS_FAILED = 3
"""Exit code of a run that is complete but for trials that failed."""


@click.command()
@options_of(RunOptions)
@click.option("--dry-run", is_flag=True, help="Print the plan and an estimate of the time, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="End stdout with one line of JSON; all else is on stderr.")
def run(dry_run: bool, as_json: bool, **values: Any) -> None:
    """Run COMPETITION (a name in competitions/, or a path) down to a checked submission; again: resume.

    The exit code is 3 where trials failed, and the submission was made of the others; 1 where there is none but the
    constant baseline; 130 or 143 where a person or SIGTERM stopped it.
    """
    from rich.console import Console

    options = made(RunOptions, values)
    # a live view would spoil a debugger's
    console = Console(stderr=as_json, force_terminal=False if options.fast_dev else None)
    if dry_run:
        _print_plan(options, console)
        return
    from kaggle_ray.pipeline.driver import execute
    from kaggle_ray.reporters.console import ConsoleReporter

    try:
        result = execute(options, reporters=[ConsoleReporter(console)], command=_command_words())
    except KaggleRayError as error:
        if as_json:
            click.echo(json.dumps({"error": type(error).__name__, "message": str(error)}))
        raise
    if as_json:
        click.echo(json.dumps(result.to_json()))
    if result.num_failed:
        raise click.exceptions.Exit(EXIT_TRIALS_FAILED)


def _print_plan(options: RunOptions, console: Console) -> None:
    started = time.monotonic()
    from kaggle_ray.pipeline.checks import rehearse
    from kaggle_ray.pipeline.estimated import estimates_of
    from kaggle_ray.pipeline.plan import make_plan
    from kaggle_ray.pipeline.plan_table import plan_table

    imports_s = time.monotonic() - started
    plan = make_plan(options)
    rehearse(plan)
    console.print(plan_table(plan, estimates_of(plan), imports_s=imports_s))


def _command_words() -> list[str]:
    """Return what the user typed."""
    return [*_program_words(), *sys.argv[1:]]


def _program_words() -> list[str]:
    """Return the program by its name on the path, a script through python."""
    program = sys.argv[0]
    return ["python", program] if program.endswith(".py") else [Path(program).name]


@click.command()
@options_of(PredictOptions)
def predict(**values: Any) -> None:
    """Predict new test data by the ensemble of RUN, a run folder, without training; write a checked submission."""
    from kaggle_ray.pipeline.inference import predict_new

    click.echo(predict_new(PredictOptions(**values)))


@click.command()
@click.argument("run")
@click.argument("experiments", nargs=-1, metavar="[EXPERIMENT...]")
@options_of(
    AugmentOptions, "tta", "data", "folds", "competition", "launcher", "num_slots", "ensemble", "admit_unproven",
    "reporters",
)  # fmt: skip
def augment(**values: Any) -> None:
    """Predict with the models of RUN once more, with test-time augmentation, and ensemble and submit what it is now.

    EXPERIMENT is a name, an id, or how an id begins; without any it is all that are complete. Each fold's rows are
    predicted by that fold's weights, so that the scores are honest. What lacks weights is named, and left out.
    """
    from kaggle_ray.pipeline.augmenting import augment_run

    _add(augment_run, made(AugmentOptions, values))


@click.command()
@click.argument("run")
@click.argument("experiments", nargs=-1, required=True, metavar="EXPERIMENT...")
@options_of(
    SoupOptions, "method", "data", "folds", "competition", "launcher", "num_slots", "ensemble", "admit_unproven",
    "reporters",
)  # fmt: skip
def soup(**values: Any) -> None:
    """Average the weights of experiments of RUN, fold by fold, and ensemble and submit what it is now.

    EXPERIMENT is a name, an id, or how an id begins; there are two at least, of one network. A greedy soup is chosen on
    an inner split that none of them was trained on (epoch_rule inner). What has no mean is refused.
    """
    from kaggle_ray.pipeline.souping import soup_run

    _add(soup_run, made(SoupOptions, values))


@click.command("train-on")
@click.argument("run")
@click.argument("experiment")
@options_of(
    TrainOnOptions, "epochs", "overrides", "data", "folds", "competition", "launcher", "num_slots", "ensemble",
    "admit_unproven", "reporters",
)  # fmt: skip
def train_on(**values: Any) -> None:
    """Train EXPERIMENT of RUN for further epochs, each fold from its last weights; ensemble and submit what it is now.

    EXPERIMENT is a name, an id, or how an id begins. What comes of it is another experiment, which knows its parent.
    """
    from kaggle_ray.pipeline.training_on import train_on_run

    _add(train_on_run, made(TrainOnOptions, values))


class _Added(Protocol):
    """What came of what was added to a run."""

    @property
    def result(self) -> RunResult: ...

    def table(self) -> RenderableType: ...


def _add(story: Callable[..., _Added], options: AdditionOptions) -> None:
    """Add to a run what ``story`` tells of, and print what came of it."""
    from rich.console import Console

    from kaggle_ray.reporters.console import ConsoleReporter

    console = Console()
    done = story(options, reporters=[ConsoleReporter(console)], command=[*_program_words(), "run"])
    console.print(done.table())
    if done.result.num_failed:
        raise click.exceptions.Exit(EXIT_TRIALS_FAILED)


@click.command("find-lr")
@options_of(RunOptions, "competition", "space", "overrides", "data", "skip_unreadable", "device", "threads", "dtype")
@click.option("--out", type=click.Path(path_type=Path), help="Page to write. Default: lr/COMPETITION.html.")
def find_lr(out: Path | None, **values: Any) -> None:
    """Suggest a peak learning rate for the first experiment of COMPETITION's search space; draw the range test."""
    from kaggle_ray.cache.folder import default_cache_dir
    from kaggle_ray.config import parse_hyperparameters
    from kaggle_ray.pipeline.plan import make_plan
    from kaggle_ray.report.lr_page import render_lr_page, suggestion_text
    from kaggle_ray.train.lr_finder import sweep_competition

    plan = make_plan(RunOptions(**values))
    experiment = plan.examples[0]
    hyperparameters = parse_hyperparameters(experiment.hyperparameters, where=experiment.name)
    sweep = sweep_competition(
        plan.competition, plan.samples, plan.folds, hyperparameters, plan.settings, default_cache_dir()
    )
    page = out or Path("lr") / f"{plan.competition.name}.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(
        render_lr_page(
            sweep,
            competition=plan.competition.name,
            experiment=experiment.name,
            hyperparameters=experiment.hyperparameters,
        ),
        encoding="utf-8",
    )
    click.echo(f"{experiment.name}: suggested lr {suggestion_text(sweep)}. The curve is in {page}.")
