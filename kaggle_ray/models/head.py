"""Our own head on any classifier's backbone: pooling, hidden layers, and one linear layer to the outputs.

It stands in the place of a library's last layer where the hyperparameter ``head`` names one of

- ``pooling``: over the positions of the features. ``avg`` (the default), ``max``, ``avgmax`` (both, side by side), or
  ``gem`` (generalised mean, its exponent learnt). A transformer's tokens are positions, its class token is not.
- ``hidden``: widths of the hidden layers, such as ``[512]``; none.
- ``dropout``: before every linear layer; 0.
- ``batch_norm``: of what every linear layer gets; false.

The design is fastai's. Source: Howard and Gugger, "fastai: a layered API for deep learning", Information 2020.

Shape suffixes: N samples, E features, H and W or L positions, C outputs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

import torch
from torch import Tensor, nn

from kaggle_ray.errors import ConfigError, suggest
from kaggle_ray.models.split import StageSplit
from kaggle_ray.types import JsonValue

PoolingName = Literal["avg", "max", "avgmax", "gem"]


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadOptions:
    """The hyperparameter ``head``, checked."""

    pooling: PoolingName = "avg"
    hidden: tuple[int, ...] = ()
    dropout: float = 0.0
    batch_norm: bool = False

    def __post_init__(self) -> None:
        """Check every value. Raises ConfigError."""
        names = get_args(PoolingName)
        if self.pooling not in names:
            raise ConfigError(f"head: unknown pooling {self.pooling!r}{suggest(str(self.pooling), names)}")
        widths_are_good = all(_is_int(width) and width >= 1 for width in self.hidden)
        _require(widths_are_good, "hidden", "a list of widths of at least 1", list(self.hidden))
        is_number = isinstance(self.dropout, float) or _is_int(self.dropout)
        _require(is_number and 0 <= self.dropout < 1, "dropout", "from 0 to below 1", self.dropout)
        _require(isinstance(self.batch_norm, bool), "batch_norm", "true or false", self.batch_norm)


def parse_head(values: Mapping[str, JsonValue]) -> HeadOptions | None:
    """Return the options that ``values`` name, None where they name none: the model keeps its own last layer.

    Raises:
        ConfigError: a name is unknown, with the nearest one, or a value is of the wrong type or range.
    """
    if not values:
        return None
    known = [spec.name for spec in dataclasses.fields(HeadOptions)]
    for name in values:
        if name not in known:
            raise ConfigError(f"head: unknown option {name!r}{suggest(name, known)}")
    options: dict[str, Any] = dict(values)
    if "hidden" in options:
        _require(isinstance(options["hidden"], list | tuple), "hidden", "a list of widths", options["hidden"])
        options["hidden"] = tuple(options["hidden"])
    return HeadOptions(**options)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _require(condition: bool, name: str, expected: str, got: object) -> None:
    if not condition:
        raise ConfigError(f"head: {name!r}: expected {expected}, got {got!r}.")


class GeneralisedMean(nn.Module):
    """The mean of powers, of positive features; 1 is their mean, and large exponents near their maximum.

    Source: Radenovic, Tolias and Chum, "Fine-tuning CNN image retrieval with no human annotation", TPAMI 2019.
    """

    def __init__(self, exponent: float = 3.0, smallest: float = 1e-6) -> None:
        """Begin at ``exponent``, one for all features; what is below ``smallest`` counts as that."""
        super().__init__()
        self.exponent = nn.Parameter(torch.tensor([exponent]))
        self.smallest = smallest

    def forward(self, features_NEL: Tensor) -> Tensor:
        """Return (N, E), computed in float32: powers overflow sooner than features do."""
        powers = features_NEL.float().clamp_min(self.smallest).pow(self.exponent)
        return powers.mean(dim=2).pow(1 / self.exponent)


class Pooling(nn.Module):
    """Makes one vector of the features of all positions, whatever the size of the image."""

    def __init__(self, name: PoolingName) -> None:
        """Take ``avg``, ``max``, ``avgmax`` or ``gem``."""
        super().__init__()
        self.name = name
        self.mean_of_powers = GeneralisedMean() if name == "gem" else None

    def num_features(self, of_map: int) -> int:
        """Return the features that come out where ``of_map`` go in."""
        return 2 * of_map if self.name == "avgmax" else of_map

    def forward(self, features: Tensor) -> Tensor:
        """Return (N, E) for a map (N, E, H, W) or tokens (N, L, E); (N, 2 E) for avgmax."""
        features_NEL = positions_of(features)
        if self.mean_of_powers is not None:
            pooled: Tensor = self.mean_of_powers(features_NEL)
            return pooled
        parts = []
        if self.name in ("avg", "avgmax"):
            parts.append(features_NEL.mean(dim=2))
        if self.name in ("max", "avgmax"):
            parts.append(features_NEL.amax(dim=2))
        return torch.cat(parts, dim=1)


def positions_of(features: Tensor) -> Tensor:
    """Return (N, E, L) of a map (N, E, H, W) or of tokens (N, L, E)."""
    return features.flatten(2) if features.ndim == 4 else features.transpose(1, 2)


class PooledNetwork(nn.Module):
    """A backbone and the pooling of its features, in two steps of which the first has nothing fresh to learn."""

    def __init__(self, backbone: nn.Module, num_features: int, options: HeadOptions) -> None:
        """Pool the ``num_features`` that ``backbone`` has at each position."""
        super().__init__()
        self.backbone = backbone
        self.pooling = Pooling(options.pooling)
        self._num_of_position = num_features
        self._split: StageSplit | None = None

    @property
    def num_features(self) -> int:
        """E, the features that come out."""
        return self.pooling.num_features(self._num_of_position)

    @property
    def fixed(self) -> nn.Module:
        """The modules that ``features`` are a function of, beside the images and the pooling."""
        return self.backbone if self._split is None else self._split.standing

    def split(self, standing: Collection[str], sizes: Iterable[Tensor]) -> None:
        """Let ``features`` be what the first stages give, so that all behind them can be trained.

        Args:
            standing: names of the parameters of these stages, as they are below this module.
            sizes: images (1, C, H, W) of each size that will be seen.

        Raises:
            ConfigError: the backbone cannot be computed in two parts there.
        """
        prefix = "backbone."
        self._split = StageSplit(self.backbone, {name.removeprefix(prefix) for name in standing})
        for images_1CHW in sizes:
            self._split.look_at(images_1CHW)

    def train(self, mode: bool = True) -> Self:
        """Put all into training mode, or evaluation mode, the part behind a split too."""
        super().train(mode)
        if self._split is not None:
            self._split.train(mode)
        return self

    def features(self, images_NCHW: Tensor) -> Tensor:
        """Return (N, F) what is fixed as long as the backbone is: the pooled features.

        Those of all positions, one channel after the other, where the pooling itself is learnt; the map that the first
        stages give, where the backbone is split.
        """
        if self._split is not None:
            return self._split.first(images_NCHW)
        features: Tensor = self.backbone(images_NCHW)
        if self.pooling.mean_of_powers is not None:
            return positions_of(features).flatten(1)
        pooled_NE: Tensor = self.pooling(features)
        return pooled_NE

    def pooled(self, features_NF: Tensor) -> Tensor:
        """Return (N, E) of what ``features`` returned."""
        if self._split is not None:
            of_rest: Tensor = self.pooling(self._split.rest(features_NF))
            return of_rest
        if self.pooling.mean_of_powers is None:
            return features_NF
        features_NEL = features_NF.view(len(features_NF), self._num_of_position, -1)
        pooled_NE: Tensor = self.pooling.mean_of_powers(features_NEL)
        return pooled_NE

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return (N, E) features."""
        pooled_NE: Tensor = self.pooling(self.backbone(images_NCHW))
        return pooled_NE


class HeadedNetwork(PooledNetwork):
    """A backbone under our head."""

    def __init__(self, backbone: nn.Module, num_features: int, num_outputs: int, options: HeadOptions) -> None:
        """Make ``num_outputs`` of the ``num_features`` that ``backbone`` has at each position."""
        super().__init__(backbone, num_features, options)
        self.head = head_layers(self.num_features, num_outputs, options)

    def logits(self, features_NE: Tensor, table_ND: Tensor | None = None) -> Tensor:
        """Return (N, C) logits of pooled features; a table is not looked at."""
        logits: Tensor = self.head(features_NE)
        return logits

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return (N, C) logits."""
        return self.logits(super().forward(images_NCHW))


def head_layers(num_features: int, num_outputs: int, options: HeadOptions) -> nn.Sequential:
    """Return the layers from (N, num_features) pooled features to (N, num_outputs) logits."""
    layers: list[nn.Module] = []
    for width in (*options.hidden, num_outputs):
        if options.batch_norm:
            layers.append(nn.BatchNorm1d(num_features))
        if options.dropout:
            layers.append(nn.Dropout(options.dropout))
        layers += [nn.Linear(num_features, width), nn.ReLU(inplace=True)]
        num_features = width
    return nn.Sequential(*layers[:-1])
