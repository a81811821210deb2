"""The hyperparameters of what a network sees: sizes, augmentation, mixing."""

from __future__ import annotations

import math
from dataclasses import dataclass

from kaggle_ray.config.part import check_types, require

_SIZE_STEP = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageHyperparameters:
    """Sizes at which images are decoded, trained on and predicted, and how they are varied."""

    image_size: int = 64
    """Height in pixels that images are decoded to; also their width, unless ``aspect`` says otherwise. 0 is the size
    that the model's library trained it on."""
    aspect: float = 1.0
    """Width of a decoded image over its height."""
    train_size: int = 0
    """Height in pixels that batches are trained and predicted at; 0 is image_size."""
    start_size: int = 0
    """Height in pixels in the first epoch, growing to train_size in steps of 16 over the run; 0 is train_size."""
    tile: int = 0
    """Side in pixels of the overlapping tiles that larger images are predicted in, for segmentation; 0 predicts
    whole. Epochs are scored so, too."""
    augment: str = "none"
    """A recipe of ``kaggle_ray.images.augment``: none, flip, shift, light, heavy, medium, dihedral, segmentation, or
    one that the competition's file registers."""
    augment_copies: int = 0
    """Augmented copies of each image that the epochs take in turn, the same in all folds; 0 draws anew in each epoch.
    A row that a sampler draws several times in an epoch has the same copy. With ``freeze`` backbone the features of
    each copy are computed once."""
    mixup: float = 0.0
    """Alpha of the Beta distribution that mixes pairs within a batch (Zhang et al., ICLR 2018); 0 is off."""
    cutmix: float = 0.0
    """Alpha of the Beta distribution of the area that each image of a batch gets from another (Yun et al., ICCV 2019);
    0 is off."""

    def __post_init__(self) -> None:
        """Check every value's type and range. Raises ConfigError."""
        check_types(self)
        for name in ("image_size", "augment_copies", "mixup", "cutmix", "tile"):
            require(getattr(self, name) >= 0, name, "at least 0", getattr(self, name))
        require(0.1 <= self.aspect <= 10, "aspect", "from 0.1 to 10", self.aspect)
        largest = self.image_size or math.inf
        for name in ("train_size", "start_size"):
            require(0 <= getattr(self, name) <= largest, name, "from 0 to image_size", getattr(self, name))

    @property
    def predict_size(self) -> int:
        """Height in pixels that images are predicted at, and trained at in the end."""
        return self.train_size or self.image_size

    def sides(self, height: int) -> tuple[int, int]:
        """Return height and width in pixels of an image of ``height``."""
        return height, max(1, round(height * self.aspect))

    @property
    def decoded_sides(self) -> tuple[int, int]:
        """Height and width in pixels that images are decoded to."""
        return self.sides(self.image_size)

    def size_at(self, epoch: int, *, epochs: int) -> int:
        """Return the height in pixels that ``epoch``, 1 for the first, of ``epochs`` is trained at.

        It grows linearly, in steps of 16, and has reached its end for the last tenth of the epochs.
        Source: Tan and Le, "EfficientNetV2", ICML 2021 (progressive learning).
        """
        if not self.start_size or self.start_size >= self.predict_size:
            return self.predict_size
        progress = (epoch - 1) / max(1.0, 0.9 * epochs - 1)
        if progress >= 1:
            return self.predict_size
        grown = self.start_size + (self.predict_size - self.start_size) * progress
        return max(self.start_size, min(self.predict_size, round(grown / _SIZE_STEP) * _SIZE_STEP))
