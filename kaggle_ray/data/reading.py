"""How the values of a competition's files are read: found out once over its training files, or declared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy.typing as npt

from kaggle_ray.typed_json import from_json
from kaggle_ray.types import JsonValue

MaskForm = Literal["8 bits", "16 bits", "palette"]
"""What a mask's values are: those of 8 or 16 bits, or the numbers of a palette's colours."""


Reader = Callable[[Path], npt.NDArray[Any]]
"""Reads the images of one file: (H, W), (H, W, C), or (V, H, W, C) of several."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageReading:
    """How the pixels of images are read.

    >>> from kaggle_ray import ImageReading
    >>> ImageReading(bits=16, white=4095).black
    0
    """

    bits: Literal[8, 16] | None = None
    """Bits per channel that every file has; a file of others does not decode. None takes them as they come."""
    black: int = 0
    """Value of 16 bits that is the darkest; what is darker is read as it."""
    white: int = 65535
    """Value of 16 bits that is the brightest, such as 4095 where a camera uses 12 of them."""
    as_stored: bool = False
    """Whether photographs are left as their pixels are stored, rather than turned as their EXIF data says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskReading:
    """How the foreground is told in binary masks.

    >>> from kaggle_ray import MaskReading
    >>> mixed = MaskReading(cuts={"8 bits": (0, 127)})
    >>> mixed.cut("8 bits", highest=1), mixed.cut("8 bits", highest=255)
    (0, 127)
    """

    alpha: bool = False
    """Whether a file's alpha channel is the mask, rather than its colours."""
    palette_numbers: bool = False
    """Whether the numbers of a palette's colours are the mask, 0 being the background, rather than the colours."""
    cuts: Mapping[MaskForm, tuple[int, ...]] = field(default_factory=dict)
    """Form of file -> values above which a pixel is foreground, ascending. A mask is cut at the highest of those that
    it exceeds anywhere, so that one of 0 and 1 may stand beside one of 0 and 255. Without any: at 0."""

    def cut(self, form: MaskForm, highest: int) -> int:
        """Return the value above which a pixel is foreground, in a mask whose highest value is ``highest``."""
        cuts = self.cuts.get(form, (0,))
        return max((cut for cut in cuts if cut < highest), default=cuts[0])


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How images and masks are read, and what a person should know of it.

    >>> from kaggle_ray import ImageReading, Reading
    >>> Reading(images=ImageReading(bits=16, white=4095)).masks is None
    True
    """

    images: ImageReading | None = None
    """How images are read; None where it is to be found out."""
    masks: MaskReading | None = None
    """How masks are read; None where it is to be found out."""
    remarks: tuple[str, ...] = ()
    """A line each on what could be meant otherwise, with the names of files."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left to find out."""
        return self.images is not None and self.masks is not None

    def to_json(self) -> dict[str, JsonValue]:
        """Return the reading as JSON."""
        return asdict(self)

    @staticmethod
    def recorded(value: Mapping[str, JsonValue] | None, *, where: str) -> Reading:
        """Return the reading that ``to_json`` described; files were taken as they came where that was not recorded."""
        if value is None:
            return Reading(images=ImageReading(), masks=MaskReading())
        return from_json(Reading, value, where=where)
