"""What a model has to take and to give."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Shapes:
    """The sides of a model that the competition fixes."""

    num_outputs: int
    """Columns of a prediction; for segmentation, of each pixel's."""
    num_channels: int = 3
    """Channels of an image."""
    num_views: int = 1
    """Images per sample."""
    num_table_columns: int = 0
    """Columns of the table that comes with the images; 0 where there is none."""
    segments: bool = False
    """Whether each pixel is predicted."""
