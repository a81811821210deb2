"""What a script or a notebook calls: a run, its models on new data, and runs that a team shares and compares."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from kaggle_ray.config.loading import check_not_loading
from kaggle_ray.pipeline.declare import takes
from kaggle_ray.pipeline.driver import execute
from kaggle_ray.pipeline.inference import predict_new
from kaggle_ray.pipeline.options import PredictOptions, RunOptions
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.reporters.by_name import CONSOLE
from kaggle_ray.reporters.console import ConsoleReporter
from kaggle_ray.share import pull as pulling
from kaggle_ray.share import push as pushing
from kaggle_ray.store.opening import open_run

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)


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
    check_not_loading("kaggle_ray.run")
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


def push(
    run: str | Path, place: str | Path, *, user: str | None = None, weights: bool = True, check: bool = False
) -> pushing.Pushed:
    """Share a run at a place, as it is now; pushed again, only what is new is sent.

    >>> import kaggle_ray
    >>> tiny = {"model": "resnet9", "model_args": {"width": 8, "stem_stride": 1}, "image_size": 8, "epochs": 1}
    >>> result = kaggle_ray.run("digits", experiments=[tiny], launcher="local", reporters=[])
    >>> kaggle_ray.push(result.run_dir, "team", user="ann").index.user
    'ann'

    Args:
        run: the run's folder, or its ``s3://`` URI.
        place: a folder, ``file:///folder`` or ``s3://bucket/prefix``.
        user: whose corner of the place it is; None: of whoever runs this process.
        weights: send the weights, too, by which others can predict new rows.
        check: read what is there already, too, and replace it where it is damaged.

    Raises:
        KaggleRayError: what, where, and the next step.
    """
    return pushing.push(open_run(run), str(place), user=user, weights=weights, check=check)


def pull(
    place: str | Path,
    *,
    run: str | None = None,
    user: str | None = None,
    to: str | Path = "shared",
    weights: bool = True,
    max_gib: float = 50.0,
) -> list[pulling.Pulled]:
    """Fetch runs that are shared at a place; what arrives is checked, and nothing of it is run.

    >>> import kaggle_ray
    >>> tiny = {"model": "resnet9", "model_args": {"width": 8, "stem_stride": 1}, "image_size": 8, "epochs": 1}
    >>> result = kaggle_ray.run("digits", experiments=[tiny], launcher="local", reporters=[])
    >>> _ = kaggle_ray.push(result.run_dir, "team", user="ann")
    >>> [str(pulled.folder.parent) for pulled in kaggle_ray.pull("team", user="ann")]
    ['shared/ann/digits']

    Args:
        place: a folder, ``file:///folder`` or ``s3://bucket/prefix``.
        run: the id of the run to pull, or ``COMPETITION/RUN``; None: all.
        user: whose runs to pull; None: everybody's.
        to: folder of the pulled runs.
        weights: fetch the weights, too.
        max_gib: the most that one run may take.

    Raises:
        KaggleRayError: what, where, and the next step; what was pulled before stays.
    """
    return [
        pulling.pull(corner, revision.index, Path(to), weights=weights, max_bytes=round(max_gib * 2**30))
        for corner, revision in pulling.find_shared(str(place), user=user, run_id=run)
    ]


def board(*places: str | Path, where: Sequence[str] = (), sort: str | None = None) -> pd.DataFrame:
    """Compare the experiments of runs: a row for each, with its scores, whose it is, and its hyperparameters.

    >>> import kaggle_ray
    >>> tiny = {"model": "resnet9", "model_args": {"width": 8, "stem_stride": 1}, "image_size": 8, "epochs": 1}
    >>> result = kaggle_ray.run("digits", experiments=[tiny], launcher="local", reporters=[])
    >>> kaggle_ray.board(result.run_dir, where=["epochs<2"])[["competition", "metric", "epochs"]].to_numpy().tolist()
    [['digits', 'log_loss', 1]]

    Args:
        places: each a run, a folder of runs or of pulled ones, or a place where runs are shared.
        where: conditions such as ``lr>=0.01``, ``user=ann`` or ``experiment~resnet``, which is a part of the text.
        sort: a column, ``-`` before it for the largest first; None: by competition, the best first.

    Raises:
        KaggleRayError: there is no run at a place, or no such column.
    """
    import pandas as pd

    from kaggle_ray.report.comparison import chosen, compared
    from kaggle_ray.share.sources import runs_at

    found, unread = runs_at(*map(str, places))
    rows, unreadable = compared((each.user, each.store) for each in found)
    for error in (*unread, *unreadable):
        logger.warning("left out: %s", error)
    return pd.DataFrame([row.cells for row in chosen(rows, where=where, sort=sort)])
