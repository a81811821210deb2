"""One image competition in; a leak-checked, cross-validated, ensembled, verified submission out.

``kaggle_ray.run("digits", experiments=[{"model": "small_resnet", "lr": 1e-3}, ...])`` is the whole of it. The
names below are the public API; competitions, search spaces and notebooks use nothing else.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kaggle_ray.api import augment as augment
    from kaggle_ray.api import board as board
    from kaggle_ray.api import ensemble_runs as ensemble_runs
    from kaggle_ray.api import import_predictions as import_predictions
    from kaggle_ray.api import predict as predict
    from kaggle_ray.api import pull as pull
    from kaggle_ray.api import push as push
    from kaggle_ray.api import run as run
    from kaggle_ray.api import soup as soup
    from kaggle_ray.api import train_on as train_on
    from kaggle_ray.combine.arrays import EnsembledArrays as EnsembledArrays
    from kaggle_ray.combine.arrays import ensemble as ensemble
    from kaggle_ray.combine.combiner import WeightedMean as WeightedMean
    from kaggle_ray.combine.combiner import register_combiner as register_combiner
    from kaggle_ray.config import Hyperparameters as Hyperparameters
    from kaggle_ray.config import SearchSpace as SearchSpace
    from kaggle_ray.config import choice as choice
    from kaggle_ray.config import int_uniform as int_uniform
    from kaggle_ray.config import log_uniform as log_uniform
    from kaggle_ray.config import uniform as uniform
    from kaggle_ray.config.settings import Settings as Settings
    from kaggle_ray.data.competition import Competition as Competition
    from kaggle_ray.data.competition import MaskSize as MaskSize
    from kaggle_ray.data.csv_files import read_table as read_table
    from kaggle_ray.data.folds import FoldScheme as FoldScheme
    from kaggle_ray.data.head import Head as Head
    from kaggle_ray.data.ids import as_ids as as_ids
    from kaggle_ray.data.image_files import join_images as join_images
    from kaggle_ray.data.image_files import list_images as list_images
    from kaggle_ray.data.label_encoding import encode_labels as encode_labels
    from kaggle_ray.data.label_encoding import encode_tags as encode_tags
    from kaggle_ray.data.label_encoding import rle_coverage as rle_coverage
    from kaggle_ray.data.normalization import Normalization as Normalization
    from kaggle_ray.data.reading import ImageReading as ImageReading
    from kaggle_ray.data.reading import MaskReading as MaskReading
    from kaggle_ray.data.reading import Reading as Reading
    from kaggle_ray.data.samples import Samples as Samples
    from kaggle_ray.data.submission_format import SubmissionFormat as SubmissionFormat
    from kaggle_ray.data.table import Table as Table
    from kaggle_ray.data.table import read_numbers as read_numbers
    from kaggle_ray.data.votes import vote_shares as vote_shares
    from kaggle_ray.decide import register_decision as register_decision
    from kaggle_ray.errors import KaggleRayError as KaggleRayError
    from kaggle_ray.images.compose import register_augmentation as register_augmentation
    from kaggle_ray.images.decoded import DecodedImages as DecodedImages
    from kaggle_ray.images.readers import MelSpectrogram as MelSpectrogram
    from kaggle_ray.images.readers import VolumeSlices as VolumeSlices
    from kaggle_ray.images.readers import register_reader as register_reader
    from kaggle_ray.launch.launcher import Launcher as Launcher
    from kaggle_ray.metrics import Metric as Metric
    from kaggle_ray.metrics import metric_by_name as metric_by_name
    from kaggle_ray.metrics import register_metric as register_metric
    from kaggle_ray.metrics import rounded as rounded
    from kaggle_ray.models import register_model as register_model
    from kaggle_ray.pipeline.own_images import predict_proba as predict_proba
    from kaggle_ray.pipeline.parts import assign_folds as assign_folds
    from kaggle_ray.pipeline.result import RunResult as RunResult
    from kaggle_ray.pipeline.trained import TrainedModel as TrainedModel
    from kaggle_ray.pipeline.trained import load_model as load_model
    from kaggle_ray.report.past_run import PastRun as PastRun
    from kaggle_ray.report.past_run import open_run as open_run
    from kaggle_ray.reporters import Reporter as Reporter
    from kaggle_ray.reporters.by_name import register_reporter as register_reporter
    from kaggle_ray.schedule.searchers import register_searcher as register_searcher
    from kaggle_ray.schedule.source import Continue as Continue
    from kaggle_ray.schedule.source import Done as Done
    from kaggle_ray.schedule.source import ListSource as ListSource
    from kaggle_ray.schedule.source import Stop as Stop
    from kaggle_ray.schedule.source import TrialSource as TrialSource
    from kaggle_ray.schedule.source import Wait as Wait
    from kaggle_ray.train.constraints import register_constraint as register_constraint
    from kaggle_ray.train.losses import register_loss as register_loss
    from kaggle_ray.train.optimizers import register_optimizer as register_optimizer
    from kaggle_ray.train.sampling import register_sampler as register_sampler
    from kaggle_ray.train.schedules import register_schedule as register_schedule

_HOME = {
    "augment": "kaggle_ray.api",
    "board": "kaggle_ray.api",
    "ensemble_runs": "kaggle_ray.api",
    "import_predictions": "kaggle_ray.api",
    "pull": "kaggle_ray.api",
    "push": "kaggle_ray.api",
    "predict": "kaggle_ray.api",
    "run": "kaggle_ray.api",
    "soup": "kaggle_ray.api",
    "train_on": "kaggle_ray.api",
    "Hyperparameters": "kaggle_ray.config",
    "SearchSpace": "kaggle_ray.config",
    "choice": "kaggle_ray.config",
    "int_uniform": "kaggle_ray.config",
    "log_uniform": "kaggle_ray.config",
    "uniform": "kaggle_ray.config",
    "Competition": "kaggle_ray.data.competition",
    "MaskSize": "kaggle_ray.data.competition",
    "Normalization": "kaggle_ray.data.normalization",
    "ImageReading": "kaggle_ray.data.reading",
    "MaskReading": "kaggle_ray.data.reading",
    "Reading": "kaggle_ray.data.reading",
    "Samples": "kaggle_ray.data.samples",
    "as_ids": "kaggle_ray.data.ids",
    "encode_labels": "kaggle_ray.data.label_encoding",
    "encode_tags": "kaggle_ray.data.label_encoding",
    "join_images": "kaggle_ray.data.image_files",
    "list_images": "kaggle_ray.data.image_files",
    "read_numbers": "kaggle_ray.data.table",
    "read_table": "kaggle_ray.data.csv_files",
    "rle_coverage": "kaggle_ray.data.label_encoding",
    "FoldScheme": "kaggle_ray.data.folds",
    "Head": "kaggle_ray.data.head",
    "SubmissionFormat": "kaggle_ray.data.submission_format",
    "Table": "kaggle_ray.data.table",
    "EnsembledArrays": "kaggle_ray.combine.arrays",
    "ensemble": "kaggle_ray.combine.arrays",
    "WeightedMean": "kaggle_ray.combine.combiner",
    "register_combiner": "kaggle_ray.combine.combiner",
    "KaggleRayError": "kaggle_ray.errors",
    "vote_shares": "kaggle_ray.data.votes",
    "register_decision": "kaggle_ray.decide",
    "register_reporter": "kaggle_ray.reporters.by_name",
    "register_searcher": "kaggle_ray.schedule.searchers",
    "register_augmentation": "kaggle_ray.images.compose",
    "MelSpectrogram": "kaggle_ray.images.readers",
    "VolumeSlices": "kaggle_ray.images.readers",
    "register_reader": "kaggle_ray.images.readers",
    "Metric": "kaggle_ray.metrics",
    "metric_by_name": "kaggle_ray.metrics",
    "register_metric": "kaggle_ray.metrics",
    "rounded": "kaggle_ray.metrics",
    "register_model": "kaggle_ray.models",
    "PastRun": "kaggle_ray.report.past_run",
    "open_run": "kaggle_ray.report.past_run",
    "Reporter": "kaggle_ray.reporters",
    "DecodedImages": "kaggle_ray.images.decoded",
    "assign_folds": "kaggle_ray.pipeline.parts",
    "RunResult": "kaggle_ray.pipeline.result",
    "TrainedModel": "kaggle_ray.pipeline.trained",
    "load_model": "kaggle_ray.pipeline.trained",
    "predict_proba": "kaggle_ray.pipeline.own_images",
    "Settings": "kaggle_ray.config.settings",
    "Launcher": "kaggle_ray.launch.launcher",
    "Continue": "kaggle_ray.schedule.source",
    "Done": "kaggle_ray.schedule.source",
    "ListSource": "kaggle_ray.schedule.source",
    "Stop": "kaggle_ray.schedule.source",
    "TrialSource": "kaggle_ray.schedule.source",
    "Wait": "kaggle_ray.schedule.source",
    "register_constraint": "kaggle_ray.train.constraints",
    "register_loss": "kaggle_ray.train.losses",
    "register_optimizer": "kaggle_ray.train.optimizers",
    "register_sampler": "kaggle_ray.train.sampling",
    "register_schedule": "kaggle_ray.train.schedules",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Import a public name at its first use, so that ``kaggle-ray --help`` does not wait for torch or pandas."""
    if name not in _HOME:
        raise AttributeError(f"module 'kaggle_ray' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """Return the public names, whether they were imported yet or not."""
    return __all__
