"""The hyperparameters that change what a trained network predicts, and nothing of how it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from kaggle_ray.config.images import ImageHyperparameters
from kaggle_ray.config.part import check_types

TestTimeAugmentation = Literal["none", "hflip", "hflip_sizes", "flips", "dihedral", "five_crop", "ten_crop", "scales"]

Corner = Literal["centre", "top left", "top right", "bottom left", "bottom right"]
_CORNERS: Sequence[Corner] = ("centre", "top left", "top right", "bottom left", "bottom right")


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """One way to look at an image: what is predicted of it is mapped back, where it is a mask."""

    height: int
    """Height in pixels to predict at; of a crop that of the whole image."""
    is_mirrored: bool = False
    """Whether left and right change places, after the image was turned."""
    num_turns: int = 0
    """Quarter turns against the clock."""
    corner: Corner | None = None
    """Where a crop is of seven eighths of height and width; None is the whole image."""

    def __str__(self) -> str:
        """Return what a table calls the view, its height aside."""
        turned = [f"turned by {90 * self.num_turns}"] if self.num_turns else []
        words = [*turned, *(["mirrored"] if self.is_mirrored else []), *([self.corner] if self.corner else [])]
        return ", ".join(words) or "as it is"


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictHyperparameters:
    """What the final predictions are made of, once the weights are there."""

    tta: TestTimeAugmentation = "none"
    """Test-time augmentation, the mean over several views of an image. hflip: it and its mirror image; flips: also
    upside down; dihedral: all eight symmetries of a square, of another image the four of flips; five_crop: the middle
    and the corners, each seven eighths of both sides; ten_crop: their mirror images, too; scales: at train_size, and a
    fifth smaller and a quarter larger; hflip_sizes: both of hflip at train_size and a quarter larger. None is larger
    than image_size. Masks are mapped back; crops are not for them, nor where ``tile`` cuts."""

    def __post_init__(self) -> None:
        """Check every value's type. Raises ConfigError."""
        check_types(self)

    def heights(self, images: ImageHyperparameters) -> tuple[int, ...]:
        """Return the heights in pixels that ``tta`` predicts ``images`` at, ascending: one, or others, too."""
        size = images.predict_size
        larger = min(size * 5 // 4, images.image_size)
        others = {"hflip_sizes": (larger,), "scales": (size * 4 // 5, larger)}.get(self.tta, ())
        return tuple(sorted({size, *(other or size for other in others)}))

    def views(self, images: ImageHyperparameters) -> tuple[View, ...]:
        """Return the views that ``tta`` is the mean of, each once, from the smallest height on."""
        plain = [View(height=height) for height in self.heights(images)]
        if self.tta in ("hflip", "hflip_sizes"):
            return tuple(mirrored for view in plain for mirrored in _and_mirrored([view]))
        if self.tta in ("flips", "dihedral"):
            is_square = images.aspect == 1
            turns = range(4) if self.tta == "dihedral" and is_square else (0, 2)
            return tuple(_and_mirrored([replace(plain[0], num_turns=turn) for turn in turns]))
        if self.tta in ("five_crop", "ten_crop"):
            crops = [replace(plain[0], corner=corner) for corner in _CORNERS]
            return tuple(_and_mirrored(crops) if self.tta == "ten_crop" else crops)
        return tuple(plain)


def _and_mirrored(views: Sequence[View]) -> list[View]:
    return [*views, *(replace(view, is_mirrored=True) for view in views)]
