"""Do an image, its mask and the declared size agree: looked at for every row, before anything is trained.

Sides are height and width in pixels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kaggle_ray.cache.folder import written_cache
from kaggle_ray.counted import counted
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.reading import ImageReading
from kaggle_ray.data.samples import Samples, views_of
from kaggle_ray.errors import DataError
from kaggle_ray.images.facts import ImageFacts, MaskFacts, image_facts
from kaggle_ray.images.readers import reader_of

Sides = tuple[int, int]

_OWN = "Where each image has a size of its own, leave full_height and full_width out of the competition's MaskSize"


@dataclass(frozen=True, slots=True)
class _Row:
    """An image and its mask."""

    path: Path
    image: ImageFacts
    mask: Sides

    @property
    def fits_as_shown(self) -> bool:
        return are_of_one_shape(self.image.sides(as_stored=False), self.mask)

    @property
    def fits_as_stored(self) -> bool:
        return are_of_one_shape(self.image.sides(as_stored=True), self.mask)


def are_of_one_shape(one: Sides, other: Sides) -> bool:
    """Return whether one is the other shrunk, its sides rounded to the nearest pixel or down.

    >>> are_of_one_shape((1280, 1918), (320, 480)), are_of_one_shape((64, 96), (96, 64))
    (True, False)
    """
    small, large = sorted((one, other))
    lowest = max((side - 0.5) / of for side, of in zip(small, large, strict=True))
    highest = min((side + 1) / of for side, of in zip(small, large, strict=True))
    return lowest < highest


def photographs_lie_as_stored(
    samples: Samples,
    images: Mapping[Path, ImageFacts],
    masks: Mapping[Path, MaskFacts],
    remarks: list[str],
) -> bool:
    """Return whether the masks were drawn on photographs as they are stored, not turned as their EXIF data says.

    Raises:
        DataError: some masks fit the one and some the other.
    """
    turned = [row for row in _rows(samples, images, masks) if row.image.orientation != 1]
    shown = [row.path.name for row in turned if row.fits_as_shown and not row.fits_as_stored]
    stored = [row.path.name for row in turned if row.fits_as_stored and not row.fits_as_shown]
    if shown and stored:
        raise DataError(
            f"photographs are turned by their EXIF data, and {counted(len(shown), 'mask is', 'masks are')} of the "
            f"turned ones, such as {shown[0]}, but {len(stored)} of those that are not, such as {stored[0]}. Draw all "
            "masks alike, or "
            f"remove the EXIF data."
        )
    if stored:
        remarks.append(
            f"{counted(len(stored), 'mask is', 'masks are')} of the photographs as they are stored, not as their EXIF "
            f"data turns them, such as {stored[0]}: no photograph is turned"
        )
    elif turned and not shown:
        remarks.append(
            f"{counted(len(turned), 'photograph is', 'photographs are')} turned by their EXIF data, and the size of "
            f"no mask tells whether it is, such as {turned[0].path.name}: they are taken for masks of the turned ones"
        )
    return bool(stored)


def with_full_sizes(
    competition: Competition,
    samples: Samples,
    images: Mapping[Path, ImageFacts],
    masks: Mapping[Path, MaskFacts],
    test: Mapping[Path, ImageFacts],
    remarks: list[str],
) -> Competition:
    """Return the competition with the full sizes of its rows, where each has its own.

    Args:
        competition: of masks, with its reading.
        samples: its rows.
        images: facts of the training images.
        masks: of their masks.
        test: of the images to predict.
        remarks: to which is added what could be meant otherwise.

    Raises:
        DataError: a mask is not of the shape of its image, or a mask or test image not of the declared size.
    """
    reading = _images_of(competition)
    rescaled = []
    for row in _rows(samples, images, masks):
        sides = row.image.sides(as_stored=reading.as_stored)
        if not are_of_one_shape(sides, row.mask):
            raise DataError(
                f"{row.path}: is {_by(sides)} pixels and its mask {_by(row.mask)}: which pixel is which? Save the mask "
                f"at the size of the image."
            )
        rescaled += [row.path.name] if sides != row.mask else []
    if rescaled:
        remarks.append(
            f"{counted(len(rescaled), 'mask is', 'masks are')} larger or smaller than the image, such as that of "
            f"{rescaled[0]}"
        )
    scored = {
        sample_id: (path, (masks[path].height, masks[path].width))
        for sample_id, path, is_train_only in zip(
            samples.train_ids.tolist(), samples.train_masks or (), samples.is_train_only.tolist(), strict=True
        )
        if path in masks and not is_train_only
    }
    return _sized(competition, scored, _sides_of_test(samples, test, reading), remarks)


def with_test_sizes(competition: Competition, samples: Samples, cache_dir: Path) -> Competition:
    """Return the competition with the full sizes of new rows to predict; the training rows are not looked at.

    Raises:
        DataError: a test image is not of the declared size.
    """
    if competition.mask is None:
        return competition
    with written_cache(cache_dir):
        reader = reader_of(competition)
        test = image_facts(samples.test_files, channels=competition.channels, reader=reader, cache_dir=cache_dir)
    return _sized(competition, {}, _sides_of_test(samples, test, _images_of(competition)), [])


def _images_of(competition: Competition) -> ImageReading:
    assert competition.reading is not None, "it is found out first"
    return competition.reading.images or ImageReading()


def _rows(samples: Samples, images: Mapping[Path, ImageFacts], masks: Mapping[Path, MaskFacts]) -> Iterable[_Row]:
    """Yield the training rows of which image and mask can be measured."""
    if samples.train_masks is None:
        return
    for paths, mask in zip(samples.train_paths, samples.train_masks, strict=True):
        image = views_of(paths)[0]
        if image in images and mask in masks:
            yield _Row(image, images[image], (masks[mask].height, masks[mask].width))


def _sides_of_test(
    samples: Samples, test: Mapping[Path, ImageFacts], reading: ImageReading
) -> dict[str, tuple[Path, Sides]]:
    """Return test id -> image and its sides, of the images that can be measured."""
    found: dict[str, tuple[Path, Sides]] = {}
    for sample_id, paths in zip(samples.test_ids.tolist(), samples.test_paths, strict=True):
        if (image := views_of(paths)[0]) in test:
            found[sample_id] = image, test[image].sides(as_stored=reading.as_stored)
    return found


def _sized(
    competition: Competition,
    train: Mapping[str, tuple[Path, Sides]],
    test: Mapping[str, tuple[Path, Sides]],
    remarks: list[str],
) -> Competition:
    """Return the competition with the sizes of its rows, which were held to the declared one where there is one."""
    size = competition.mask
    assert size is not None, "a segmentation competition has one"
    if size.declared is None:
        return replace(competition, mask=replace(size, own_sizes=_own_sizes(train, test)))
    for sides_of in (train, test):
        _check_declared(size.declared, list(sides_of.values()), are_to_predict=sides_of is test)
    if others := [path.name for path, sides in (*train.values(), *test.values()) if sides != size.declared]:
        remarks.append(
            f"{counted(len(others), 'mask or image to predict is', 'masks and images to predict are')} larger or "
            f"smaller than the declared {_by(size.declared)} pixels, such as {others[0]}: what is "
            "submitted is of the declared size"
        )
    return competition


def _own_sizes(train: Mapping[str, tuple[Path, Sides]], test: Mapping[str, tuple[Path, Sides]]) -> dict[str, Sides]:
    """Return sample id -> full sides."""
    for sample_id in train.keys() & test.keys():
        if train[sample_id][1] != test[sample_id][1]:
            raise DataError(
                f"sample {sample_id!r} is to train on and to predict, with images of other sizes. Give the training "
                f"rows other ids."
            )
    return {sample_id: sides for sample_id, (_, sides) in {**train, **test}.items()}


def _check_declared(declared: Sides, found: Sequence[tuple[Path, Sides]], *, are_to_predict: bool) -> None:
    """Raise DataError where files are not of the declared shape, or images to predict of several sizes."""
    counts = Counter(sides for _, sides in found)
    for path, sides in found:
        is_one_of_several = are_to_predict and len(counts) > 1 and sides != declared
        if is_one_of_several or not are_of_one_shape(sides, declared):
            raise DataError(
                f"{path}: is {_by(sides)} pixels, and the competition's MaskSize declares {_by(declared)}, at which "
                f"masks are submitted. {_OWN}: masks are then submitted at these."
            )


def _by(sides: Sides) -> str:
    return f"{sides[0]} x {sides[1]}"
