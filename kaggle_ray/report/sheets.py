"""Contact sheets: pictures of a competition's samples side by side, with their labels and masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from kaggle_ray.data.competition import Competition
from kaggle_ray.data.head import place_heads, without_shares
from kaggle_ray.data.reading import Reading
from kaggle_ray.data.samples import Samples, views_of
from kaggle_ray.data.user_files import read_content
from kaggle_ray.errors import DataError
from kaggle_ray.images.datasets import mask_kind
from kaggle_ray.images.decode import PixelKind, Pixels, decode_image
from kaggle_ray.images.file_pixels import stated_sides
from kaggle_ray.images.readers import NamedReader, reader_of

THUMB = 160
"""Height in pixels of a picture on a sheet."""
_NUM_VARIANTS = 6
"""Pictures of a sample beside each other: the image itself, and what a recipe makes of it."""
_GAP, _MASK_COLOR = 4, (255, 60, 60)


def sample_sheet(competition: Competition, samples: Samples, rows: Sequence[int]) -> Pixels:
    """Return the sheet of ``rows``, each with its label, and its mask outlined."""
    cells = []
    for row in rows:
        image = thumb(views_of(samples.train_paths[row])[0], competition)
        if samples.train_masks is not None:
            image = outlined(image, mask_of(samples.train_masks[row], competition, image.shape))
        cells.append(captioned(image, label_of(competition, samples, row)))
    return grid(cells, num_columns=6)


def variant_sheet(competition: Competition, samples: Samples, rows: Sequence[int], recipe: str) -> Pixels:
    """Return the sheet of ``rows``: each image, then what ``recipe`` makes of it in several epochs."""
    from kaggle_ray.images.augment import augment_batch, id_hashes, sample_keys  # torch, which a driver does without

    cells = []
    for row in rows:
        image = thumb(views_of(samples.train_paths[row])[0], competition)
        mask = None if samples.train_masks is None else mask_of(samples.train_masks[row], competition, image.shape)
        cells.append(image if mask is None else outlined(image, mask))
        for epoch in range(1, _NUM_VARIANTS):
            keys = sample_keys(0, 0, epoch, id_hashes([str(samples.train_ids[row])]))
            masks = None if mask is None else mask[np.newaxis, ..., np.newaxis]
            moved, moved_masks = augment_batch(image[np.newaxis], masks, keys, recipe, *image.shape[:2])
            cells.append(moved[0] if moved_masks is None else outlined(moved[0], moved_masks[0, ..., 0]))
    return grid(cells, num_columns=_NUM_VARIANTS)


def pairs_sheet(competition: Competition, samples: Samples, pairs: Sequence[tuple[str, str]]) -> Pixels:
    """Return the sheet of pairs of samples, each with its id, two pairs in a row."""
    paths = dict(zip(samples.train_ids.tolist(), samples.train_paths, strict=True))
    paths |= dict(zip(samples.test_ids.tolist(), samples.test_paths, strict=True))
    cells = [captioned(thumb(views_of(paths[name])[0], competition), name) for pair in pairs for name in pair]
    return grid(cells, num_columns=4)


def decoded_or_none(
    path: Path, height: int, width: int, competition: Competition, kind: PixelKind = "image"
) -> Pixels | None:
    """Return the pixels of an image or mask, None where the file does not decode.

    Of a file that a reader reads it is the image in the middle, its numbers as they are.
    """
    reading, reader = competition.reading or Reading(), reader_of(competition) if kind == "image" else None
    try:
        if reader is not None:
            images = reader.pixels(path, height, width, competition.channels)
            middle: Pixels = images[len(images) // 2]
            return middle
        return decode_image(
            path, height, width, kind=kind, channels=competition.channels,
            image_reading=reading.images, mask_reading=reading.masks,
        )  # fmt: skip
    except DataError:  # listed under "Files that cannot be read"
        return None


def label_of(competition: Competition, samples: Samples, row: int) -> str:
    """Return what is true of a training row, in words: classes, labels, numbers."""
    target = without_shares(competition.heads, samples.target[row : row + 1]).reshape(-1)
    words: list[str] = []
    for place in place_heads([replace(head, soft=False) for head in competition.heads]):
        values = target[place.targets]
        if place.head.task in ("binary", "multiclass"):
            words.append(place.head.classes[int(values[0])])
        elif place.head.task == "multilabel":
            words += [name for name, is_there in zip(place.head.classes, values, strict=True) if is_there]
        else:
            words.append(f"{values[0]:.3g}")
    return " ".join(words)


def thumb(path: Path, competition: Competition) -> Pixels:
    """Return (THUMB, W, 3) uint8 in the image's own aspect; grey where it cannot be read.

    Of a file that a reader reads it is the image in the middle, from its lowest value to its highest.
    """
    if (reader := reader_of(competition)) is not None:
        return _shown(reader, path, competition.channels)
    try:
        height, width = stated_sides(path, read_content(path))
    except DataError:
        height = width = 0
    pixels = decoded_or_none(path, THUMB, max(1, round(THUMB * min(width / max(1, height), 3))), competition)
    if pixels is None:
        return np.full((THUMB, THUMB, 3), 128, dtype=np.uint8)
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    return np.ascontiguousarray(pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., :1].repeat(3, axis=2))


def _shown(reader: NamedReader, path: Path, channels: int) -> Pixels:
    try:
        height, width, _ = reader.sides(path)
        images = reader.pixels(path, THUMB, max(1, round(THUMB * min(width / height, 3))), channels)
    except DataError:
        return np.full((THUMB, THUMB, 3), 128, dtype=np.uint8)
    image = images[len(images) // 2].astype(np.float32)
    image = image[..., :3] if channels == 3 else image[..., channels // 2, np.newaxis].repeat(3, axis=2)
    levels = (image - image.min()) * (255 / max(float(np.ptp(image)), 1e-12))
    return np.ascontiguousarray(np.rint(levels).astype(np.uint8))


def mask_of(path: Path, competition: Competition, shape: tuple[int, ...]) -> Pixels:
    """Return (H, W) a mask at the size of an image of ``shape``; empty where it cannot be read."""
    mask = decoded_or_none(path, shape[0], shape[1], competition, mask_kind(competition))
    return np.zeros(shape[:2], dtype=np.uint8) if mask is None else mask[..., 0]


def outlined(image: Pixels, mask: Pixels, color: tuple[int, int, int] = _MASK_COLOR) -> Pixels:
    """Return the image with the mask's outline, and its area tinted."""
    inside = (mask > 127 if mask.max() > 127 else mask > 0).astype(np.uint8)
    tinted = image.copy()
    tinted[inside > 0] = (0.7 * image[inside > 0] + 0.3 * np.array(color)).astype(np.uint8)
    outlines, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(tinted, outlines, -1, color, 1)
    return tinted


def captioned(image: Pixels, text: str) -> Pixels:
    """Return the image with a line of text beneath it, as much of it as there is room for."""
    strip = np.full((18, image.shape[1], 3), 250, dtype=np.uint8)
    letters = max(1, image.shape[1] // 7)
    cv2.putText(strip, text[:letters], (2, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (20, 20, 20), 1, cv2.LINE_AA)
    return np.concatenate([image, strip])


def grid(cells: Sequence[Pixels], *, num_columns: int) -> Pixels:
    """Return the cells side by side in rows, each in the middle of a field as large as the largest."""
    height, width = (max(cell.shape[axis] for cell in cells) + _GAP for axis in (0, 1))
    num_rows = -(-len(cells) // num_columns)
    sheet = np.full((num_rows * height, num_columns * width, 3), 250, dtype=np.uint8)
    for number, cell in enumerate(cells):
        row, column = divmod(number, num_columns)
        left = column * width + (width - cell.shape[1]) // 2
        sheet[row * height : row * height + cell.shape[0], left : left + cell.shape[1]] = cell
    return sheet
