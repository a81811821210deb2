"""``kaggle_ray.run`` and ``kaggle_ray.predict``: a run, and its models on new data, from a script or a notebook."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from kaggle_ray.pipeline.declare import takes
from kaggle_ray.pipeline.driver import execute
from kaggle_ray.pipeline.inference import predict_new
from kaggle_ray.pipeline.options import PredictOptions, RunOptions
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.reporters.by_name import CONSOLE
from kaggle_ray.reporters.console import ConsoleReporter


@takes(RunOptions)
def run(options: RunOptions) -> RunResult:
    """Cross-validate experiments, ensemble them and write a checked submission; called again, it resumes.

    >>> import kaggle_ray
    >>> tiny = {"model": "resnet9", "model_args": {"width": 8, "stem_stride": 1}, "image_size": 8, "epochs": 1}
    >>> result = kaggle_ray.run("digits", experiments=[tiny], launcher="local", reporters=[])
    >>> result.submission.name
    'submission.csv'

    Raises:
        KaggleRayError: what, where, and the next step; what is committed stays committed.
    """
    # a live view would spoil a debugger's
    console = Console(force_terminal=False, force_jupyter=False) if options.fast_dev else Console()
    shows_console = options.reporters is None or CONSOLE in options.reporters
    return execute(options, reporters=[ConsoleReporter(console)] if shows_console else [])


@takes(PredictOptions)
def predict(options: PredictOptions) -> Path:
    """Predict new test rows by a run's ensemble, without training; return the checked submission.

    >>> import kaggle_ray
    >>> tiny = {"model": "resnet9", "model_args": {"width": 8, "stem_stride": 1}, "image_size": 8, "epochs": 1}
    >>> result = kaggle_ray.run("digits", experiments=[tiny], launcher="local", reporters=[])
    >>> kaggle_ray.predict(result.run_dir, data="data/digits", out="new.csv").name
    'new.csv'

    Raises:
        KaggleRayError: what, where, and the next step.
    """
    return predict_new(options)
