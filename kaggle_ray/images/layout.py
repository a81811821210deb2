"""How a set of images is decoded: sizes, kind, and who reads the files.

Shape legend: V images of a file, H and W pixels, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from kaggle_ray.data.reading import ImageReading, MaskReading
from kaggle_ray.images.decode import PixelKind, Pixels, decode_image
from kaggle_ray.images.readers import NamedReader


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """How a set of images is decoded."""

    height: int
    width: int
    kind: PixelKind = "image"
    channels: int = 3
    num_classes: int = 256
    """Number of classes in a mask of labels."""
    image_reading: ImageReading | None = None
    mask_reading: MaskReading | None = None
    """How values are read; None is the default of ``decode_image``."""
    reader: NamedReader | None = field(default=None, repr=False)
    """What reads the files where they are no photographs."""

    @property
    def images_per_file(self) -> int:
        """V, the images of each file."""
        return 1 if self.reader is None else self.reader.num_images

    @property
    def described(self) -> str:
        """What tells the pixels of a layout from those of another one."""
        return f"{self}" if self.reader is None else f"{self} {self.reader.key}"

    def decode(self, path: Path) -> Pixels:
        """Return (H, W, C) the pixels of a file; (V, H, W, C) of one that has several images."""
        if self.reader is not None:
            images = self.reader.pixels(path, self.height, self.width, self.channels)
            return images if self.reader.num_images > 1 else images[0]
        return decode_image(
            path, self.height, self.width, kind=self.kind, channels=self.channels, num_classes=self.num_classes,
            image_reading=self.image_reading, mask_reading=self.mask_reading,
        )  # fmt: skip
