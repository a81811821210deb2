"""The hyperparameters that change what a trained network predicts, and nothing of how it is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kaggle_ray.config.images import ImageHyperparameters
from kaggle_ray.config.part import check_types

TestTimeAugmentation = Literal["none", "hflip", "hflip_sizes"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictHyperparameters:
    """What the final predictions are made of, once the weights are there."""

    tta: TestTimeAugmentation = "none"
    """Test-time augmentation. hflip: the mean over the image and its mirror image; hflip_sizes: over both, each at
    train_size and a quarter larger, at most image_size."""

    def __post_init__(self) -> None:
        """Check every value's type. Raises ConfigError."""
        check_types(self)

    def heights(self, images: ImageHyperparameters) -> tuple[int, ...]:
        """Return the heights in pixels that ``tta`` predicts ``images`` at, ascending: one, or a larger one, too."""
        larger = min(images.predict_size * 5 // 4, images.image_size) if self.tta == "hflip_sizes" else 0
        return tuple(sorted({images.predict_size, larger or images.predict_size}))
