"""``kaggle_ray.run`` and ``kaggle_ray.predict``: a run, and its models on new data, from a script or a notebook."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from kaggle_ray.config.settings import Device, Dtype
from kaggle_ray.pipeline.declare import takes
from kaggle_ray.pipeline.driver import execute
from kaggle_ray.pipeline.inference import predict_new
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.reporters.console import ConsoleReporter


@takes(RunOptions)
def run(options: RunOptions) -> RunResult:
    """Cross-validate experiments, ensemble them and write a checked submission; called again, it resumes.

    Raises:
        KaggleRayError: what, where, and the next step; what is committed stays committed.
    """
    reporters = options.reporters
    if reporters is None:
        reporters = [ConsoleReporter(Console(force_terminal=False if options.fast_dev else None))]
    return execute(options, launcher=options.launcher, method=options.ensemble, reporters=reporters)


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
