from __future__ import annotations

import subprocess
import sys
import zlib

import numpy as np
import pytest
import torch

from kaggle_ray.errors import ConfigError
from kaggle_ray.images.augment import (
    NUM_DRAWS,
    RECIPES,
    augment_batch,
    check_recipe,
    draws_of,
    id_hashes,
    mirrors,
    recipe_names,
    recolor,
    resize_masks,
    resize_pixels,
    sample_keys,
    to_float,
)
from kaggle_ray.images.color import normalize
from kaggle_ray.images.decode import Pixels
from kaggle_ray.images.geometry import crop_batch
from kaggle_ray.images.randomness import Keys
from kaggle_ray.types import BoolArray, FloatArray

SIZE = 32
IDS = ["cat.1", "cat.2", "dog.1", "dog.2", "7", "öl"]
NAMES = recipe_names()
RANDOM_NAMES = [name for name in NAMES if name not in ("none", "flip")]


@pytest.fixture
def pixels() -> Pixels:
    ramp = np.linspace(0, 255, SIZE * SIZE * 3).reshape(SIZE, SIZE, 3)
    return np.stack([np.roll(ramp, 7 * row, axis=1) for row in range(6)]).astype(np.uint8)


def keys_of(epoch: int = 1) -> Keys:
    return sample_keys(0, 0, epoch, id_hashes(IDS))


def augmented(
    pixels: Pixels, rows: list[int], name: str, epoch: int = 1, sides: tuple[int, int] = (24, 24)
) -> FloatArray:
    """Return (N, H, W, C) floats, coloured too."""
    keys = keys_of(epoch)[rows]
    moved, _ = augment_batch(pixels[rows], None, keys, name, *sides)
    images = recolor(to_float(torch.from_numpy(moved)), torch.from_numpy(draws_of(keys)), name)
    return np.asarray(images.permute(0, 2, 3, 1).numpy())


def test_no_augmentation_is_the_image_itself(pixels: Pixels) -> None:
    images = augmented(pixels, [4, 1], "none", sides=(SIZE, SIZE))
    assert np.array_equal(images, (pixels[[4, 1]] / np.float32(255)).astype(np.float32))


def test_a_flip_is_the_image_or_its_mirror_image(pixels: Pixels) -> None:
    keys = keys_of()
    images, masks = augment_batch(pixels, pixels[..., :1], keys, "flip", 16, 16)
    shrunk = resize_pixels(pixels, 16, 16)
    mirrored = mirrors(draws_of(keys))
    assert 0 < mirrored.sum() < 6
    assert np.array_equal(images[~mirrored], shrunk[~mirrored])
    assert np.array_equal(images[mirrored], shrunk[mirrored, :, ::-1])
    assert masks is not None
    assert np.array_equal(masks[..., 0], images[..., 0])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sides", [(20, 20), (20, 28), (40, 24)])
def test_every_recipe_gives_the_size_asked_for(pixels: Pixels, name: str, sides: tuple[int, int]) -> None:
    assert augmented(pixels, [0, 1, 2], name, sides=sides).shape == (3, *sides, 3)


@pytest.mark.parametrize("name", RANDOM_NAMES)
def test_a_sample_is_augmented_the_same_in_whatever_batch_it_comes(pixels: Pixels, name: str) -> None:
    together = augmented(pixels, [0, 1, 2, 3, 4, 5], name)
    for rows in ([5, 3, 1, 0, 2, 4], [4, 2], [1]):
        assert np.array_equal(augmented(pixels, rows, name), together[rows])


@pytest.mark.parametrize("num_channels", [1, 3, 6])
def test_colours_do_not_depend_on_the_size_of_the_batch(num_channels: int) -> None:
    images = torch.from_numpy(np.random.default_rng(0).random((8, 112, 96, num_channels), dtype=np.float32))
    draws = torch.from_numpy(draws_of(np.arange(8, dtype=np.uint64)))
    together = recolor(images.permute(0, 3, 1, 2), draws, "heavy")
    for rows in ([3], [7, 0, 2]):
        assert torch.equal(recolor(images[rows].permute(0, 3, 1, 2), draws[rows], "heavy"), together[rows])


@pytest.mark.parametrize("name", RANDOM_NAMES)
def test_another_epoch_gives_other_images(pixels: Pixels, name: str) -> None:
    first, second = (augmented(pixels, [0, 1, 2], name, epoch) for epoch in (1, 2))
    assert not any(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


def test_another_process_gives_the_same_images(pixels: Pixels) -> None:
    program = (
        "import sys, zlib, numpy as np\n"
        "from kaggle_ray.images.augment import augment_batch, id_hashes, sample_keys\n"
        f"keys = sample_keys(0, 0, 1, id_hashes({IDS!r}))\n"
        f"pixels = np.frombuffer(sys.stdin.buffer.read(), np.uint8).reshape({pixels.shape})\n"
        f"print([zlib.crc32(augment_batch(pixels, None, keys, name, 24, 24)[0].tobytes()) for name in {NAMES!r}])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], input=pixels.tobytes(), capture_output=True, timeout=120)
    here = [zlib.crc32(augment_batch(pixels, None, keys_of(), name, 24, 24)[0].tobytes()) for name in NAMES]
    assert done.stdout.decode().strip() == str(here), done.stderr.decode()


def test_keys_depend_on_everything_they_are_made_of() -> None:
    hashes = id_hashes(IDS)
    keys = [sample_keys(*numbers, hashes) for numbers in ((0, 0, 1), (1, 0, 1), (0, 1, 1), (0, 0, 2), (0, 1, 0))]
    assert len(set(np.concatenate(keys).tolist())) == 5 * len(IDS)


def test_keys_are_the_same_for_ever() -> None:
    assert keys_of()[0] == 1122283686473379710
    assert draws_of(keys_of()[:1], 2).tolist() == [[0.04874837398529053, 0.8785553574562073]]


def test_draws_are_uniform_and_independent() -> None:
    draws = draws_of(sample_keys(0, 0, 1, id_hashes(map(str, range(20_000)))))
    assert draws.min() >= 0
    assert draws.max() < 1
    counts = np.stack([np.histogram(column, 20, (0, 1))[0] for column in draws.T])
    assert np.abs(counts - 1000).max() < 5 * 1000**0.5
    assert np.abs(np.corrcoef(draws.T) - np.eye(draws.shape[1])).max() < 5 / 20_000**0.5


def test_a_misspelt_recipe_is_named_with_the_nearest_one(pixels: Pixels) -> None:
    with pytest.raises(ConfigError, match=r"'dihedrl'.*dihedral"):
        check_recipe("dihedrl")
    with pytest.raises(ConfigError, match="heavyy"):
        augment_batch(pixels, None, keys_of(), "heavyy", 24, 24)


@pytest.mark.parametrize("name", list(RECIPES))
def test_16_bit_images_of_many_channels_pass_our_own_recipes(name: str) -> None:
    deep = np.random.default_rng(0).integers(0, 65535, (6, SIZE, SIZE, 7), dtype=np.uint16)
    moved, _ = augment_batch(deep, None, keys_of(), name, 24, 20)  # type: ignore[arg-type]
    assert moved.dtype == np.uint16
    assert moved.shape == (6, 24, 20, 7)
    images = recolor(to_float(torch.from_numpy(moved)), torch.from_numpy(draws_of(keys_of())), name)
    assert 0.4 < images.mean() < 0.6


@pytest.mark.parametrize("num_channels", [1, 3, 5])
@pytest.mark.parametrize("name", NAMES)
def test_channels_are_treated_alike(name: str, num_channels: int) -> None:
    grey = np.random.default_rng(0).integers(0, 255, (6, SIZE, SIZE, 1), dtype=np.uint8)
    moved, _ = augment_batch(np.repeat(grey, num_channels, axis=3), None, keys_of(), name, 24, 24)
    assert moved.shape == (6, 24, 24, num_channels)
    assert (moved == moved[..., :1]).all()


def bright_discs() -> tuple[Pixels, Pixels]:
    """Return images with a bright ellipse and the masks of it."""
    rows, columns = np.indices((160, 160)) / 160
    centres = np.random.default_rng(0).uniform(0.3, 0.7, (6, 2))
    discs = np.stack([(rows - y) ** 2 / 2 + (columns - x) ** 2 < 0.03 for y, x in centres])
    images = np.where(discs[..., None], 220, 30).repeat(3, axis=3).astype(np.uint8)
    return images, (discs[..., None] * 255).astype(np.uint8)


def overlap(images: Pixels, masks: BoolArray) -> float:
    """Return the least intersection over union of the images' bright areas and the masks."""
    darkest, brightest = (reduce(images, axis=(1, 2, 3), keepdims=True) / 2 for reduce in (np.min, np.max))
    bright = images[..., :1] > darkest + brightest
    intersection, union = (both.sum(axis=(1, 2, 3)) for both in (bright & masks, bright | masks))
    return float((intersection / union).min())


@pytest.mark.parametrize("sides", [(96, 96), (72, 120), (192, 192)])
@pytest.mark.parametrize("name", NAMES)
def test_masks_are_moved_with_their_images(name: str, sides: tuple[int, int]) -> None:
    images, masks = bright_discs()
    for epoch in range(1, 4):
        moved, moved_masks = augment_batch(images, masks, keys_of(epoch), name, *sides)
        assert moved_masks is not None
        assert moved_masks.shape == (6, *sides, 1)
        assert overlap(moved, moved_masks > 127) > 0.95


@pytest.mark.parametrize("name", NAMES)
def test_class_numbers_are_never_mixed(name: str) -> None:
    images, masks = bright_discs()
    labels = np.where(masks > 0, 7, 2).astype(np.uint8)
    moved, moved_labels = augment_batch(images, labels, keys_of(), name, 120, 120, mask_kind="labels")
    assert moved_labels is not None
    assert set(np.unique(moved_labels)) == {2, 7}
    assert overlap(moved, moved_labels == 7) > 0.95


def test_masks_do_not_change_what_happens_to_images() -> None:
    images, masks = bright_discs()
    for name in NAMES:
        alone, _ = augment_batch(images, None, keys_of(), name, 64, 64)
        together, _ = augment_batch(images, masks, keys_of(), name, 64, 64)
        assert np.array_equal(alone, together), name


def test_shrinking_averages_areas() -> None:
    checkers = np.indices((8, 8)).sum(axis=0) % 2 * 200
    pixels = np.repeat(checkers[None, :, :, None], 6, axis=3).astype(np.uint8)
    assert (resize_pixels(pixels, 4, 4) == 100).all()
    assert resize_pixels(pixels, 8, 8) is pixels
    assert set(np.unique(resize_masks(pixels, 5, 4, nearest=True))) <= {0, 200}


def test_a_random_crop_that_shrinks_much_does_not_alias() -> None:
    checkers = (np.indices((256, 256)).sum(axis=0) % 2 * 200)[None, :, :, None].astype(np.uint8)
    for name in ("light", "shift"):
        moved, _ = augment_batch(checkers, None, keys_of()[:1], name, 60, 60)
        assert np.abs(moved.astype(np.int64) - 100).max() <= 10


def draws_in_the_middle(num: int) -> FloatArray:
    """Return draws with which nothing is jittered or erased, and crops lie in the middle at aspect 1."""
    draws = np.full((num, NUM_DRAWS), 0.5, dtype=np.float32)
    draws[:, 8] = 0.99
    return draws


def test_a_whole_crop_is_the_image_or_its_mirror(pixels: Pixels) -> None:
    draws = draws_in_the_middle(2)
    draws[:, 0] = 1.0  # the whole area
    draws[:, 4] = [0.0, 0.9]  # mirrored, and not
    mirrored, straight = crop_batch(pixels[[1, 1]], draws, RECIPES["light"].geometry, SIZE, SIZE)
    assert np.array_equal(straight, pixels[1])
    assert np.array_equal(mirrored, pixels[1][:, ::-1])


def test_erasing_fills_five_to_twenty_percent_of_half_of_the_images() -> None:
    draws = draws_of(np.arange(400, dtype=np.uint64))
    draws[:, 5:8] = 0.5  # no colour jitter
    images = recolor(torch.ones(400, 3, 64, 80), torch.from_numpy(draws), "heavy")
    share = (images[:, 0] < 0.9).float().mean(dim=(1, 2))
    erased = share[share > 0]
    assert 0.4 < len(erased) / 400 < 0.6
    assert erased.min() > 0.04
    assert erased.max() < 0.22


def test_colours_stay_where_the_draws_are_in_the_middle(pixels: Pixels) -> None:
    images = to_float(torch.from_numpy(pixels))
    assert torch.allclose(recolor(images, torch.from_numpy(draws_in_the_middle(6)), "heavy"), images, atol=1e-6)


def test_pixels_may_be_read_only_and_apart_in_memory(pixels: Pixels) -> None:
    wide = np.zeros((6, SIZE, 2 * SIZE, 3), dtype=np.uint8)
    apart = wide[:, :, ::2]
    apart[:] = pixels
    wide.setflags(write=False)
    for name in NAMES:
        expected, _ = augment_batch(pixels, None, keys_of(), name, 24, 24)
        assert np.array_equal(augment_batch(wide[:, :, ::2], None, keys_of(), name, 24, 24)[0], expected), name


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("num_channels", [1, 3, 5])
def test_normalizing_gives_the_same_bits_in_every_layout(memory_format: torch.memory_format, num_channels: int) -> None:
    images = torch.rand(2, num_channels, 7, 9).contiguous(memory_format=memory_format)
    before = images.clone()
    mean, std = torch.rand(2, 1, num_channels, 1, 1) + 0.1
    assert torch.equal(normalize(images, mean, std), (images - mean) / std)
    assert torch.equal(images, before)
    assert normalize(images, mean, std).stride() == images.stride()
