"""Predicts rows of decoded images, in a fixed order and in fixed batches, which the ranks of a trial take in turns.

Shape suffixes: N samples, C columns of the prediction, K outputs per pixel, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from kaggle_ray.cache.folder import default_cache_dir
from kaggle_ray.config import Hyperparameters
from kaggle_ray.config.predict import View
from kaggle_ray.config.settings import Settings
from kaggle_ray.images.augment import resize_pixels, to_float
from kaggle_ray.images.tiles import predict_tiled
from kaggle_ray.images.views import viewed, viewed_back
from kaggle_ray.models import Model, Output, main_logits
from kaggle_ray.store.predictions import quantised
from kaggle_ray.train.features import FrozenFeatures
from kaggle_ray.train.inputs import Inputs
from kaggle_ray.train.losses import Outputs, PixelOutputs
from kaggle_ray.train.on_device import ModelInputs, model_inputs, to_device
from kaggle_ray.train.process import autocast
from kaggle_ray.train.ranks import ALONE, Ranks, in_turns
from kaggle_ray.types import FloatArray, IntArray, StoredValues

Forward = Callable[..., Output]
"""Computes logits of images 0..1, a table, and numbers of images where these differ, as ``Model.forward`` does."""
OfViews = Callable[[Sequence[FloatArray]], None]
"""Is told (n, C) what is predicted of each view of a batch of n rows."""


class Predictor:
    """A model with all that it takes to predict rows: the same in every epoch and for the test set."""

    def __init__(
        self,
        model: torch.nn.Module,
        outputs: Outputs | PixelOutputs,
        hyperparameters: Hyperparameters,
        settings: Settings,
        *,
        mask_size: tuple[int, int] | None,
        ranks: Ranks = ALONE,
        cache_dir: Path | None = None,
    ) -> None:
        """Predict masks at ``mask_size``, height and width in pixels; keep features in ``cache_dir``.

        None keeps them in the cache of this machine.
        """
        self.model = model
        self._network: Forward = model
        self._outputs = outputs
        self._hyperparameters = hyperparameters
        self._settings = settings
        self._mask_size = mask_size
        self._device = torch.device(settings.device)
        self._ranks = ranks
        inner = model_of(model)
        self.features = (
            FrozenFeatures(inner, settings, cache_dir or default_cache_dir())
            if hyperparameters.model.keeps_features and inner.pooled is not None
            else None
        )
        """What a frozen backbone makes of images, in whose place the head gets it; None where it is not told apart."""

    def ask(self, network: Forward) -> None:
        """Ask ``network`` in the model's place, of images themselves: features of a frozen backbone are not kept."""
        self._network, self.features = network, None

    def prepare(self, inputs: Inputs) -> None:
        """Compute the features that predictions of ``inputs`` take, where there are any, as far as others do not."""
        if self.features is not None:
            images = self._hyperparameters.images
            views = self._hyperparameters.predict.views(images)
            self.features.prepare((inputs.images, images.sides(view.height), view) for view in views)

    def outputs(self, inputs: Inputs, rows: IntArray, *, view: View) -> Iterator[tuple[IntArray, Output]]:
        """Yield batches of ``rows`` and what the model says of them: logits, of auxiliary heads as well if it has any.

        They are float32 on the device, (n, C), or (n, K, H, W) of masks.

        Args:
            inputs: of all rows.
            rows: (N,) predicted in their order.
            view: of the images, to predict; masks come back as the images lie.
        """
        self.model.eval()
        sides = self._hyperparameters.images.sides(view.height)
        uses_images = uses_images_of(self.model)
        for batch in self.batches(rows):
            with torch.inference_mode(), autocast(self._settings):
                images = self._images(inputs, batch, sides if uses_images else (1, 1), view)
                output = self._forward(model_inputs(images, inputs, batch))
            if isinstance(output, Tensor):
                yield batch, _upright(output, view)
            else:
                yield batch, (_upright(output[0], view), _upright(output[1], view))

    def values(self, inputs: Inputs, rows: IntArray) -> StoredValues:
        """Return (N, C) all that ``value_blocks`` yields, on rank 0."""
        return np.concatenate(list(self.value_blocks(inputs, rows)))

    def value_blocks(self, inputs: Inputs, rows: IntArray, *, told: OfViews | None = None) -> Iterator[StoredValues]:
        """Yield (n, C) float32 the means over the views that ``tta`` names; of masks bytes, 255 being 1.

        A block is a batch of ``rows``, in their order. With several ranks all have to iterate; rank 0 gets the blocks.
        ``told`` is called with what is predicted of each view of a batch that this rank predicts.

        Predicting at a larger size than was trained at, too, makes up for random crops having enlarged the training
        images. Source: Touvron et al., "Fixing the train-test resolution discrepancy", NeurIPS 2019.
        """
        self._ranks.share_buffers(self.model)
        views = self._hyperparameters.predict.views(self._hyperparameters.images)
        return in_turns(self._ranks, self.batches(rows), lambda batch: self.mean_of(inputs, batch, views, told))

    def mean_of(
        self, inputs: Inputs, batch: IntArray, views: Sequence[View], told: OfViews | None = None
    ) -> StoredValues:
        """Return (n, C) the mean over ``views`` of a batch of rows, as ``value_blocks`` yields it."""
        of_views = [
            self.read(main_logits(output)) for view in views for _, output in self.outputs(inputs, batch, view=view)
        ]
        if told is not None:
            told(of_views)
        mean = np.asarray(np.mean(np.stack(of_views), axis=0, dtype=np.float64), dtype=np.float32)
        return mean if self._mask_size is None else quantised(mean)

    def read(self, logits: Tensor) -> FloatArray:
        """Return (n, C) what ``logits`` say; masks at the size that they are kept at, flattened."""
        values = self._outputs.values(logits)
        if self._mask_size is not None:
            shrinks = values.shape[2] > self._mask_size[0]
            values = functional.interpolate(
                values, self._mask_size, mode="bilinear", align_corners=False, antialias=shrinks
            ).flatten(1)
        return np.asarray(values.cpu().numpy(), dtype=np.float32)

    def batches(self, rows: IntArray) -> list[IntArray]:
        """Return ``rows`` in batches of a fixed size, so that results do not depend on who predicts which batch."""
        size = self._hyperparameters.training.batch_size
        return [rows[start : start + size] for start in range(0, len(rows), size)]

    def _images(self, inputs: Inputs, rows: IntArray, sides: tuple[int, int], view: View) -> Tensor:
        """Return (n * V, C, H, W) images or (n * V, E) features of them, one row's after the other's."""
        if self.features is not None:
            features = self.features.of(inputs.images, sides, view)[inputs.views(rows)]
            return to_device(features, self._device)
        if sides == (1, 1):
            pixels = np.zeros((len(inputs.views(rows)), 1, 1, inputs.images.shape[3]), dtype=np.uint8)
            return to_float(to_device(pixels, self._device))
        images_NCHW = to_float(to_device(resize_pixels(inputs.read(rows), *sides), self._device))
        return viewed(images_NCHW, view)

    def _forward(self, given: ModelInputs) -> Output:
        images, *beside = given
        assert images is not None, "there are always some"
        tile = self._hyperparameters.images.tile
        if self._mask_size is None or not tile or tile >= max(images.shape[2:]):
            return self._network(images, *beside)
        return predict_tiled(lambda tiles: main_logits(self._network(tiles, *beside)).float(), images, tile, tile // 4)


def _upright(logits: Tensor, view: View) -> Tensor:
    """Return float32 logits, of masks as the images lie."""
    logits = logits.float()
    return viewed_back(logits, view) if logits.ndim == 4 else logits


def uses_images_of(model: torch.nn.Module) -> bool:
    """Return whether ``model``, or the model whose weights it averages, looks at images at all."""
    return model_of(model).uses_images


def model_of(model: torch.nn.Module) -> Model:
    """Return ``model``, or the model whose weights it averages."""
    inner = getattr(model, "module", model)
    assert isinstance(inner, Model)
    return inner
