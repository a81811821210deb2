"""Finds out how a competition's files are read: once over its training files, before anything is trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from kaggle_ray.cache.folder import written_cache
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.reading import ImageReading, MaskReading, Reading
from kaggle_ray.data.samples import Samples
from kaggle_ray.errors import DataError
from kaggle_ray.images.facts import ImageFacts, image_facts, mask_facts
from kaggle_ray.images.mask_reading import decide_masks

_DEEPEST = 65535
_FAINT = 8
"""Brightest value over that of most images from which it is pointed out that these are nearly black."""


def with_reading(competition: Competition, samples: Samples, cache_dir: Path) -> Competition:
    """Return the competition with its ``reading``: what is not declared of it is found out from the training files.

    It is a function of the files' contents. Files that do not decode have no say, and are named by who decodes them.

    Raises:
        DataError: it cannot be told how a file is meant, or test images have other bits than those to train on.
    """
    declared = competition.reading or Reading()
    images, masks, remarks = declared.images, declared.masks, list(declared.remarks)
    if images is not None and masks is not None:
        return competition
    with written_cache(cache_dir):
        if images is None:
            train, test = (
                image_facts(files, channels=competition.channels, cache_dir=cache_dir)
                for files in (samples.train_files, samples.test_files)
            )
            images = _decide_images(train, test, remarks)
        if masks is None and samples.train_masks is not None and len(competition.heads[0].classes) == 1:
            masks, of_masks = decide_masks(mask_facts(samples.train_masks, cache_dir=cache_dir))
            remarks += of_masks
    reading = Reading(images=images, masks=masks or MaskReading(), remarks=tuple(remarks))
    return replace(competition, reading=reading)


def reading_of(competition: Competition, samples: Samples, cache_dir: Path) -> Reading:
    """Return how the competition's files are read, found out now where that was not done yet."""
    reading = with_reading(competition, samples, cache_dir).reading
    assert reading is not None, "it was just found out"
    return reading


def _decide_images(
    train: Mapping[Path, ImageFacts], test: Mapping[Path, ImageFacts], remarks: list[str]
) -> ImageReading:
    """Return how images are read, which most of those to train on tell."""
    bits = _most_bits(train)
    if bits is None:
        return ImageReading()
    of_test = _most_bits(test)
    if of_test not in (bits, None):
        raise DataError(
            f"the training images have {bits} bits per channel, such as {_first(train, bits)}, and those to predict "
            f"{of_test}, such as {_first(test, of_test)}: what is bright in the one is not in the other. Convert one "
            f"of them."
        )
    if bits == 8:
        return ImageReading(bits=8)
    deep = {path: facts for path, facts in train.items() if facts.bits == 16}
    black, white = _range_of(deep)
    if (black, white) != (0, _DEEPEST):
        remarks.append(
            f"the 16-bit images to train on use the values {black} to {white} of 65535: they are read as black and "
            f"white"
        )
    nearly = sorted(facts.nearly_highest for facts in deep.values())[len(deep) // 2]
    if (nearly - black) * _FAINT < white - black:
        brightest = max(deep, key=lambda path: deep[path].highest)
        remarks.append(
            f"most 16-bit images are nearly black: all but a thousandth of their values are below {nearly + 1}, but "
            f"{brightest.name} has {deep[brightest].highest}, so that {white} is read as white. Should that be an "
            f"error of the file, declare the competition's reading=Reading(images=ImageReading(bits=16, white=...))"
        )
    outside = [
        path for path, facts in test.items() if facts.bits == 16 and (facts.lowest < black or facts.highest > white)
    ]
    if outside:
        remarks.append(
            f"{len(outside)} images to predict have values outside of {black} to {white}, the range of those to train "
            f"on, such as {outside[0].name}: they are cut there"
        )
    return ImageReading(bits=16, black=black, white=white)


def _range_of(facts: Mapping[Path, ImageFacts]) -> tuple[int, int]:
    """Return the values that become 0 and 65535: these themselves, unless less than half of what is between is used.

    Otherwise white is the highest value of as many bits as are used; where all values are far from 0, these are spread.
    """
    lowest, highest = min(each.lowest for each in facts.values()), max(each.highest for each in facts.values())
    if not lowest < highest:
        return 0, _DEEPEST
    if lowest > highest // 2:
        return lowest, highest
    return 0, _DEEPEST if highest > _DEEPEST // 2 else (1 << highest.bit_length()) - 1


def _most_bits(facts: Mapping[Path, ImageFacts]) -> int | None:
    """Return the bits per channel of most files, None where there are none that decode."""
    counts = Counter(each.bits for each in facts.values())
    return max(counts, key=lambda bits: (counts[bits], bits)) if counts else None


def _first(facts: Mapping[Path, ImageFacts], bits: int | None) -> str:
    return next(str(path) for path, each in facts.items() if each.bits == bits)
