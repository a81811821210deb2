"""A network with the normalisation of its inputs in front, for every kind of competition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from kaggle_ray.config.model import Fuse
from kaggle_ray.counted import counted
from kaggle_ray.errors import ConfigError
from kaggle_ray.images.color import normalize
from kaggle_ray.models.fusion import make_fusion
from kaggle_ray.models.head import HeadedNetwork, PooledNetwork
from kaggle_ray.models.network import Network
from kaggle_ray.models.shapes import Shapes
from kaggle_ray.models.stages import depths
from kaggle_ray.models.table import JoinedTable, TableNorm, TableOnly
from kaggle_ray.models.varying import mean_of_there, padded, places_of

EXTRA_MEAN, EXTRA_STD = 0.5, 0.25
"""Mean and deviation that channels beyond red, green and blue are normalised with."""

Output = Tensor | tuple[Tensor, Tensor]
"""Logits, of what is predicted alone, or of that and of the auxiliary heads."""


class Model(nn.Module):
    """What is trained: it takes images in the range 0..1, a table, or both, and gives logits."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: Network, shapes: Shapes, fuse: Fuse = "mean") -> None:
        """Normalise images with the mean and deviation that ``network`` was trained with."""
        super().__init__()
        self.network = network.module
        self.shapes = shapes
        self.input_size = network.input_size
        """Side in pixels of the images that the library trained the network on; None where it trained none."""
        self.gives_auxiliary = shapes.num_auxiliary_outputs > 0
        """Whether ``forward`` gives the auxiliary heads' logits, too: where it is trained, not where it predicts."""
        self.fusion = None
        if fuse != "mean":
            assert self.pooled is not None, "no other network tells its features"
            self.fusion = make_fusion(fuse, self.pooled.num_features)
        self._fresh = [*network.fresh, *([self.fusion] if self.fusion else [])]
        self.register_buffer("mean", _per_channel(network.mean, shapes.num_channels, EXTRA_MEAN), persistent=False)
        self.register_buffer("std", _per_channel(network.std, shapes.num_channels, EXTRA_STD), persistent=False)

    @property
    def uses_images(self) -> bool:
        """Whether images are looked at, so that they have to be read."""
        return not isinstance(self.network, TableOnly)

    def fresh_modules(self) -> list[nn.Module]:
        """Return what comes with no pretrained weights: the head, a decoder, the table's branch.

        It is the same whether the weights were loaded or not: while the rest is frozen, these are trained.
        """
        return list(self._fresh)

    def fresh_names(self) -> frozenset[str]:
        """Return the names of the parameters of ``fresh_modules``."""
        fresh = {id(parameter) for module in self.fresh_modules() for parameter in module.parameters()}
        return frozenset(name for name, parameter in self.named_parameters() if id(parameter) in fresh)

    def depths(self) -> dict[str, int]:
        """Return the name of each parameter -> how many stages it lies below the head, 0 for what is fresh."""
        return depths(self, fresh=self.fresh_names())

    def standing_names(self, *, num_stages: int, patterns: Sequence[str]) -> frozenset[str]:
        """Return the names of the parameters of the first stages, and of those with a name of one of ``patterns``.

        What is fresh is none of them. A pattern is of names as ``summarise`` lists them, or with what stands before.

        Raises:
            ConfigError: there are not so many stages, or a pattern is of no pretrained parameter.
        """
        fresh, depths_of = self.fresh_names(), self.depths()
        stages = {name: depth for name, depth in depths_of.items() if name not in fresh}
        deepest = max(stages.values(), default=0)
        if num_stages > deepest:
            raise ConfigError(f"freeze_stages: expected at most {deepest}, stages of the network, got {num_stages}.")
        standing = {name for name, depth in stages.items() if depth > deepest - num_stages}
        for pattern in patterns:
            of_pattern = {
                name
                for name in stages
                if fnmatchcase(name, pattern) or fnmatchcase(name.removeprefix("network."), pattern)
            }
            if not of_pattern:
                some = ", ".join(name.removeprefix("network.") for name in list(stages)[:4])
                raise ConfigError(f"freeze_names: {pattern!r} is of no pretrained parameter; the first are {some}.")
            standing |= of_pattern
        return frozenset(standing)

    def checkpoint_gradients(self) -> None:
        """Compute what lies between blocks anew in the backward pass.

        Raises:
            ConfigError: the network's library cannot.
        """
        able = [module for module in self.modules() if hasattr(module, "set_grad_checkpointing")]
        if not able:
            raise ConfigError(
                "gradient_checkpointing: this network has none. Take one of timm's, such as timm/resnet50, or split "
                "batches by accumulate."
            )
        try:
            able[0].set_grad_checkpointing(True)  # type: ignore[operator]
        except AssertionError as error:
            raise ConfigError(f"gradient_checkpointing: timm says: {error}.") from error

    @property
    def pooled(self) -> PooledNetwork | None:
        """The part of the network whose features depend on nothing but images and what is pretrained.

        None where it stands under no head of ours.
        """
        network = self.network.network if isinstance(self.network, JoinedTable) else self.network
        return network if isinstance(network, PooledNetwork) else None

    def features(self, images_NCHW: Tensor) -> Tensor:
        """Return (N, F) what ``forward`` takes in the place of images 0..1 (N, C, H, W)."""
        assert self.pooled is not None, "no other network tells its features"
        return self.pooled.features(normalize(images_NCHW, self.mean, self.std))

    def split(self, *, num_stages: int, sides: Iterable[tuple[int, int]]) -> None:
        """Let ``features`` be what the first stages give, which stand still, so that what is behind them is trained.

        Args:
            num_stages: as ``standing_names`` counts them.
            sides: each height and width in pixels of images that will be seen.

        Raises:
            ConfigError: the network stands under no head of ours, has not so many stages, or takes no images in two
                parts.
        """
        pooled = self.pooled
        if pooled is None:
            raise ConfigError("freeze stages: expected a head, such as {'pooling': 'avg'}, got none.")
        names = {id(parameter): name for name, parameter in pooled.named_parameters()}
        standing = self.standing_names(num_stages=num_stages, patterns=())
        parameters = [parameter for name, parameter in self.named_parameters() if name in standing]
        device = self.mean.device
        pooled.split(
            {names[id(parameter)] for parameter in parameters},
            [torch.rand(1, self.shapes.num_channels, *each, device=device) for each in sides],
        )

    def set_scale(self, mean_C: Tensor, std_C: Tensor) -> None:
        """Normalise images with the mean and deviation of each channel, in the place of the library's.

        Raises:
            ConfigError: there are not as many as channels.
        """
        if len(mean_C) != self.shapes.num_channels:
            raise ConfigError(
                f"normalization: expected a mean and a deviation of {counted(self.shapes.num_channels, 'channel')}, "
                f"got {len(mean_C)}."
            )
        self.mean, self.std = (values.float().view(1, -1, 1, 1) for values in (mean_C, std_C))

    def fit_table(self, table_ND: Tensor) -> None:
        """Take the scale of the table's columns from the training rows (N, D)."""
        for module in self.modules():
            if isinstance(module, TableNorm):
                module.fit(table_ND)

    def forward(self, images: Tensor, table_ND: Tensor | None = None, counts_N: Tensor | None = None) -> Output:
        """Return (N, C) logits, or (N, K, H, W) for segmentation; where it ``gives_auxiliary``, theirs beside them.

        Args:
            images: (N, C, H, W) values 0..1, or (N, F) ``features`` of them; where a sample has several views
                (N, V, C, H, W) or (N, V, F): the logits are the mean, or those of the features that are fused.
            table_ND: (N, D), where the competition has a table.
            counts_N: how many images each sample has, where they differ; ``images`` are then (M, C, H, W) or (M, F),
                those of all samples one after the other.
        """
        if counts_N is not None:
            return self._of_varying(images, table_ND, counts_N)
        if images.ndim in (3, 5) and self.fusion is not None:
            return self._told(self._of_features(self._features_of_views(images), table_ND))
        if images.ndim in (3, 5):
            num_views = images.shape[1]
            repeated = None if table_ND is None else table_ND.repeat_interleave(num_views, dim=0)
            output: Output = self(images.flatten(0, 1), repeated)
            if isinstance(output, Tensor):
                return mean_over_views(output, num_views)
            return mean_over_views(output[0], num_views), mean_over_views(output[1], num_views)
        if images.ndim == 2:
            output = self._of_features(images, table_ND)
        elif not self.uses_images:
            output = self.network(table_ND)
        elif self.shapes.num_table_columns:
            output = self.network(normalize(images, self.mean, self.std), table_ND)
        else:
            output = self.network(normalize(images, self.mean, self.std))
        return self._told(output)

    def _of_varying(self, images: Tensor, table_ND: Tensor | None, counts_N: Tensor) -> Output:
        """Return ``forward`` of samples that have different numbers of images."""
        is_there_NV = places_of(counts_N)
        if self.fusion is not None:
            features_MF = images if images.ndim == 2 else self.features(images)
            return self._told(self._of_features(padded(features_MF, is_there_NV), table_ND, is_there_NV))
        repeated = None if table_ND is None else table_ND.repeat_interleave(counts_N, dim=0)
        output: Output = self(images, repeated)
        if isinstance(output, Tensor):
            return mean_of_there(padded(output, is_there_NV), is_there_NV)
        return (
            mean_of_there(padded(output[0], is_there_NV), is_there_NV),
            mean_of_there(padded(output[1], is_there_NV), is_there_NV),
        )

    def _features_of_views(self, images: Tensor) -> Tensor:
        """Return (N, V, F) ``features`` of images (N, V, C, H, W), or those that are given."""
        if images.ndim == 3:
            return images
        features_NVF: Tensor = self.features(images.flatten(0, 1)).unflatten(0, (-1, images.shape[1]))  # type: ignore[no-untyped-call]
        return features_NVF

    def _of_features(self, features: Tensor, table_ND: Tensor | None, is_there_NV: Tensor | None = None) -> Tensor:
        """Return (N, C) logits of ``features`` (N, F), or of those (N, V, F) of several images, which are fused."""
        assert isinstance(self.network, HeadedNetwork | JoinedTable), "no other network tells its features"
        assert self.pooled is not None, "no other network tells its features"
        pooled = self.pooled.pooled(features.flatten(0, -2))
        if features.ndim == 3:
            assert self.fusion is not None, "the images are fused"
            pooled = self.fusion(pooled.unflatten(0, (-1, features.shape[1])), is_there_NV)  # type: ignore[no-untyped-call]
        return self.network.logits(pooled, table_ND)

    def _told(self, output: Output) -> Output:
        """Return what is asked for of the network's output."""
        if not self.shapes.num_auxiliary_outputs:
            return output
        both = self._with_auxiliary(output)
        return both if self.gives_auxiliary else both[0]

    def _with_auxiliary(self, output: Output) -> tuple[Tensor, Tensor]:
        """Return the logits of what is predicted, then those of the auxiliary heads.

        A network of pixels and images gives (N, K, H, W) and (N, C); one of images alone has all of them side by side.
        """
        if isinstance(output, Tensor):
            return output[:, : self.shapes.num_outputs], output[:, self.shapes.num_outputs :]
        of_pixels, of_images = output
        return (of_pixels, of_images) if self.shapes.segments else (of_images, of_pixels)


def main_logits(output: Output) -> Tensor:
    """Return the logits of what is predicted."""
    return output if isinstance(output, Tensor) else output[0]


def mean_over_views(logits: Tensor, num_views: int) -> Tensor:
    """Return (N, ...) the mean of each sample's ``num_views`` logits (N * V, ...), which follow each other."""
    of_views: Tensor = logits.unflatten(0, (-1, num_views))  # type: ignore[no-untyped-call]
    return of_views.mean(dim=1)


def _per_channel(values: Sequence[float], num_channels: int, extra: float) -> Tensor:
    """Return (1, num_channels, 1, 1); channels beyond red, green and blue have no statistics to go by."""
    known = list(values)[:num_channels]
    return torch.tensor([*known, *[extra] * (num_channels - len(known))]).view(1, num_channels, 1, 1)
