"""What a user may say about what is added to a run that is over, each option once: see ``options``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kaggle_ray.pipeline.declare import Options, option
from kaggle_ray.pipeline.option_values import SOUPS, TTA, parse_overrides, parse_reporters, parse_tta
from kaggle_ray.pipeline.options import default_launcher

if TYPE_CHECKING:
    from kaggle_ray.given import HyperparameterValue
    from kaggle_ray.launch.by_name import LauncherName
    from kaggle_ray.launch.launcher import Launcher
    from kaggle_ray.reporters import Reporter


@dataclass(frozen=True)
class AdditionOptions(Options):
    """How experiments are added to a run that is over."""

    run: str | Path
    """Folder of the run, or its s3:// URI."""
    _: KW_ONLY
    data: str | Path | None = option(None, unset="data/COMPETITION")
    """Folder of the competition's files, or an s3:// or file:// URI, as the run had them."""
    folds: str | Path | None = option(None, unset="as the competition says", metavar="FILE")
    """File of the folds, where the run was begun with one."""
    competition: str | Path | None = option(
        None, unset="the run's own, where you have run it on this machine or it came with kaggle_ray, unchanged"
    )
    """Competition whose code reads the files: a name in competitions/, or a path."""
    launcher: LauncherName | Launcher = option(default_launcher(), choices=("ray", "local"))
    """Where trials run, as of a run."""
    num_slots: int | None = option(
        None, unset="one per core, or per GPU; on a cluster as many as there is room for", flag="--slots", at_least=1
    )
    """Number of trials that run at once."""
    ensemble: str = option("auto")
    """Way in which the experiments are made one, as of a run: the ensembles are made anew, and the submission."""
    admit_unproven: bool = option(False)
    """Let experiments into the ensemble that have no honest score, as of a run."""
    reporters: Sequence[Reporter | str] | None = option(
        None, unset="the console", flag="--reporter", metavar="NAME", repeated=True, parse=parse_reporters
    )
    """Reporters that are told what happens, as of a run."""


@dataclass(frozen=True, kw_only=True)
class AugmentOptions(AdditionOptions):
    """How experiments of a run that is over predict once more, with test-time augmentation."""

    tta: Sequence[str] | str = option((), metavar="NAME", repeated=True, choices=TTA, parse=parse_tta)
    """Test-time augmentation to predict with, as the hyperparameter ``tta`` names it; each makes experiments of its
    own."""
    experiments: Sequence[str] | None = option(None, unset="all that are complete", python_only=True)
    """Experiments that predict once more: their names, ids, or how their ids begin."""


@dataclass(frozen=True, kw_only=True)
class SoupOptions(AdditionOptions):
    """How the weights of experiments of a run that is over are averaged."""

    experiments: Sequence[str] = option((), python_only=True)
    """Experiments whose weights are averaged, fold by fold: their names, ids, or how their ids begin. What the first
    predicts with, such as its ``tta``, the soup predicts with, too."""
    method: str = option("greedy", choices=SOUPS)
    """Way to choose which are averaged. greedy: those whose mean is best on an inner split that all of them hold out,
    found one by one; uniform: all of them, so that nothing is chosen."""


@dataclass(frozen=True)
class TrainOnOptions(AdditionOptions):
    """How an experiment of a run that is over is trained on."""

    experiment: str
    """Experiment whose weights are trained on: its name, its id, or how its id begins."""
    _: KW_ONLY
    epochs: int = option(1, at_least=1)
    """Number of further epochs."""
    overrides: Mapping[str, HyperparameterValue] | None = option(
        None, unset="none", flag="--set", metavar="NAME=VALUE", repeated=True, parse=parse_overrides
    )
    """Hyperparameters that the further epochs have others of, such as lr=1e-4."""
