"""What an experiment is: hyperparameters from plain dictionaries, and search spaces that expand to lists of them."""

from kaggle_ray.config.distributions import Distribution, choice, int_uniform, log_uniform, uniform
from kaggle_ray.config.hyperparameters import (
    HYPERPARAMETER_NAMES,
    Hyperparameters,
    check_names,
    parse_hyperparameters,
)
from kaggle_ray.config.images import ImageHyperparameters
from kaggle_ray.config.loss import LossHyperparameters
from kaggle_ray.config.model import ModelHyperparameters
from kaggle_ray.config.optimizer import OptimizerHyperparameters
from kaggle_ray.config.predict import PredictHyperparameters, TestTimeAugmentation
from kaggle_ray.config.pseudolabels import PseudolabelHyperparameters
from kaggle_ray.config.schedule import ScheduleHyperparameters
from kaggle_ray.config.search import Search
from kaggle_ray.config.space import SearchSpace, with_seeds
from kaggle_ray.config.training import TrainingHyperparameters

__all__ = [
    "HYPERPARAMETER_NAMES",
    "Distribution",
    "Hyperparameters",
    "ImageHyperparameters",
    "LossHyperparameters",
    "ModelHyperparameters",
    "OptimizerHyperparameters",
    "PredictHyperparameters",
    "PseudolabelHyperparameters",
    "ScheduleHyperparameters",
    "Search",
    "SearchSpace",
    "TestTimeAugmentation",
    "TrainingHyperparameters",
    "check_names",
    "choice",
    "int_uniform",
    "log_uniform",
    "parse_hyperparameters",
    "uniform",
    "with_seeds",
]
