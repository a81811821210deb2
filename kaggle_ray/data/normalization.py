"""How the values of images are brought to a scale that a network learns from."""

from __future__ import annotations

import math
from dataclasses import dataclass

from kaggle_ray.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Normalization:
    """Mean and standard deviation of each channel, which images are normalised with in the place of ImageNet's.

    They are those of the values as a network gets them: 8 and 16 bits as 0..1, other numbers as they are read.

    >>> from kaggle_ray import Normalization
    >>> Normalization(mean=(-400.0,), std=(600.0,)).mean  # Hounsfield units
    (-400.0,)

    Raises:
        ConfigError: on creation, where there is not one positive deviation for each mean.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check the numbers."""
        object.__setattr__(self, "mean", tuple(map(float, self.mean)))
        object.__setattr__(self, "std", tuple(map(float, self.std)))
        is_good = all(map(math.isfinite, (*self.mean, *self.std))) and all(std > 0 for std in self.std)
        if len(self.mean) != len(self.std) or not self.mean or not is_good:
            raise ConfigError(
                f"a normalisation: expected a mean and a positive deviation for each channel, got {self.mean} and "
                f"{self.std}."
            )
