"""``kaggle_ray.run`` and ``kaggle_ray.predict``: a run, and its models on new data, from a script or a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console

from kaggle_ray.config import SearchSpace
from kaggle_ray.config.settings import Device, Dtype
from kaggle_ray.ensemble import Method
from kaggle_ray.launch.by_name import LauncherName
from kaggle_ray.pipeline.driver import execute
from kaggle_ray.pipeline.inference import predict_new
from kaggle_ray.pipeline.plan import ExperimentLike, RunOptions, parse_deadline, parse_duration
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.reporters import Reporter
from kaggle_ray.reporters.console import ConsoleReporter
from kaggle_ray.types import JsonValue


def run(
    competition: str | Path,
    *,
    experiments: Sequence[ExperimentLike] | None = None,
    space: SearchSpace | str | Path | None = None,
    overrides: Mapping[str, JsonValue] | None = None,
    data: str | Path | None = None,
    skip_unreadable: bool = False,
    ignore_near_duplicates: bool = False,
    runs: str | Path = "runs",
    run_id: str | None = None,
    launcher: LauncherName = "ray",
    ensemble: Method = "greedy",
    device: Device | None = None,
    threads: int | None = None,
    dtype: Dtype | None = None,
    loader_workers: int | None = None,
    processes: int | None = None,
    compile: bool | None = None,
    checkpoint_every_s: float = 30.0,
    admit_unproven: bool = False,
    seeds: int = 1,
    refit: bool = False,
    num_slots: int | None = None,
    budget: str | None = None,
    deadline: str | None = None,
    fast_dev: bool = False,
    reporters: Sequence[Reporter] | None = None,
) -> RunResult:
    """Cross-validate experiments, ensemble them and write a checked submission; called again, it resumes.

    Args:
        competition: a name in ``competitions/``, or the path of such a file.
        experiments: plain dictionaries of hyperparameters, or Hyperparameters.
        space: instead of experiments: a search space, its name in ``search_spaces/``, or its path. Where neither is
            given, the competition's default space is used.
        overrides: hyperparameters that replace the space's base.
        data: the folder of the competition's files, or an s3:// or file:// URI; ``data/<competition>``.
        skip_unreadable: leave out training images that do not decode, and list them in the run's unreadable.json.
        ignore_near_duplicates: do not look for near-duplicate images, which are else assigned to folds together.
        runs: where run folders are made.
        run_id: the run's name; a digest of what it computes, so that the same call resumes its own run.
        launcher: ``ray`` runs several trials at once; ``local`` runs them in this process, where breakpoints work.
        ensemble: how the experiments are weighted.
        device: ``cpu`` or ``cuda``; a GPU where there is one.
        threads: CPU threads per trial.
        dtype: of the forward and backward pass.
        loader_workers: processes beside each trial's own that read and augment its batches; none.
        processes: that train a trial together, each with its own threads or GPU; 1.
        compile: whether models are compiled by torch.compile, which takes minutes at first.
        checkpoint_every_s: seconds from one checkpoint of a trial to the next, at least; 0: one after every step.
        admit_unproven: let experiments into the ensemble whose epoch was chosen on the rows that are scored.
        seeds: run every experiment with so many seeds, its own, the next one, and so on; their mean is one member of
            the ensemble.
        refit: train what has weight in the ensemble once more, on all rows, for a second submission, ``refit.csv``.
        num_slots: trials at once.
        budget: a duration such as ``2h``, after which no trial goes on; the submission is made of what is complete.
        deadline: the same as a time such as ``23:30``.
        fast_dev: run one batch of everything, in this process and in seconds, to see whether it works.
        reporters: who is told what happens; the console.

    Raises:
        KaggleRayError: what, where, and the next step; what is committed stays committed.
    """
    options = RunOptions(
        competition=competition,
        experiments=experiments,
        space=space,
        overrides=overrides or {},
        data=data,
        skip_unreadable=skip_unreadable,
        ignore_near_duplicates=ignore_near_duplicates,
        runs=runs,
        run_id=run_id,
        device=device,
        threads=threads,
        dtype=dtype,
        loader_workers=loader_workers,
        processes=processes,
        compile=compile,
        checkpoint_every_s=checkpoint_every_s,
        admit_unproven=admit_unproven,
        seeds=seeds,
        refit=refit,
        num_slots=num_slots,
        budget_s=None if budget is None else parse_duration(budget),
        deadline=None if deadline is None else parse_deadline(deadline, now=datetime.now().astimezone()),
        fast_dev=fast_dev,
    )
    if reporters is None:
        reporters = [ConsoleReporter(Console(force_terminal=False if fast_dev else None))]
    return execute(options, launcher=launcher, method=ensemble, reporters=reporters)


def predict(
    run: str | Path,
    *,
    data: str | Path,
    out: str | Path = "submission.csv",
    refit: bool = False,
    skip_unreadable: bool = False,
    device: Device | None = None,
    threads: int | None = None,
    dtype: Dtype | None = None,
) -> Path:
    """Predict new test rows by a run's ensemble, without training; return the checked submission.

    Args:
        run: the run's folder.
        data: a folder in the competition's layout with the new test rows, or an s3:// or file:// URI.
        out: the file to write; it is replaced.
        refit: predict by the models of all rows, of a run with ``refit``, instead of those of the folds.
        skip_unreadable: predict test rows whose files do not decode from an even grey image.
        device: ``cpu`` or ``cuda``; the run's.
        threads: CPU threads; the run's.
        dtype: of the forward pass; the run's.

    Raises:
        KaggleRayError: what, where, and the next step.
    """
    return predict_new(
        Path(run),
        data=data,
        out=Path(out),
        refit=refit,
        skip_unreadable=skip_unreadable,
        device=device,
        threads=threads,
        dtype=dtype,
    )
