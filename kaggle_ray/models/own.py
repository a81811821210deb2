"""What a network of our own, or of a competition's file, tells of its parts by the names of their attributes.

``head`` is its last layer. With ``forward_features(images) -> (N, E, H, W)`` and ``num_features``, E, it takes our
head (``kaggle_ray.models.head``) too. A segmenter's ``decoders`` and its ``classifier`` of whole images, and a table's
``of_table``, are known as well.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from kaggle_ray.errors import ConfigError
from kaggle_ray.models.first_logits import logits_layers
from kaggle_ray.models.network import Network, last_layer

_FRESH = ("of_table", "decoders", "classifier", "head")


class OwnFeatures(nn.Module):
    """The features of a network of our own, whose own head is taken out."""

    def __init__(self, network: nn.Module) -> None:
        """Take ``network`` without its ``head``."""
        super().__init__()
        self.network = network
        self.network.head = nn.Identity()

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return (N, E, H, W) features."""
        network: Any = self.network
        features: Tensor = network.forward_features(images_NCHW)
        return features


def with_logits(network: nn.Module, num_outputs: int) -> Network:
    """Return ``network`` as it is, with ``num_outputs``; fresh is what its attributes name, else its last layer."""
    parts = [getattr(network, name, None) for name in _FRESH]
    fresh = tuple(part for part in parts if isinstance(part, nn.Module))
    fresh = fresh or (last_layer(network)[1],)
    return Network(module=network, fresh=fresh, logits=logits_layers(fresh[-1], num_outputs))


def with_features(name: str, network: nn.Module) -> Network:
    """Return ``network`` up to its features.

    Raises:
        ConfigError: it does not tell them apart from its own head.
    """
    if not all(hasattr(network, attribute) for attribute in ("forward_features", "num_features", "head")):
        raise ConfigError(
            f"model {name!r} takes no other head: expected a network with forward_features, num_features and head. "
            f"Leave the hyperparameter head empty."
        )
    num_features: Any = network.num_features
    return Network(module=OwnFeatures(network), fresh=(), num_features=int(num_features))
