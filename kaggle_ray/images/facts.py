"""What a file's content says of itself, measured once per machine: sizes, bits, and the values that occur in it.

Shape legend: H and W pixels.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from PIL import Image

from kaggle_ray.data.reading import MaskForm
from kaggle_ray.data.user_files import read_content
from kaggle_ray.errors import DataError
from kaggle_ray.images.file_pixels import decoded, decoding
from kaggle_ray.images.fingerprints import known_content, readable_digests
from kaggle_ray.images.planes import Palette, Plane, orientation_of, planes_of
from kaggle_ray.images.readers import NamedReader
from kaggle_ray.images.threads import map_in_threads

Facts = TypeVar("Facts")
Levels = Sequence[Sequence[int]]
"""Values that occur, ascending, each with the number of pixels that have it."""

_FORMAT = 2
"""Raised whenever the same content comes to have other facts."""
_MAX_LEVELS = 256
_PNG = b"\x89PNG"
_OF_SEVERAL_FRAMES = ("GIF", "PNG", "TIFF", "WEBP")
"""Formats of an image and others after it; further frames of a camera's JPEG file are its previews."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFacts:
    """What an image's file says of itself."""

    height: int
    """Height in pixels, as they are stored."""
    width: int
    orientation: int
    """EXIF orientation: 1 is not turned, 5 to 8 swap height and width."""
    bits: int
    """Bits per channel: 8 or 16; 32 of numbers that a reader gives."""
    lowest: int
    """Lowest value of any channel; of 8 bits, and of what a reader gives, 0, whatever there is."""
    highest: int
    """Highest value of any channel; of 8 bits, and of what a reader gives, that of all bits, whatever there is."""
    nearly_highest: int
    """Value that one in a thousand exceeds."""
    unread: str = ""
    """What the file holds beside the pixels that are read of it; empty where there is nothing."""

    def sides(self, *, as_stored: bool) -> tuple[int, int]:
        """Return height and width in pixels, as stored or as shown."""
        swapped = self.orientation >= 5 and not as_stored
        return (self.width, self.height) if swapped else (self.height, self.width)


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskFacts:
    """What a mask's file says of itself."""

    height: int
    """Height in pixels, as they are shown."""
    width: int
    form: MaskForm
    colors: Levels
    alpha: Levels | None
    numbers: Levels | None
    palette: Palette
    is_colored: bool
    is_lossy: bool
    alpha_agrees: bool
    """Whether the brighter half of the colours is the more opaque half of the alpha channel."""


def image_facts(
    paths: Sequence[Path], *, channels: int, reader: NamedReader | None = None, cache_dir: Path
) -> dict[Path, ImageFacts]:
    """Return the facts of the images that can be measured; the others are left to who decodes them."""
    if reader is not None:
        return _remembered(ImageFacts, f"image by {reader.key}", partial(_measure_read, reader), paths, cache_dir)
    return _remembered(ImageFacts, f"image of {channels}", partial(_measure_image, channels), paths, cache_dir)


def mask_facts(paths: Sequence[Path], *, cache_dir: Path) -> dict[Path, MaskFacts]:
    """Return the facts of the masks that can be measured; the others are left to who decodes them."""
    return _remembered(MaskFacts, "mask", _measure_mask, paths, cache_dir)


def _remembered(
    of: type[Facts], kind: str, measure: Callable[[Path], Facts], paths: Sequence[Path], cache_dir: Path
) -> dict[Path, Facts]:
    """Return what ``measure`` makes of each file, measuring those whose content this machine has not measured yet."""
    kind = f"{kind} {_FORMAT}"
    digest_of, _ = readable_digests(paths, cache_dir)
    with known_content(cache_dir) as connection:
        with connection:  # and no lock is held while files are measured
            connection.execute("CREATE TEMP TABLE wanted (digest TEXT PRIMARY KEY)")
            connection.executemany("INSERT OR IGNORE INTO wanted VALUES (?)", ((each,) for each in digest_of.values()))
            select = "SELECT digest, fact, seal FROM wanted JOIN facts USING (digest) WHERE kind = ?"
            rows = connection.execute(select, (kind,)).fetchall()
        known = {digest: of(**json.loads(fact)) for digest, fact, seal in rows if seal == _seal_of(fact)}
        new = {digest: path for path, digest in digest_of.items() if digest not in known}
        measured = map_in_threads(partial(_or_none, measure), list(new.values()), stage="checking images")
        found = {digest: facts for digest, facts in zip(new, measured, strict=True) if facts is not None}
        with connection:
            texts = {digest: json.dumps(asdict(facts)) for digest, facts in found.items()}  # type: ignore[call-overload]
            connection.executemany(
                "INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?)",
                [(digest, kind, text, _seal_of(text)) for digest, text in texts.items()],
            )
    known |= found
    return {path: known[digest] for path, digest in digest_of.items() if digest in known}


def _seal_of(fact: str) -> str:
    """Return what a fact that was damaged on the disk does not match."""
    return hashlib.sha256(fact.encode()).hexdigest()[:16]


def measured_image(path: Path, channels: int) -> ImageFacts | None:
    """Return the facts of an image, which nothing remembers; None where it cannot be measured."""
    return _or_none(partial(_measure_image, channels), path)


def _or_none(measure: Callable[[Path], Facts], path: Path) -> Facts | None:
    try:
        return measure(path)
    except DataError:  # named by who decodes it
        return None


def _measure_image(channels: int, path: Path) -> ImageFacts:
    content = read_content(path)
    try:
        with decoding(path, content), Image.open(io.BytesIO(content)) as image:
            kind, (width, height), orientation = image.format, image.size, orientation_of(image)
            unread = _unread(image, channels)
    except DataError:  # TIFF files of many bands are OpenCV's alone
        kind, width, height, orientation, unread = None, 0, 0, 1, ""
    is_deep = content.startswith(_PNG) and content[24] == 16
    if kind is None or kind == "TIFF" or is_deep:
        pixels = decoded(path, content, cv2.IMREAD_UNCHANGED)
        if kind is None:
            height, width = pixels.shape[:2]
        if pixels.dtype != np.uint8:
            colors = pixels[..., :3] if pixels.ndim == 3 and channels in (1, 3) else pixels  # and no alpha channel
            lowest, nearly, highest = (
                np.quantile(np.asarray(colors), (0, 0.999, 1), method="lower").astype(int).tolist()
            )
            return ImageFacts(
                height=height, width=width, orientation=orientation, bits=16,
                lowest=lowest, highest=highest, nearly_highest=nearly, unread=unread,
            )  # fmt: skip
    return ImageFacts(
        height=height, width=width, orientation=orientation, bits=8, lowest=0, highest=255, nearly_highest=255,
        unread=unread,
    )  # fmt: skip


def _unread(image: Image.Image, channels: int) -> str:
    """Return what is not read of an image of grey or of red, green and blue; see ``ImageFacts``."""
    if image.format in _OF_SEVERAL_FRAMES and getattr(image, "n_frames", 1) > 1:
        return "further frames"
    has_alpha = image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
    if channels in (1, 3) and has_alpha:
        opacity = np.asarray(image.convert("RGBA"))[..., 3]
        if opacity.min() < 255:
            return "an alpha channel that is not opaque"
    return ""


def _measure_read(reader: NamedReader, path: Path) -> ImageFacts:
    height, width, dtype = reader.sides(path)
    bits = 8 * dtype.itemsize
    highest = 2**bits - 1
    return ImageFacts(
        height=height, width=width, orientation=1, bits=bits, lowest=0, highest=highest, nearly_highest=highest
    )


def _measure_mask(path: Path) -> MaskFacts:
    planes = planes_of(path, read_content(path))
    return MaskFacts(
        height=planes.colors.shape[0],
        width=planes.colors.shape[1],
        form=planes.form,
        colors=_levels(planes.colors),
        alpha=None if planes.alpha is None else _levels(planes.alpha),
        numbers=None if planes.numbers is None else _levels(planes.numbers),
        palette=planes.palette,
        is_colored=planes.is_colored,
        is_lossy=planes.is_lossy,
        alpha_agrees=planes.alpha is not None
        and bool(np.array_equal(planes.colors > planes.colors.max() // 2, planes.alpha > planes.alpha.max() // 2)),
    )


def _levels(plane: Plane) -> Levels:
    """Return the values that occur and how often; many values of 16 bits are told by their upper 8."""
    num_values = 256 if plane.dtype == np.uint8 else 65536
    counts = cv2.calcHist([plane], [0], None, [num_values], [0, num_values]).ravel().astype(np.int64)
    values = np.flatnonzero(counts)
    if len(values) > _MAX_LEVELS:
        coarse = np.where(values > 0, np.maximum(values & ~0xFF, 1), 0)
        counts = np.bincount(coarse, weights=counts[values]).astype(np.int64)
        values = np.flatnonzero(counts)
    return tuple(zip(values.tolist(), counts[values].tolist(), strict=True))


def pooled(parts: Sequence[Levels]) -> Mapping[int, int]:
    """Return value -> number of pixels over several files."""
    total: Counter[int] = Counter()
    for part in parts:
        for value, number in part:
            total[value] += number
    return total
