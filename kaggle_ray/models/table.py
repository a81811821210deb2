"""The table as an input: normalised by the training rows, alone or joined to an image network.

Shape suffixes: N samples, D columns of the table, E features.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from kaggle_ray.data.table import MOST_DEVIATIONS
from kaggle_ray.types import BoolArray, FloatArray


class TableNorm(nn.Module):
    """Standardises columns; what is missing becomes the mean, and says so in a column of its own."""

    mean: Tensor
    std: Tensor

    def __init__(self, num_columns: int) -> None:
        """Leave the values as they are until ``fit`` has seen some."""
        super().__init__()
        self.num_columns = num_columns
        self.register_buffer("mean", torch.zeros(num_columns))
        self.register_buffer("std", torch.ones(num_columns))

    @property
    def num_features(self) -> int:
        """Columns of what comes out: each column's value, and whether it is missing."""
        return 2 * self.num_columns

    def fit(self, table_ND: Tensor) -> None:
        """Take mean and deviation of each column from the training rows, NaN left out."""
        num_known = table_ND.isfinite().sum(dim=0).clamp_min(1)
        known = torch.nan_to_num(table_ND)
        self.mean = known.sum(dim=0) / num_known
        squares = torch.nan_to_num(table_ND - self.mean).square().sum(dim=0)
        self.std = (squares / num_known).sqrt()
        self.std[self.std < 1e-12] = 1.0

    def cuts(self, table_ND: Tensor) -> Tensor:
        """Return (N, D) which values ``forward`` cuts."""
        return ((table_ND - self.mean) / self.std).abs() > MOST_DEVIATIONS

    def forward(self, table_ND: Tensor) -> Tensor:
        """Return (N, 2 D) features."""
        is_missing = table_ND.isnan()
        scaled = torch.nan_to_num((table_ND - self.mean) / self.std)
        return torch.cat([scaled.clamp(-MOST_DEVIATIONS, MOST_DEVIATIONS), is_missing.float()], dim=1)


def cut_cells(model: nn.Module, values_ND: FloatArray) -> BoolArray:
    """Return (N, D) which numbers of a table a model cuts, as too far from those that it was trained on."""
    table_ND = torch.from_numpy(values_ND)
    is_cut = np.zeros(values_ND.shape, dtype=np.bool_)
    for norm in (module for module in model.modules() if isinstance(module, TableNorm)):
        is_cut |= norm.cuts(table_ND.to(norm.mean.device)).cpu().numpy()
    return is_cut


class NormedTable(nn.Module):
    """A network of images and of a table's normalised features."""

    def __init__(self, network: nn.Module, norm: TableNorm) -> None:
        """Put ``norm`` before ``network``."""
        super().__init__()
        self.network = network
        self.norm = norm

    def forward(self, images_NCHW: Tensor, table_ND: Tensor) -> Tensor:
        """Return the network's logits."""
        logits: Tensor = self.network(images_NCHW, self.norm(table_ND))
        return logits


class JoinedTable(nn.Module):
    """The features of an image network beside those of a table, under one head."""

    def __init__(
        self,
        network: nn.Module,
        of_images: nn.Module,
        norm: TableNorm,
        head: nn.Module,
        *,
        width: int,
        dropout: float,
    ) -> None:
        """Join what ``of_images`` makes of the features of ``network`` with ``width`` features of the table."""
        super().__init__()
        self.network = network
        self.of_images = of_images
        self.norm = norm
        self.of_table = nn.Sequential(nn.Linear(norm.num_features, width), nn.ReLU(), nn.Dropout(dropout))
        self.head = head

    def forward(self, images_NCHW: Tensor, table_ND: Tensor) -> Tensor:
        """Return (N, num_outputs) logits."""
        return self.logits(self.network(images_NCHW), table_ND)

    def logits(self, features_NE: Tensor, table_ND: Tensor | None) -> Tensor:
        """Return (N, num_outputs) logits of what the image network returned, and of the table."""
        assert table_ND is not None, "the competition has a table"
        joined = torch.cat([self.of_images(features_NE), self.of_table(self.norm(table_ND))], dim=1)
        logits: Tensor = self.head(joined)
        return logits


class TableOnly(nn.Module):
    """The table alone: linear, or with hidden layers."""

    def __init__(self, norm: TableNorm, num_outputs: int, hidden: tuple[int, ...] = (), dropout: float = 0.0) -> None:
        """Put a layer of each width of ``hidden`` between the table and the outputs."""
        super().__init__()
        self.norm = norm
        layers: list[nn.Module] = []
        num_features = norm.num_features
        for width in hidden:
            layers += [nn.Linear(num_features, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout)]
            num_features = width
        self.layers = nn.Sequential(*layers, nn.Linear(num_features, num_outputs))

    def forward(self, table_ND: Tensor) -> Tensor:
        """Return (N, num_outputs) logits."""
        with torch.autocast(table_ND.device.type, enabled=False):  # a small product gains nothing by rounding
            logits: Tensor = self.layers(self.norm(table_ND))
        return logits
