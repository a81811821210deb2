"""The hyperparameters of test rows that are trained on with a teacher's answers for labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from kaggle_ray.config.part import called, check_types, require
from kaggle_ray.types import JsonValue

PseudolabelKind = Literal["soft", "hard"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PseudolabelHyperparameters:
    """How many test rows a batch has, who labels them, and how.

    Source: Lee, "Pseudo-label: the simple and efficient semi-supervised learning method", ICML workshop 2013; of soft
    ones: Xie et al., "Self-training with noisy student", CVPR 2020.
    """

    share: float = field(default=0.0, metadata=called("pseudolabel_share"))
    """Share of each batch that are test rows with pseudolabels, as long as there are enough: an epoch takes none
    twice. 0 is off."""
    teacher: Mapping[str, JsonValue] = field(default_factory=dict, metadata=called("pseudolabel_from"))
    """The teacher that labels them is the same experiment without pseudolabels, with these values instead, such as
    ``{"model": "resnet50"}``; empty: with its own. It is trained first. Each fold's student is given what the teacher
    of the same fold says of the test rows, which has not seen the fold's scored rows either."""
    kind: PseudolabelKind = field(default="soft", metadata=called("pseudolabel_kind"))
    """``soft``: the teacher's probabilities, or numbers; ``hard``: the likeliest class, each label or pixel above a
    half. No cut is fitted, so none has seen a scored row."""
    min_confidence: float = field(default=0.0, metadata=called("pseudolabel_min_confidence"))
    """Least probability of the likeliest answer of a test row that is taken: that of its least certain label or head,
    of masks the mean over the pixels."""

    def __post_init__(self) -> None:
        """Check every value's type and range. Raises ConfigError."""
        check_types(self)
        require(0 <= self.share < 1, "pseudolabel_share", "from 0 to below 1", self.share)
        confidence = self.min_confidence
        require(0 <= confidence <= 1, "pseudolabel_min_confidence", "from 0 to 1", confidence)
