"""The toy competition with a network that has neither batch norm nor dropout: one process or several, it is the same.

A competition is loaded by path, so every process of a trial registers the model.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from kaggle_ray.models import register_model
from kaggle_ray.testing.toy import COMPETITION as COMPETITION

PLAIN_FILE = Path(__file__)


@register_model("plain")
def plain(num_outputs: int, width: int = 8) -> nn.Module:
    """Return two convolutions and a linear layer."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * width, num_outputs),
    )
