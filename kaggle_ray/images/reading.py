"""Finds out how a competition's files are read: once over its training files, before anything is trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from kaggle_ray.cache.folder import written_cache
from kaggle_ray.counted import counted
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.reading import ImageReading, MaskReading, Reading
from kaggle_ray.data.samples import Samples
from kaggle_ray.errors import DataError
from kaggle_ray.images.facts import ImageFacts, MaskFacts, image_facts, mask_facts
from kaggle_ray.images.mask_reading import decide_masks
from kaggle_ray.images.readers import reader_of
from kaggle_ray.images.sizes import photographs_lie_as_stored, with_full_sizes

_DEEPEST = 65535
_FAINT = 8
"""Brightest value over that of most images from which it is pointed out that these are nearly black."""


def as_read(competition: Competition, samples: Samples, cache_dir: Path) -> Competition:
    """Return the competition with its ``reading`` and, where each image has its own, the full sizes of its masks.

    What is not declared of the reading is found out from the training files. It is a function of the files' contents:
    those that do not decode have no say, and are named by who decodes them.

    Raises:
        DataError: it cannot be told how a file is meant; sizes of image, mask and declaration contradict each other; or
            images to predict have other bits than those to train on.
    """
    facts = _measured(competition, samples, cache_dir)
    read = replace(competition, reading=_decide(competition, samples, facts))
    if not competition.is_segmentation:
        return read
    remarks: list[str] = []
    sized = with_full_sizes(read, samples, facts.train, facts.masks, facts.test, remarks)
    assert sized.reading is not None, "it was just found out"
    return replace(sized, reading=replace(sized.reading, remarks=(*sized.reading.remarks, *remarks)))


def reading_of(competition: Competition, samples: Samples, cache_dir: Path) -> Reading:
    """Return how the competition's files are read, found out now where that was not done yet."""
    if competition.reading is not None and competition.reading.is_whole:
        return competition.reading
    return _decide(competition, samples, _measured(competition, samples, cache_dir))


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is known of the files of a competition that can be measured."""

    train: Mapping[Path, ImageFacts]
    test: Mapping[Path, ImageFacts]
    masks: Mapping[Path, MaskFacts]


def _measured(competition: Competition, samples: Samples, cache_dir: Path) -> _Facts:
    with written_cache(cache_dir):
        reader = reader_of(competition)
        are_measured = reader is None or competition.is_segmentation  # of whose images the sides count alone
        train, test = (
            image_facts(
                files if are_measured else (), channels=competition.channels, reader=reader, cache_dir=cache_dir
            )
            for files in (samples.train_files, samples.test_files)
        )
        return _Facts(train, test, mask_facts(samples.train_masks or (), cache_dir=cache_dir))


def _decide(competition: Competition, samples: Samples, facts: _Facts) -> Reading:
    """Return how the files are read, what is declared of it as it is."""
    declared = competition.reading or Reading()
    images, masks, remarks = declared.images, declared.masks, list(declared.remarks)
    if competition.reader is not None:
        images = ImageReading()  # what its reader gives, as it is
    if images is None:
        as_stored = photographs_lie_as_stored(samples, facts.train, facts.masks, remarks)
        images = replace(_decide_images(facts.train, facts.test, remarks), as_stored=as_stored)
    for named, of_files in (("to train on", facts.train), ("to predict", facts.test)):
        remarks += not_read_whole(images, ((path.name, each) for path, each in of_files.items()), which=named)
    if masks is None:
        masks = MaskReading()
        if facts.masks and len(competition.mask_head.classes) == 1:
            masks, of_masks = decide_masks(facts.masks)
            remarks += of_masks
    return Reading(images=images, masks=masks, remarks=tuple(remarks))


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
    return ImageReading(bits=16, black=black, white=white)


def not_read_whole(
    images: ImageReading, facts: Iterable[tuple[str, ImageFacts]], *, which: str = "to predict"
) -> list[str]:
    """Return a line each on what of images does not reach a model: values that are cut, and what is left out.

    Args:
        images: how they are read.
        facts: name and facts of each.
        which: images they are, such as ``to train on``.
    """
    named_by: dict[str, list[str]] = {}
    for name, each in facts:
        if each.bits == 16 and (each.lowest < images.black or each.highest > images.white):
            what = f"values outside of {images.black} to {images.white}, the range of those to train on"
            named_by.setdefault(f"{what}, such as {{}}: they are cut there", []).append(name)
        if each.unread:
            named_by.setdefault(f"{each.unread}, such as {{}}: it is not read", []).append(name)
    return [
        f"{counted(len(names), f'image {which} has', f'images {which} have')} {text.format(names[0])}"
        for text, names in named_by.items()
    ]


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
