"""What a frozen backbone makes of images: computed once for each set of images and view, and kept as pixels are.

A view is a size, and what test-time augmentation does beside it, or one of several augmented copies of the images.
Processes, folds, epochs and experiments that only differ in the head share the entry: its name is a digest over the
images, the view, the backbone's weights, and how it computes.

Shape legend: N images, n of them, F features, H and W pixels, C channels.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kaggle_ray.cache.budget import reserve
from kaggle_ray.cache.entries import Description, EntryUse
from kaggle_ray.cache.folder import written_cache
from kaggle_ray.cache.seal import SEAL_FILE, is_intact, save_sealed
from kaggle_ray.config.images import ImageHyperparameters
from kaggle_ray.config.predict import View
from kaggle_ray.config.settings import Settings
from kaggle_ray.errors import NoRoomError
from kaggle_ray.images.augment import (
    RECIPES,
    Keys,
    augment_batch,
    draws_of,
    mirrors,
    recolor,
    resize_pixels,
    to_float,
)
from kaggle_ray.images.cache import Images
from kaggle_ray.images.decode import Pixels
from kaggle_ray.images.joined import ImageRows
from kaggle_ray.images.views import viewed
from kaggle_ray.models import Model
from kaggle_ray.train.feature_sets import copies_trained_on, views_trained_on
from kaggle_ray.train.heartbeat import with_heartbeats
from kaggle_ray.train.process import autocast
from kaggle_ray.types import FloatArray, IntArray

logger = logging.getLogger(__name__)

_FORMAT = 2
_FEATURES_FILE = "features.npy"
_NUM_AT_ONCE = 32
"""Images of a forward pass: always the same, as it may change a last bit."""


ReadImages = Callable[[IntArray], Tensor]
"""Returns (n, C, H, W) values 0..1 of rows (n,)."""


@dataclass(frozen=True, slots=True)
class EpochFeatures:
    """The features that an epoch is trained on, by the positions of the images."""

    plain: FloatArray
    """(N, F) features of the images, or of the epoch's copy of them."""
    mirrored: FloatArray | None = None
    """(N, F) features of mirror images; None where the epoch mirrors none."""

    def read(self, rows: IntArray, keys: Keys) -> FloatArray:
        """Return (n, F) the features of ``rows`` (n,), of those mirrored that ``keys`` (n,) mirror."""
        if self.mirrored is None:
            return np.asarray(self.plain[rows])
        return np.where(mirrors(draws_of(keys))[:, None], self.mirrored[rows], self.plain[rows])


class FrozenFeatures:
    """The features that a model's head gets of images, while its backbone stands still."""

    def __init__(self, model: Model, settings: Settings, cache_dir: Path) -> None:
        """Nothing is computed before it is asked for; by then the model has its weights.

        The model has ``pooled`` features.
        """
        assert model.pooled is not None, "it tells its features"
        self._model = model
        self._pooled = model.pooled
        self._settings = settings
        self._cache_dir = cache_dir
        self._opened: dict[tuple[int, tuple[int, int], str], tuple[ImageRows, FloatArray]] = {}

    def of(self, images: ImageRows, sides: tuple[int, int], view: View | None = None) -> FloatArray:
        """Return (N, F) float32 the features of all images at ``sides``, height and width, as ``view`` sees them.

        Without a view they are as they lie.
        """
        features_NF = self._of_view(images, sides, view or View(height=sides[0]))
        assert features_NF is not None, "it was waited for"
        return features_NF

    def of_epoch(
        self, images: ImageRows, sides: tuple[int, int], given: ImageHyperparameters, keys: Keys
    ) -> EpochFeatures | None:
        """Return the features of all images as an epoch augments them; None where it has images of its own.

        Args:
            images: N of them.
            sides: height and width in pixels that they are trained at.
            given: how they are varied.
            keys: (N,) what the epoch's augmentation is a function of.
        """
        views = views_trained_on(given, sides[0])
        if views is not None:
            return EpochFeatures(*(self.of(images, sides, view) for view in views))
        if not copies_trained_on(given):
            return None

        def augmented(rows: IntArray) -> Tensor:
            pixels, _ = augment_batch(images.read(rows), None, keys[rows], given.augment, *sides)
            images_NCHW = to_float(self._to_device(pixels))
            return recolor(images_NCHW, self._to_device(draws_of(keys[rows])), given.augment)

        looked_at = f"{RECIPES[given.augment]!r} {hashlib.sha256(keys.tobytes()).hexdigest()}"
        copies_NF = self._kept(images, sides, looked_at, augmented)
        assert copies_NF is not None, "it was waited for"
        return EpochFeatures(plain=copies_NF)

    def prepare(self, wanted: Iterable[tuple[ImageRows, tuple[int, int], View]]) -> None:
        """Compute what is not kept yet; several processes that want the same compute different parts of it."""
        for images, sides, view in wanted:
            self._of_view(images, sides, view, waits=False)

    def _of_view(
        self, images: ImageRows, sides: tuple[int, int], view: View, *, waits: bool = True
    ) -> FloatArray | None:
        def seen(rows: IntArray) -> Tensor:
            return viewed(to_float(self._to_device(resize_pixels(images.read(rows), *sides))), view)

        return self._kept(images, sides, repr(view), seen, waits=waits)

    def _kept(
        self, images: ImageRows, sides: tuple[int, int], looked_at: str, read: ReadImages, *, waits: bool = True
    ) -> FloatArray | None:
        """Return (N, F) the features of what ``read`` makes of the images, None where others compute them just now.

        ``looked_at`` names what it makes of them. None is returned only where the caller does not wait.
        """
        asked = (id(images), sides, looked_at)
        if asked not in self._opened:
            features_NF = self._open(images, sides, looked_at, read, waits=waits)
            if features_NF is None:
                return None
            self._opened[asked] = (images, features_NF)  # with the images, so that no others get their id
        return self._opened[asked][1]

    def _open(
        self, images: ImageRows, sides: tuple[int, int], looked_at: str, read: ReadImages, *, waits: bool
    ) -> FloatArray | None:
        described = f"{_FORMAT} {_digest_of_images(images)} {sides} {looked_at} {self._digest_of_backbone()}"
        key = hashlib.sha256(described.encode()).hexdigest()[:16]
        with written_cache(self._cache_dir):
            use = EntryUse(self._cache_dir, "features", key)
            entry = use.folder / _FEATURES_FILE
            with use.filling(waits=waits) as is_ours:
                if not is_ours:
                    use.close()
                    return None
                if not is_intact(entry):
                    features_NF = self._computed(images.shape[0], read)
                    try:
                        reserve(use, _describe(images, sides, features_NF))
                    except NoRoomError as error:
                        logger.warning("%s Until then features are computed anew by each process.", error)
                        return features_NF
                    save_sealed(features_NF, entry)
                use.touch()
        kept_NF: FloatArray = np.load(entry, mmap_mode="r", allow_pickle=False)
        return kept_NF

    def _computed(self, num_images: int, read: ReadImages) -> FloatArray:
        self._pooled.fixed.eval()
        blocks: list[FloatArray] = []
        starts = range(0, num_images, _NUM_AT_ONCE)
        for start in with_heartbeats(starts, "computing features", num_total=len(starts)):
            rows = np.arange(start, min(start + _NUM_AT_ONCE, num_images))
            with torch.inference_mode(), autocast(self._settings):
                features_NF = self._model.features(read(rows))
            blocks.append(features_NF.float().cpu().numpy())
        return np.concatenate(blocks)

    def _to_device(self, array: Pixels | FloatArray) -> Tensor:
        return torch.from_numpy(array).to(self._settings.device)

    def _digest_of_backbone(self) -> str:
        """Return a digest of all that features are a function of beside the pixels."""
        settings, fixed, pooling = self._settings, self._pooled.fixed, self._pooled.pooling.name
        computed_by = f"{settings.device} {settings.dtype} {settings.threads_per_trial} {torch.__version__}"
        digest = hashlib.sha256(f"{computed_by} {fixed} {pooling}".encode())
        for tensor in (self._model.mean, self._model.std, *fixed.state_dict().values()):
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


def _digest_of_images(images: ImageRows) -> str:
    """Return a digest of the pixels and their order: of a set in the cache by the name of its entry."""
    if isinstance(images, Images) and images.held is not None:
        order = hashlib.sha256(images.rows_of_pixels.tobytes()).hexdigest()
        return f"{images.held.folder.name} {order}"
    digest = hashlib.sha256(repr(images.shape).encode())
    for start in range(0, images.shape[0], _NUM_AT_ONCE):
        digest.update(images.read(np.arange(start, min(start + _NUM_AT_ONCE, images.shape[0]))).tobytes())
    return digest.hexdigest()


def _describe(images: ImageRows, sides: tuple[int, int], features_NF: FloatArray) -> Description:
    return Description(
        source="features of a frozen backbone",
        content="features",
        num_files=images.shape[0],
        num_bytes=features_NF.nbytes,
        last_file=SEAL_FILE,
        sides=sides,
    )
