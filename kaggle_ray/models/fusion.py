"""Makes one vector of the features of a sample's images: its views, slices or frames, in their order.

Where samples have different numbers of images, those with fewer than V are padded, and ``is_there_NV`` tells the
images: padding has no part in what is made of them. None is V images of each.

Shape suffixes: N samples, V images of each, E features.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from kaggle_ray.config.model import Fuse
from kaggle_ray.models.varying import mean_of_there, reversed_places

_MOST_ATTENTION_HEADS = 8


class MaxFusion(nn.Module):
    """The largest value of each feature over the images."""

    def forward(self, features_NVE: Tensor, is_there_NV: Tensor | None = None) -> Tensor:
        """Return (N, E)."""
        if is_there_NV is not None:
            features_NVE = features_NVE.masked_fill(~is_there_NV[..., None], -torch.inf)
        return features_NVE.amax(dim=1)


class AttentionFusion(nn.Module):
    """The mean of the images, weighted by how much each tells: of a few slices that count among many.

    Source: Ilse, Tomczak and Welling, "Attention-based deep multiple instance learning", ICML 2018 (gated attention).
    """

    def __init__(self, num_features: int, hidden: int = 128) -> None:
        """Tell an image's weight by ``hidden`` gated features."""
        super().__init__()
        self.value = nn.Linear(num_features, hidden)
        self.gate = nn.Linear(num_features, hidden)
        self.weight = nn.Linear(hidden, 1)

    def forward(self, features_NVE: Tensor, is_there_NV: Tensor | None = None) -> Tensor:
        """Return (N, E)."""
        gated = torch.tanh(self.value(features_NVE)) * torch.sigmoid(self.gate(features_NVE))
        scores_NV1 = self.weight(gated)
        if is_there_NV is not None:
            scores_NV1 = scores_NV1.masked_fill(~is_there_NV[..., None], -torch.inf)
        weights_NV1 = scores_NV1.softmax(dim=1)
        fused_NE: Tensor = (features_NVE * weights_NV1).sum(dim=1)
        return fused_NE


class LstmFusion(nn.Module):
    """The mean of what a recurrent network, forwards and backwards, makes of the sequence of images."""

    def __init__(self, num_features: int) -> None:
        """Let the states of both directions have ``num_features`` together."""
        super().__init__()
        self.forwards = nn.LSTM(num_features, num_features - num_features // 2, batch_first=True)
        self.backwards = nn.LSTM(num_features, num_features // 2, batch_first=True)

    def forward(self, features_NVE: Tensor, is_there_NV: Tensor | None = None) -> Tensor:
        """Return (N, E)."""
        ahead, _ = self.forwards(features_NVE)
        if is_there_NV is None:
            back, _ = self.backwards(features_NVE.flip(1))
            return torch.cat([ahead.mean(dim=1), back.mean(dim=1)], dim=1)
        places_NVE = reversed_places(is_there_NV)[..., None].expand_as(features_NVE)
        back, _ = self.backwards(features_NVE.gather(1, places_NVE))  # a state knows what came before, never padding
        return torch.cat([mean_of_there(ahead, is_there_NV), mean_of_there(back, is_there_NV)], dim=1)


class TransformerFusion(nn.Module):
    """The mean of what a layer of a transformer makes of the sequence, each image knowing its place.

    Source: Vaswani et al., "Attention is all you need", NeurIPS 2017 (places as sines and cosines).
    """

    def __init__(self, num_features: int) -> None:
        """Use as many attention heads, up to 8, as divide the features."""
        super().__init__()
        heads = math.gcd(num_features, _MOST_ATTENTION_HEADS)
        self.layer = nn.TransformerEncoderLayer(
            num_features, heads, dim_feedforward=2 * num_features, dropout=0.1, batch_first=True, norm_first=True
        )

    def forward(self, features_NVE: Tensor, is_there_NV: Tensor | None = None) -> Tensor:
        """Return (N, E)."""
        _, num_views, num_features = features_NVE.shape
        placed_NVE = features_NVE + _places(num_views, num_features).to(features_NVE)
        if is_there_NV is None:
            mixed: Tensor = self.layer(placed_NVE)
            return mixed.mean(dim=1)
        mixed = self.layer(placed_NVE, src_key_padding_mask=~is_there_NV)
        return mean_of_there(mixed.masked_fill(~is_there_NV[..., None], 0.0), is_there_NV)


def _places(num_views: int, num_features: int) -> Tensor:
    """Return (V, E) sines and cosines of the images' places."""
    features_E = torch.arange(num_features)
    rates_E = torch.exp(-math.log(10_000.0) * (features_E - features_E % 2) / num_features)
    angles_VE = torch.arange(num_views)[:, None] * rates_E
    return torch.where(features_E % 2 == 0, angles_VE.sin(), angles_VE.cos())


def make_fusion(name: Fuse, num_features: int) -> nn.Module | None:
    """Return what fuses features (N, V, E) to (N, E), None where the mean of the images' logits is taken."""
    if name == "mean":
        return None
    if name == "max":
        return MaxFusion()
    if name == "attention":
        return AttentionFusion(num_features)
    return LstmFusion(num_features) if name == "lstm" else TransformerFusion(num_features)
