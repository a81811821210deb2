"""What a user may say about a run, each option once: what Python takes and what the command line takes is made of this.

Nothing heavy is imported, so that ``--help`` answers at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from kaggle_ray.errors import ConfigError
from kaggle_ray.pipeline.declare import Options, option
from kaggle_ray.pipeline.option_values import (
    parse_deadline,
    parse_duration,
    parse_metrics,
    parse_overrides,
    parse_reporters,
)
from kaggle_ray.registry import named

if TYPE_CHECKING:
    from kaggle_ray.config import Hyperparameters, SearchSpace
    from kaggle_ray.config.settings import Device, Dtype
    from kaggle_ray.data.competition import Competition
    from kaggle_ray.given import HyperparameterValue
    from kaggle_ray.launch.by_name import LauncherName
    from kaggle_ray.launch.launcher import Launcher
    from kaggle_ray.pipeline.racing import PolicyName
    from kaggle_ray.reporters import Reporter
    from kaggle_ray.schedule.source import MakeSource

ExperimentLike: TypeAlias = "Mapping[str, HyperparameterValue] | Hyperparameters"


def default_launcher() -> LauncherName:
    """Return ``ray`` where Ray is installed, else ``local``; Ray is not imported."""
    return "ray" if find_spec("ray") else "local"


@dataclass(frozen=True, kw_only=True)
class DataOptions(Options):
    """Where the competition's files are, and which of its rows are used."""

    data: str | Path | None = option(None, unset="data/COMPETITION")
    """Folder of the competition's files, or an s3:// or file:// URI that they are copied from."""
    folds: str | Path | None = option(None, unset="as the competition says", metavar="FILE")
    """File of the folds: a csv with a column fold and one of ids, such as a team mate's, or an earlier run's folds.csv.
    A fold of -1 is trained on, and never scored."""
    fold_seed: int | None = option(None, unset="as the competition says", metavar="N", at_least=0)
    """Seed of the folds: with another one the rows are dealt otherwise. Runs of several seeds are repeated folds, which
    kaggle-ray ensemble --repeated-folds joins."""
    skip_unreadable: bool = option(False)
    """Leave out training images that do not decode, and list them in unreadable.json; a test image that does not is
    predicted from an even grey one."""
    ignore_near_duplicates: bool = option(False, was={"ignore_twins": "0.3"})
    """Do not look for near-duplicate images, which are otherwise assigned to one fold and reported."""

    @property
    def deals_folds(self) -> bool:
        """Whether the folds are others than the competition's own."""
        return self.folds is not None or self.fold_seed is not None


@dataclass(frozen=True, kw_only=True)
class SearchOptions(Options):
    """Which experiments are run."""

    space: SearchSpace | str | Path | None = option(None, unset="the competition's own")
    """Search space: a name in search_spaces/, or a path."""
    overrides: Mapping[str, HyperparameterValue] | None = option(
        None, unset="none", flag="--set", metavar="NAME=VALUE", repeated=True, parse=parse_overrides
    )
    """Hyperparameters that replace those of the search space's base, such as epochs=20, or one value of a dictionary,
    such as model_args.width=8."""
    seeds: int = option(1, at_least=1)
    """Number of seeds that every experiment is run with: its own, the next one, and so on. Their mean is one member of
    the ensemble."""
    search: str | None = option(
        None,
        unset="tpe, where the space has a search",
        metavar="NAME",
        parse=partial(named, "searcher", where="--search"),
    )
    """Searcher that proposes experiments where the space says what to draw values from: tpe and gp are Optuna's and
    learn from the scores, sobol fills the space evenly, random draws; or one that the competition's file registers."""
    num_experiments: int | None = option(None, unset="20, where the space has a search", at_least=1)
    """Number of experiments that the search proposes in all."""
    round_size: int | None = option(None, unset="a fifth of them, and at least 4", at_least=1)
    """Number of experiments that the search proposes at once, by the scores of those before."""
    policy: PolicyName = option("all", choices=("all", "race", "forgiving"))
    """Policy that says which folds of which experiments are run: all of them; race, where each earns its next fold by
    its chance of a weight in the ensemble; or forgiving, where one is stopped whose mean is worse than the worst fold
    of the best."""
    source: MakeSource | None = option(None, unset="ListSource, every fold of every experiment", python_only=True)
    """Maker of the source that decides which trial is next. It is called with the experiments, the number of folds and
    what returns the result of a trial that is over, and returns a TrialSource."""


@dataclass(frozen=True, kw_only=True)
class MachineOptions(Options):
    """What a process computes on. What is left out is, in a run that is resumed, as it was."""

    device: Device | None = option(None, unset="the run's own, or a GPU where there is one", choices=("cpu", "cuda"))
    """Device that models are trained on and predict on."""
    threads: int | None = option(
        None, unset="the run's own, or 1 (on a GPU the trial's share of the cores)", at_least=1
    )
    """Number of CPU threads of one process of a trial."""
    dtype: Dtype | None = option(
        None,
        unset="the run's own, or bfloat16 where the hardware has it (else float32)",
        choices=("float32", "bfloat16", "float16"),
    )
    """Number format of the forward and backward pass; weights and predictions are float32."""


@dataclass(frozen=True, kw_only=True)
class ExecutionOptions(MachineOptions):
    """How trials are run. What is left out is, in a run that is resumed, as it was."""

    launcher: LauncherName | Launcher = option(default_launcher(), choices=("ray", "local"))
    """Where trials run: ray runs several at once, on this machine or on a cluster; local runs one after the other in
    this process, where breakpoints work. The predictions are the same. In Python it may be a Launcher, too. Without the
    extra ray the default is local."""
    address: str | None = option(None, unset="RAY_ADDRESS where it is set, as Ray sets it for its jobs, or else local")
    """Cluster that Ray runs the trials on: local starts one of this machine alone, which no other machine reaches; auto
    joins the one that was started on this machine; HOST:PORT joins another. One that does not answer is an error."""
    num_slots: int | None = option(
        None, unset="one per core, or per GPU; on a cluster as many as there is room for", flag="--slots", at_least=1
    )
    """Number of trials that run at once."""
    processes: int | None = option(None, unset="the run's own, or 1", at_least=1)
    """Number of processes that train one trial (DDP), each with its own cores or GPU."""
    gpus_per_trial: float = option(1.0, metavar="SHARE", at_least=0.01, at_most=1)
    """Share of a GPU that a trial of one process takes: 0.5 lets Ray run two at once on each, which pays where one
    leaves most of it idle. What they need of its memory has to fit together."""
    loader_workers: int | None = option(None, unset="the run's own, or 0", at_least=0)
    """Number of processes beside each process of a trial that read and augment its batches. With none, threads do so
    beside a GPU, which is faster unless augmentation is Python of your own."""
    compile: bool | None = option(None, unset="the run's own, or off")
    """Compile models by torch.compile, which takes minutes at first and makes steps faster."""
    checkpoint_every_s: float = option(30.0, flag="--checkpoint-every", metavar="SECONDS", at_least=0)
    """Smallest number of seconds from one checkpoint of a trial to the next; 0 saves one after every step."""
    dashboard: bool = option(False)
    """Show Ray's dashboard of a run on this machine, which needs the extra dashboard; its address, of 127.0.0.1, is
    printed. That of a cluster is printed in any case."""
    tune_results: str | Path | None = option(None, unset="not kept", metavar="FOLDER")
    """Folder in which Ray Tune keeps its own record of the trials, for its tools and for TensorBoard. Nothing is ever
    read from it."""

    def __post_init__(self) -> None:
        """Raise ConfigError for a value that its option does not take, and for what a launcher has not."""
        super().__post_init__()
        if self.launcher != "ray" and self.tune_results is not None:
            raise ConfigError("--tune-results: only --launcher ray has Ray Tune. Leave one of the two out.")
        if self.launcher != "ray" and self.dashboard:
            raise ConfigError("--dashboard: only --launcher ray has Ray's dashboard. Leave one of the two out.")
        if self.launcher != "ray" and self.gpus_per_trial < 1:
            raise ConfigError(
                "--gpus-per-trial: only --launcher ray runs several trials at once. Leave one of them out."
            )
        if self.launcher == "local" and self.num_slots not in (None, 1):
            raise ConfigError(
                f"--slots {self.num_slots}: --launcher local runs one trial after the other. Use --launcher ray, or "
                f"leave --slots out."
            )


@dataclass(frozen=True, kw_only=True)
class LimitOptions(Options):
    """When a run ends, and how much of it is run."""

    budget: str | float | None = option(None, unset="no limit", parse=parse_duration)
    """Duration, such as 90s, 15m or 2h, by whose end the submission of what is complete is written; 0s starts no
    trial."""
    deadline: str | float | None = option(None, unset="no limit", parse=parse_deadline)
    """Time by which the submission of what is complete is written: HH:MM, or a date and time such as
    2030-01-31T18:00."""
    fast_dev: bool = option(False)
    """Run one batch of everything, in this process and in a folder of its own, to see in seconds whether it works."""

    def stop_at(self, now: float) -> float | None:
        """Return when training has to end, so that gathering and the report are done by the limit; None without one.

        All times are in seconds since the Unix epoch.
        """
        limits = self._limits(now)
        return min(limits) - min(30.0, 0.1 * max(0.0, min(limits) - now)) if limits else None

    def ends_at(self, now: float) -> float | None:
        """Return the limit itself, None without one. A budget of 0 is none: it starts no trial, and no more is said."""
        return None if self.budget is not None and float(self.budget) == 0 else min(self._limits(now), default=None)

    def _limits(self, now: float) -> list[float]:
        limits = [now + float(self.budget)] if self.budget is not None else []
        return limits + ([float(self.deadline)] if self.deadline is not None else [])


@dataclass(frozen=True, kw_only=True)
class OutputOptions(Options):
    """What is made of the experiments, and where it goes."""

    ensemble: str = option("auto", parse=partial(named, "ensemble", where="--ensemble"))
    """Way in which the experiments are made one: best, mean, geometric, power, rank, vote, greedy, bagged, convex,
    per_label, tempered, logistic, ridge, boosting, or one that the competition's file registers; auto takes the best or
    the mean, or what is better by more than noise."""
    admit_unproven: bool = option(False)
    """Let experiments into the ensemble whose epoch was chosen on the rows that are scored, or that start from files of
    weights that are not declared trusted; the ensemble then has no honest score."""
    refit: bool = option(False)
    """Train what has weight in the ensemble once more, on all rows, for a second submission: refit.csv."""
    runs: str | Path = option("runs", environment="KAGGLE_RAY_RUNS")
    """Folder of the run folders, as a file:// URI where all machines of a cluster share it, or s3://bucket/prefix."""
    run_id: str | None = option(None, unset="a digest of what it computes, so that the same command resumes")
    """Name of the run."""
    metrics: Sequence[str] | None = option(
        None, unset="those that the competition's file names", metavar="NAMES", parse=parse_metrics
    )
    """Metrics to measure beside the one that decides, by name, with commas between; of several heads each as
    HEAD.METRIC. They are measured in each epoch, in training and in validation, and shown with the scores; nothing is
    chosen by them, so that the run stays the same one."""
    reporters: Sequence[Reporter | str] | None = option(
        None, unset="the console", flag="--reporter", metavar="NAME", repeated=True, parse=parse_reporters
    )
    """Reporters that are told what happens, by name, such as a service's. The command line tells the console, too;
    in Python, where a Reporter of your own may stand beside names, the console is told where no reporter is given, or
    where it is one of them. The run's events.jsonl is always written."""


@dataclass(frozen=True)
class RunOptions(OutputOptions, LimitOptions, ExecutionOptions, SearchOptions, DataOptions):
    """All that a user may say about a run. Its fields are those of its groups, the last of them first."""

    competition: str | Path | Competition
    """Competition to run: a name in competitions/, or a path; in Python a Competition, too, of a file, a script, or a
    notebook's cell that stands by itself."""
    experiments: Sequence[ExperimentLike] | None = option(None, unset="those of the search space", python_only=True)
    """Experiments to run, instead of a search space: dictionaries of hyperparameters, or Hyperparameters."""


@dataclass(frozen=True)
class PredictOptions(MachineOptions):
    """How new test data is predicted by the ensemble of a run."""

    run: str | Path
    """Folder of the run, or its s3:// URI."""
    _: KW_ONLY
    data: str | Path
    """Folder of the new test files in the competition's layout, or an s3:// or file:// URI that they are copied
    from."""
    competition: str | Path | Competition | None = option(
        None, unset="the run's own, where you have run it on this machine or it came with kaggle_ray, unchanged"
    )
    """Competition whose code reads the files: a name in competitions/, a path, or in Python itself. A run's record is
    never taken at its word for it, since the run may be somebody else's."""
    out: str | Path = option("submission.csv")
    """File that the submission is written to; it is replaced. One that ends in .gz or .zip is packed so."""
    experiment: str | None = option(None, unset="the ensemble that was submitted", metavar="NAME")
    """Experiment whose folds' mean predicts: its name, its id, or how its id begins."""
    epoch: int | None = option(None, unset="the epoch that predicts")
    """Epoch of --experiment whose weights predict, one of its keep_epochs."""
    refit: bool = option(False)
    """Predict by the models of all rows, of a run with --refit, instead of those of the folds."""
    onnx: bool = option(False)
    """Predict on the CPU by the ONNX graphs of a package; models that it has none of predict as ever."""
    skip_unreadable: bool = option(False)
    """Take an even grey image in place of each test image that does not decode."""
