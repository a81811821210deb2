"""What a frozen backbone makes of images: computed once for each set of images and view, and kept as pixels are.

A view is a size, and what test-time augmentation does beside it. Processes, folds, epochs and experiments that only
differ in the head share the entry: its name is a digest over the images, the view, the backbone's weights, and how it
computes.

Shape legend: N images, E features.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import numpy as np
import torch

from kaggle_ray.cache.budget import reserve
from kaggle_ray.cache.entries import Description, EntryUse
from kaggle_ray.cache.folder import written_cache
from kaggle_ray.cache.seal import SEAL_FILE, is_intact, seal_of, write_seal
from kaggle_ray.config.predict import View
from kaggle_ray.config.settings import Settings
from kaggle_ray.errors import NoRoomError
from kaggle_ray.images.augment import resize_pixels, to_float
from kaggle_ray.images.cache import Images
from kaggle_ray.images.joined import ImageRows
from kaggle_ray.images.views import viewed
from kaggle_ray.models import Model
from kaggle_ray.train.heartbeat import with_heartbeats
from kaggle_ray.train.process import autocast
from kaggle_ray.types import FloatArray

logger = logging.getLogger(__name__)

_FORMAT = 1
_FEATURES_FILE = "features.npy"
_NUM_AT_ONCE = 32
"""Images of a forward pass: always the same, as it may change a last bit."""


class FrozenFeatures:
    """The features that a model's head gets of images, while its backbone stands still."""

    def __init__(self, model: Model, settings: Settings, cache_dir: Path) -> None:
        """Nothing is computed before it is asked for; by then the model has its weights."""
        self._model = model
        self._settings = settings
        self._cache_dir = cache_dir
        self._opened: dict[tuple[int, tuple[int, int], View], tuple[ImageRows, FloatArray]] = {}

    def of(self, images: ImageRows, sides: tuple[int, int], view: View | None = None) -> FloatArray:
        """Return (N, E) float32 the features of all images at ``sides``, height and width, as ``view`` sees them.

        Without a view they are as they lie.
        """
        view = view or View(height=sides[0])
        asked = (id(images), sides, view)
        if asked not in self._opened:  # with the images, so that no others get their id
            self._opened[asked] = (images, self._open(images, sides, view))
        return self._opened[asked][1]

    def _open(self, images: ImageRows, sides: tuple[int, int], view: View) -> FloatArray:
        described = f"{_FORMAT} {_digest_of_images(images)} {sides} {view!r} {self._digest_of_backbone()}"
        key = hashlib.sha256(described.encode()).hexdigest()[:16]
        with written_cache(self._cache_dir):
            use = EntryUse(self._cache_dir, "features", key)
            entry = use.folder / _FEATURES_FILE
            with use.filling():
                if not is_intact(entry):
                    features_NE = self._computed(images, sides, view)
                    try:
                        reserve(use, _describe(images, sides, features_NE))
                    except NoRoomError as error:
                        logger.warning("%s Until then features are computed anew by each process.", error)
                        return features_NE
                    building = entry.with_name(f"building-{entry.name}")
                    np.save(building, features_NE)
                    building.rename(entry)
                    write_seal(entry.with_name(SEAL_FILE), seal_of(entry))
                use.touch()
        kept_NE: FloatArray = np.load(entry, mmap_mode="r", allow_pickle=False)
        return kept_NE

    def _computed(self, images: ImageRows, sides: tuple[int, int], view: View) -> FloatArray:
        self._model.backbone.eval()
        device, num_images = torch.device(self._settings.device), images.shape[0]
        blocks: list[FloatArray] = []
        for start in with_heartbeats(range(0, num_images, _NUM_AT_ONCE)):
            rows = np.arange(start, min(start + _NUM_AT_ONCE, num_images))
            with torch.inference_mode(), autocast(self._settings):
                pixels = torch.from_numpy(resize_pixels(images.read(rows), *sides))
                images_NCHW = to_float(pixels.to(device))
                features_NE = self._model.features(viewed(images_NCHW, view))
            blocks.append(features_NE.float().cpu().numpy())
        return np.concatenate(blocks)

    def _digest_of_backbone(self) -> str:
        """Return a digest of all that features are a function of beside the pixels."""
        settings, backbone = self._settings, self._model.backbone
        how = f"{settings.device} {settings.dtype} {settings.threads_per_trial} {torch.__version__} {backbone}"
        digest = hashlib.sha256(how.encode())
        for tensor in (self._model.mean, self._model.std, *backbone.state_dict().values()):
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


def _describe(images: ImageRows, sides: tuple[int, int], features_NE: FloatArray) -> Description:
    return Description(
        source="features of a frozen backbone",
        content="features",
        num_files=images.shape[0],
        num_bytes=features_NE.nbytes,
        last_file=SEAL_FILE,
        sides=sides,
    )
