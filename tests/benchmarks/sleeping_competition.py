"""A competition whose trials do next to nothing but sleep: what is measured is what it takes to run them.

The files are those of the toy competition. The network sleeps for ``seconds`` in each step: that takes no core, so that
as many trials as one likes are at work at once.
"""

from __future__ import annotations

import time
from dataclasses import replace

from torch import Tensor, nn

from kaggle_ray import FoldScheme, SearchSpace, Settings, register_model
from kaggle_ray.testing import toy


@register_model("sleeper")
class Sleeper(nn.Module):
    """A linear layer that sleeps before each step of its training."""

    def __init__(self, num_outputs: int, num_channels: int = 3, seconds: float = 0.0) -> None:
        """Sleep for ``seconds``."""
        super().__init__()
        self.seconds = seconds
        self.head = nn.Linear(num_channels, num_outputs)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return (N, C) logits."""
        if self.training:
            time.sleep(self.seconds)
        logits_NC: Tensor = self.head(images_NCHW.mean(dim=(2, 3)))
        return logits_NC


def default_space(settings: Settings) -> SearchSpace:
    """Two experiments that do not sleep."""
    return SearchSpace(base={"model": "sleeper", "image_size": toy.SIZE}, grid={"lr": [1e-2, 1e-3]})


COMPETITION = replace(toy.COMPETITION, name="sleeping", default_space=default_space, folds=FoldScheme(num_folds=5))
