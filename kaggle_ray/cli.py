"""The command line. Nothing heavy is imported before a command needs it, so that --help answers at once."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kaggle_ray.pipeline.options import RunOptions

if TYPE_CHECKING:
    from rich.console import Console

Command = TypeVar("Command", bound=Callable[..., Any])

RUNS = click.option(
    "--runs", default="runs", show_default=True, type=click.Path(path_type=Path), help="Folder of the run folders."
)
DATA = click.option("--data", help="The competition's files: a folder, or an s3:// or file:// URI. [data/COMPETITION]")
SKIP_UNREADABLE = click.option(
    "--skip-unreadable", is_flag=True, help="Leave out training images that do not decode, and list them."
)
SPACE = click.option("--space", help="Search space: a name in search_spaces/ or a path. [the competition's default]")
SET = click.option("--set", "overrides", multiple=True, metavar="NAME=VALUE", help="Override the space's base.")
DEVICE = click.option("--device", type=click.Choice(["cpu", "cuda"]), help="[a GPU where there is one]")
THREADS = click.option("--threads", type=click.IntRange(min=1), help="CPU threads per trial. [1; a GPU's share]")
DTYPE = click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16", "float16"]),
    help="Of forward and backward pass. [bfloat16 where the hardware has it]",
)
IGNORE_NEAR_DUPLICATES = click.option(
    "--ignore-near-duplicates",
    is_flag=True,
    help="Do not look for near-duplicate images, which otherwise share a fold.",
)
RUN = click.argument("run", type=click.Path(path_type=Path))
EXIT_INTERRUPTED, EXIT_TERMINATED = 130, 143
"""As of shells: 128, and the number of the signal."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; an error of the user's is one line on stderr and exit code 1."""
    from kaggle_ray.errors import KaggleRayError
    from kaggle_ray.train.preemption import Terminated

    try:
        commands.main(args=arguments, standalone_mode=False)
    except KaggleRayError as error:
        click.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort) as stop:  # click raises an Abort from either
        sys.exit(EXIT_TERMINATED if isinstance(stop.__cause__ or stop, Terminated) else EXIT_INTERRUPTED)


@click.group()
@click.version_option(package_name="kaggle-ray")
def commands() -> None:
    """One image competition in; a leak-checked, cross-validated, ensembled, verified submission out."""


def _run_options(command: Command) -> Command:
    """Add the options of ``run``."""
    options = [
        SPACE,
        SET,
        DATA,
        SKIP_UNREADABLE,
        IGNORE_NEAR_DUPLICATES,
        RUNS,
        click.option("--run-id", help="Name of the run. [a digest of what it computes; the same command resumes]"),
        click.option(
            "--launcher",
            type=click.Choice(["ray", "local"]),
            default="ray",
            show_default=True,
            help="ray: several trials at once; local: this process, where breakpoints work.",
        ),
        click.option("--ensemble", type=click.Choice(["greedy", "mean"]), default="greedy", show_default=True),
        DEVICE,
        THREADS,
        DTYPE,
        click.option("--loader-workers", type=click.IntRange(min=0), help="Processes that read for a trial. [0]"),
        click.option(
            "--processes", type=click.IntRange(min=1), help="That train a trial together, each on own cores or GPU. [1]"
        ),
        click.option("--compile", is_flag=True, default=None, help="Compile models: minutes at first, faster steps."),
        click.option(
            "--checkpoint-every",
            type=click.FloatRange(min=0),
            default=30.0,
            show_default=True,
            metavar="SECONDS",
            help="Between checkpoints of a trial, at least; 0: one after every step.",
        ),
        click.option("--slots", type=click.IntRange(min=1), help="Trials at once. [one per core or GPU]"),
        click.option(
            "--admit-unproven",
            is_flag=True,
            help="Ensemble experiments without an honest score, too.",
        ),
        click.option(
            "--seeds", type=click.IntRange(min=1), default=1, help="Run every experiment with so many seeds. [1]"
        ),
        click.option("--refit", is_flag=True, help="Train the ensemble's experiments on all rows, too: refit.csv."),
        click.option("--budget", help="Stop in time for a submission after 90s, 15m, 2h, ...; 0s: with what is there."),
        click.option("--deadline", help="Stop in time for a submission at HH:MM, or at a date and time."),
        click.option(
            "--fast-dev", is_flag=True, help="Run one batch of everything, in this process: does all of it work?"
        ),
        click.option("--dry-run", is_flag=True, help="Print the plan and an estimate of the time, and do nothing."),
        click.option("--json", "as_json", is_flag=True, help="End stdout with one JSON line; the rest is on stderr."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@commands.command()
@click.argument("competition")
@_run_options
def run(
    competition: str,
    space: str | None,
    overrides: tuple[str, ...],
    data: str | None,
    skip_unreadable: bool,
    ignore_near_duplicates: bool,
    runs: Path,
    run_id: str | None,
    launcher: str,
    ensemble: str,
    device: str | None,
    threads: int | None,
    dtype: str | None,
    loader_workers: int | None,
    processes: int | None,
    compile: bool | None,
    checkpoint_every: float,
    slots: int | None,
    admit_unproven: bool,
    seeds: int,
    refit: bool,
    budget: str | None,
    deadline: str | None,
    fast_dev: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Run COMPETITION (a name in competitions/, or a path) down to a checked submission; again: resume."""
    from typing import cast

    from rich.console import Console

    options = RunOptions(
        competition=competition,
        space=space,
        overrides=cast("Any", overrides),
        data=data,
        skip_unreadable=skip_unreadable,
        ignore_near_duplicates=ignore_near_duplicates,
        runs=runs,
        run_id=run_id,
        device=cast("Any", device),
        threads=threads,
        dtype=cast("Any", dtype),
        loader_workers=loader_workers,
        processes=processes,
        compile=compile,
        checkpoint_every_s=checkpoint_every,
        admit_unproven=admit_unproven,
        seeds=seeds,
        refit=refit,
        num_slots=slots,
        budget=budget,
        deadline=deadline,
        fast_dev=fast_dev,
    )
    console = Console(stderr=as_json, force_terminal=False if fast_dev else None)  # a live view spoils a debugger's
    if dry_run:
        _print_plan(options, console)
        return
    from kaggle_ray.pipeline.driver import execute
    from kaggle_ray.reporters.console import ConsoleReporter

    result = execute(
        options,
        launcher=cast("Any", launcher),
        method=cast("Any", ensemble),
        reporters=[ConsoleReporter(console)],
        command=_command_words(),
    )
    if as_json:
        click.echo(json.dumps(result.to_json()))


def _print_plan(options: RunOptions, console: Console) -> None:
    from kaggle_ray.config import parse_hyperparameters
    from kaggle_ray.pipeline.plan import make_plan
    from kaggle_ray.pipeline.plan_table import plan_table
    from kaggle_ray.train.estimate import seconds_per_trial

    plan = make_plan(options)
    seconds = {
        experiment.experiment_id: seconds_per_trial(
            plan.competition,
            plan.samples,
            parse_hyperparameters(experiment.hyperparameters, where=experiment.name),
            plan.settings,
        )
        for experiment in plan.experiments
    }
    console.print(plan_table(plan, seconds))


@commands.command()
@RUN
@click.option("--data", required=True, help="The new files: a folder, or an s3:// or file:// URI.")
@click.option(
    "--out", type=click.Path(path_type=Path), default="submission.csv", show_default=True, help="The file to write."
)
@click.option("--refit", is_flag=True, help="By the models of all rows, of a run with --refit.")
@click.option("--skip-unreadable", is_flag=True, help="Predict from a grey image what does not decode.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="[the run's]")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads. [the run's]")
@click.option("--dtype", type=click.Choice(["float32", "bfloat16", "float16"]), help="Of the forward pass. [the run's]")
def predict(
    run: Path,
    data: str,
    out: Path,
    refit: bool,
    skip_unreadable: bool,
    device: str | None,
    threads: int | None,
    dtype: str | None,
) -> None:
    """Predict new test data by the ensemble of RUN, a run folder, without training; write a checked submission."""
    from typing import cast

    from kaggle_ray.pipeline.inference import predict_new

    submission = predict_new(
        run,
        data=data,
        out=out,
        refit=refit,
        skip_unreadable=skip_unreadable,
        device=cast("Any", device),
        threads=threads,
        dtype=cast("Any", dtype),
    )
    click.echo(submission)


@commands.command("find-lr")
@click.argument("competition")
@SPACE
@SET
@DATA
@SKIP_UNREADABLE
@DEVICE
@THREADS
@DTYPE
@click.option("--out", type=click.Path(path_type=Path), help="The page to write. [lr/COMPETITION.html]")
def find_lr(
    competition: str,
    space: str | None,
    overrides: tuple[str, ...],
    data: str | None,
    skip_unreadable: bool,
    device: str | None,
    threads: int | None,
    dtype: str | None,
    out: Path | None,
) -> None:
    """Suggest a peak learning rate for the first experiment of COMPETITION's search space; draw the range test."""
    from typing import cast

    from kaggle_ray.cache.folder import default_cache_dir
    from kaggle_ray.config import parse_hyperparameters
    from kaggle_ray.pipeline.plan import make_plan
    from kaggle_ray.report.lr_page import render_lr_page, suggestion_text
    from kaggle_ray.train.lr_finder import sweep_competition

    plan = make_plan(
        RunOptions(
            competition=competition,
            space=space,
            overrides=cast("Any", overrides),
            data=data,
            skip_unreadable=skip_unreadable,
            device=cast("Any", device),
            threads=threads,
            dtype=cast("Any", dtype),
        )
    )
    experiment = plan.experiments[0]
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


@commands.command("list")
@RUNS
def list_(runs: Path) -> None:
    """List the runs, with how far they are and their honest scores."""
    from rich.console import Console

    from kaggle_ray.report.runs import runs_table

    Console().print(runs_table(runs))


@commands.command()
@RUN
def board(run: Path) -> None:
    """Print the leaderboard of RUN, a run folder; a run that is still going on, too."""
    from rich.console import Console

    from kaggle_ray.report.collect import board_of
    from kaggle_ray.store.run import RunStore

    Console().print(board_of(RunStore(run)).table())


@commands.command()
@RUN
def report(run: Path) -> None:
    """Write report.html of RUN, a run folder, anew."""
    from kaggle_ray.report.collect import report_of
    from kaggle_ray.report.html import render_report
    from kaggle_ray.store.run import RunStore

    store = RunStore(run)
    click.echo(store.save_report(render_report(report_of(store))))


@commands.command()
@click.argument("competition")
@DATA
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the contact sheets. [show/COMPETITION]")
@click.option("--augment", multiple=True, metavar="RECIPE", help="Show this recipe's variants. [all recipes]")
def show(competition: str, data: str | None, out: Path | None, augment: tuple[str, ...]) -> None:
    """Write contact sheets of COMPETITION: samples, masks, augmented variants, sizes and channels of train and test."""
    from kaggle_ray.cache.folder import default_cache_dir
    from kaggle_ray.data.competition import load_competition, open_competition
    from kaggle_ray.data.staging import stage_data
    from kaggle_ray.report.show import contact_sheets

    declared, _ = load_competition(competition)
    staged = stage_data(data or str(Path("data") / declared.name), cache_dir=default_cache_dir())
    opened, samples = open_competition(declared, staged.folder)
    click.echo(contact_sheets(opened, samples, out=out or Path("show") / opened.name, recipes=augment or None))


@commands.command()
@click.option("--keep", type=click.FloatRange(min=0), metavar="GIB", help="Remove the least recently used above this.")
@click.option("--clear", is_flag=True, help="Remove everything that no running process uses.")
def cache(keep: float | None, clear: bool) -> None:
    """List what is decoded and staged on this machine; make room."""
    from rich.console import Console

    from kaggle_ray.cache.budget import evict
    from kaggle_ray.cache.folder import default_cache_dir
    from kaggle_ray.images.fingerprints import forget
    from kaggle_ray.report.cache import cache_table

    folder = default_cache_dir()
    if clear or keep is not None:
        removed = evict(folder, keep_bytes=0 if clear else int((keep or 0) * 2**30))
        click.echo(f"removed {len(removed)} entries, {sum(entry.num_bytes for entry in removed) / 2**20:,.0f} MiB")
    if clear:
        forget(folder)
    Console().print(cache_table(folder))


def _command_words() -> list[str]:
    """Return what the user typed: the program by its name on the path, a script through python."""
    program, *arguments = sys.argv
    return ["python", program, *arguments] if program.endswith(".py") else [Path(program).name, *arguments]
