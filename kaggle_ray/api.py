"""What a script or a notebook calls: a run, its models on new data, and runs that a team shares and compares."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from kaggle_ray.combine import AUTO
from kaggle_ray.config.loading import check_not_loading
from kaggle_ray.pipeline.addition_options import AdditionOptions, AugmentOptions, SoupOptions, TrainOnOptions
from kaggle_ray.pipeline.augmenting import AugmentedRun, augment_run
from kaggle_ray.pipeline.declare import takes
from kaggle_ray.pipeline.driver import execute
from kaggle_ray.pipeline.importing import ImportedPlace, import_files
from kaggle_ray.pipeline.inference import predict_new
from kaggle_ray.pipeline.options import PredictOptions, RunOptions
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.pipeline.souping import SoupRun, soup_run
from kaggle_ray.pipeline.team import TeamEnsemble, ensemble_of_runs
from kaggle_ray.pipeline.training_on import TrainedOn, train_on_run
from kaggle_ray.report.runs import find_run
from kaggle_ray.reporters import Reporter
from kaggle_ray.reporters.by_name import CONSOLE
from kaggle_ray.reporters.console import ConsoleReporter
from kaggle_ray.share import pull as pulling
from kaggle_ray.share import push as pushing
from kaggle_ray.share.sources import imported_at, runs_at
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
    """Predict new test rows by a run's ensemble or experiment, without training; return the checked submission.

    >>> import kaggle_ray
    >>> tiny = {"model": "resnet9", "model_args": {"width": 8, "stem_stride": 1}, "image_size": 8, "epochs": 1}
    >>> result = kaggle_ray.run("digits", experiments=[tiny], launcher="local", reporters=[])
    >>> kaggle_ray.predict(result.run_dir, data="data/digits", out="new.csv").name
    'new.csv'

    Raises:
        KaggleRayError: what, where, and the next step.
    """
    return predict_new(options)


@takes(AugmentOptions)
def augment(options: AugmentOptions) -> AugmentedRun:
    """Predict with what a run has trained once more, with test-time augmentation; ensemble it, and submit.

    >>> import kaggle_ray
    >>> tiny = {"model": "resnet9", "model_args": {"width": 8, "stem_stride": 1}, "image_size": 8, "epochs": 1}
    >>> result = kaggle_ray.run("digits", experiments=[tiny], launcher="local", run_id="first", reporters=[])
    >>> again = kaggle_ray.augment(result.run_dir, tta="hflip", launcher="local", reporters=[])
    >>> [(each.name, [view.view for view in each.views]) for each in again.experiments]
    [('resnet9 tta=hflip', ['as it is', 'mirrored'])]

    Raises:
        KaggleRayError: what, where, and the next step.
    """
    return augment_run(options, reporters=_console_of(options))


@takes(SoupOptions)
def soup(options: SoupOptions) -> SoupRun:
    """Average the weights of experiments of a run, fold by fold; ensemble what it is now, and submit.

    >>> import kaggle_ray
    >>> tiny = {"model": "resnet9", "model_args": {"width": 8, "stem_stride": 1}, "image_size": 8, "epochs": 1}
    >>> two = [{**tiny, "lr": lr, "epoch_rule": "inner"} for lr in (1e-3, 2e-3)]
    >>> result = kaggle_ray.run(
    ...     "digits", experiments=two, ensemble="mean", launcher="local", run_id="second", reporters=[]
    ... )
    >>> names = [each.name for each in result.tried]
    >>> made = kaggle_ray.soup(result.run_dir, experiments=names, launcher="local", reporters=[])
    >>> made.name, len(made.chosen)
    ('greedy soup of resnet9 lr=0.001 and resnet9 lr=0.002', 5)

    Raises:
        KaggleRayError: what, where, and the next step.
    """
    return soup_run(options, reporters=_console_of(options))


@takes(TrainOnOptions)
def train_on(options: TrainOnOptions) -> TrainedOn:
    """Train an experiment of a run for further epochs, each fold from its last weights; ensemble, and submit.

    >>> import kaggle_ray
    >>> tiny = {"model": "resnet9", "model_args": {"width": 8, "stem_stride": 1}, "image_size": 8, "epochs": 2}
    >>> result = kaggle_ray.run("digits", experiments=[tiny], launcher="local", run_id="third", reporters=[])
    >>> kaggle_ray.train_on(result.run_dir, "resnet9", epochs=1, launcher="local", reporters=[]).name
    'resnet9 +1 epoch'

    Raises:
        KaggleRayError: what, where, and the next step.
    """
    return train_on_run(options, reporters=_console_of(options))


def _console_of(options: AdditionOptions) -> list[Reporter]:
    """Return the console, unless other reporters were asked for alone."""
    shows_console = options.reporters is None or CONSOLE in options.reporters
    return [ConsoleReporter(Console())] if shows_console else []


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


def import_predictions(
    test: str | Path,
    oof: str | Path | None = None,
    *,
    data: str | Path,
    run: str | None = None,
    folds: str | Path | None = None,
    name: str | None = None,
    user: str = "",
    share: float | None = None,
    competition: str | Path | None = None,
    runs: str | Path = "runs",
) -> ImportedPlace:
    """Take in predictions that were made elsewhere, for the ensembles of a run.

    >>> import kaggle_ray
    >>> tiny = {"model": "resnet9", "model_args": {"width": 8, "stem_stride": 1}, "image_size": 8, "epochs": 1}
    >>> past = kaggle_ray.open_run(kaggle_ray.run("digits", experiments=[tiny], launcher="local", reporters=[]).run_dir)
    >>> past.predictions().to_csv("oof.csv")  # as a team mate would
    >>> past.predictions(of="test").to_csv("test.csv")
    >>> mate = kaggle_ray.import_predictions("test.csv", "oof.csv", data="data/digits", run=past.location, name="bob")
    >>> mate.record.folds
    'other'
    >>> places = past.location, mate.location
    >>> made = kaggle_ray.ensemble_runs(
    ...     *places, data="data/digits", out="blend", method="mean", admit_unproven=True
    ... )
    >>> made.score_honest is None, sorted(member.standing for member in made.members)
    (True, ['proven', 'unproven, other folds'])

    Args:
        test: csv file with a row for each test row.
        oof: csv file with a row for each row that the run scores, predicted by a model that never saw it.
        data: folder or URI of the competition's files.
        run: folder of a run of your own, its id, or its competition's name; None: the latest one.
        folds: csv file of the folds that ``oof`` was predicted under; None: its column ``fold``, or unknown ones.
        name: what to call the predictions; None: a digest of the files.
        user: whose they are.
        share: of the submission, between 0 and 1, where there is no ``oof`` to choose a weight by.
        competition: whose code reads the files, where the run's own is not known to be yours.
        runs: folder of the run folders.

    Raises:
        KaggleRayError: what, where, and the next step; what is wrong with a file is named.
    """
    return import_files(
        find_run(run, runs), oof, test, data=data, runs=runs, folds=folds, name=name, user=user, share=share,
        competition=competition,
    )  # fmt: skip


def ensemble_runs(
    run: str | Path,
    *others: str | Path,
    data: str | Path,
    out: str | Path = "team",
    competition: str | Path | None = None,
    method: str = AUTO,
    admit_unproven: bool = False,
    repeated_folds: bool = False,
) -> TeamEnsemble:
    """Ensemble what of a run is complete, alone or with other runs and imported predictions; write the submission.

    >>> import kaggle_ray
    >>> tiny = {"model": "resnet9", "model_args": {"width": 8, "stem_stride": 1}, "image_size": 8, "epochs": 1}
    >>> result = kaggle_ray.run("digits", experiments=[tiny], launcher="local", reporters=[])
    >>> made = kaggle_ray.ensemble_runs(result.run_dir, data="data/digits", out="blend", method="mean")
    >>> [member.weight for member in made.members]
    [1.0]

    Args:
        run: folder of a run of your own, whose folds count, or its URI; nothing of it changes.
        others: each a run, a folder of runs or of pulled ones, a place where runs are shared, or imported predictions.
        data: folder or URI of the competition's files.
        out: folder that ensemble and submission are written to.
        competition: whose code reads the files, where the run's own is not known to be yours.
        method: a combiner's name, or ``auto``.
        admit_unproven: take what is unproven, such as all that was imported; there is no honest score then.
        repeated_folds: take runs of the same rows in other folds, too, such as those of another ``fold_seed``: an
            experiment that several have is one member, their mean. The honest score is by the folds of ``run``.

    Raises:
        KaggleRayError: what, where, and the next step.
    """
    imported, places = imported_at(*map(str, others))
    of_others, unread = runs_at(*places)
    for error in unread:
        logger.warning("left out: %s", error)
    return ensemble_of_runs(
        open_run(run), of_others, data=data, out=out, imported=imported, competition=competition, method=method,
        admit_unproven=admit_unproven, repeated_folds=repeated_folds,
    )  # fmt: skip


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

    found, unread = runs_at(*map(str, places))
    rows, unreadable = compared((each.user, each.store) for each in found)
    for error in (*unread, *unreadable):
        logger.warning("left out: %s", error)
    return pd.DataFrame([row.cells for row in chosen(rows, where=where, sort=sort)])
