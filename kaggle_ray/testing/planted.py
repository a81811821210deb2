"""Near-duplicates planted among images: what a search has to find, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from kaggle_ray.data.ids import as_ids
from kaggle_ray.data.samples import Samples
from kaggle_ray.images.decode import Pixels
from kaggle_ray.images.near_duplicates import DuplicatePairs

LARGEST_CROP = 0.05
"""Share of each side that a near-duplicate may lack."""
QUALITIES = (40, 95)
"""Range of the quality of the JPEG that a near-duplicate is kept as."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Planted:
    """Images with near-duplicates among them."""

    samples: Samples
    """The originals and half of the cross-validated members to train on, the other half to predict."""
    source_of: dict[int, int]
    """Position of each near-duplicate among the samples -> that of its original."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """How a search fared."""

    num_near_duplicates: int
    """Near-duplicates that were planted, of images with texture."""
    recall: float
    """Share of them that was found."""
    precision: float
    """Share of the pairs found that are planted, or of one planted image's family."""
    missed: tuple[tuple[Path, Path], ...]
    wrong: tuple[tuple[Path, Path], ...]
    """The originals of the pairs that were not planted."""


def plant(originals: list[Path], folder: Path, *, num_near_duplicates: int, rng: np.random.Generator) -> Planted:
    """Write near-duplicates of some of the originals to ``folder``."""
    chosen = rng.permutation(np.resize(rng.permutation(len(originals)), num_near_duplicates))
    near_duplicates: list[Path] = []
    for number, position in enumerate(chosen.tolist()):
        near_duplicates.append(folder / f"near-duplicate{number:04d}.jpg")
        image = cv2.imread(str(originals[position]), cv2.IMREAD_COLOR)
        assert image is not None, originals[position]
        write_near_duplicate(image, near_duplicates[-1], rng)
    num_train = len(originals) + num_near_duplicates // 2
    paths = [*originals, *near_duplicates]
    ids = as_ids([f"{number:06d}" for number in range(len(paths))])
    samples = Samples(
        train_ids=ids[:num_train],
        train_paths=tuple(paths[:num_train]),
        target=np.zeros(num_train),
        test_ids=ids[num_train:],
        test_paths=tuple(paths[num_train:]),
    )
    return Planted(samples=samples, source_of={len(originals) + i: int(source) for i, source in enumerate(chosen)})


def write_near_duplicate(image: Pixels, path: Path, rng: np.random.Generator) -> None:
    """Write ``image`` cropped by up to 5% of each side, resized 0.5 to 2 times, as a JPEG of quality 40 to 95."""
    height, width = image.shape[:2]
    left, right, top, bottom = rng.uniform(0, LARGEST_CROP, 4)
    image = image[int(top * height) : height - int(bottom * height), int(left * width) : width - int(right * width)]
    factor = 2 ** rng.uniform(-1, 1)
    interpolation = cv2.INTER_AREA if factor < 1 else int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC]))
    size = tuple(max(1, round(side * factor)) for side in (image.shape[1], image.shape[0]))
    image = cv2.resize(image, size, interpolation=interpolation)
    quality = int(rng.integers(QUALITIES[0], QUALITIES[1] + 1))
    cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, quality])


def judge(planted: Planted, found: DuplicatePairs) -> Found:
    """Return how many of the planted near-duplicates ``found`` has; those without texture are not missed."""
    paths = [*planted.samples.train_paths, *planted.samples.test_paths]
    source = {position: planted.source_of.get(position, position) for position in range(len(paths))}
    pairs = [(int(first), int(second)) for first, second in found.pairs]
    right = [pair for pair in pairs if source[pair[0]] == source[pair[1]]]
    wrong = sorted({tuple(sorted((source[a], source[b]))) for a, b in pairs if source[a] != source[b]})
    comparable = set(found.compared.tolist())
    near_duplicates = {duplicate: of for duplicate, of in planted.source_of.items() if {duplicate, of} <= comparable}
    missed = sorted({(of, duplicate) for duplicate, of in near_duplicates.items()} - set(pairs))
    named = [tuple((paths[a], paths[b]) for a, b in some) for some in (missed, wrong)]
    return Found(
        num_near_duplicates=len(near_duplicates),
        recall=1 - len(missed) / max(1, len(near_duplicates)),
        precision=len(right) / max(1, len(pairs)),
        missed=named[0],  # type: ignore[arg-type]
        wrong=named[1],  # type: ignore[arg-type]
    )


def made_up_photograph(rng: np.random.Generator, side: int = 128) -> Pixels:
    """Return (side, side, 3) noise whose strength falls with its frequency, as a photograph's does."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.rfftfreq(side), indexing="ij"))
    spectrum = np.fft.rfft2(rng.normal(size=(side, side))) / np.maximum(frequency, 1 / side)
    grey = np.fft.irfft2(spectrum, s=(side, side))
    grey = 128 + 50 * (grey - grey.mean()) / grey.std()
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[:, :, np.newaxis], 3, axis=2)
