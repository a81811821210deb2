"""What an experiment is: hyperparameters from plain dictionaries, and search spaces that expand to lists of them."""

from kaggle_ray.config.hyperparameters import (
    HYPERPARAMETER_NAMES,
    Hyperparameters,
    Optimizer,
    Schedule,
    TestTimeAugmentation,
    check_names,
    parse_hyperparameters,
)
from kaggle_ray.config.space import SearchSpace, with_seeds

__all__ = [
    "HYPERPARAMETER_NAMES",
    "Hyperparameters",
    "Optimizer",
    "Schedule",
    "SearchSpace",
    "TestTimeAugmentation",
    "check_names",
    "parse_hyperparameters",
    "with_seeds",
]
