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
    num_auxiliary_outputs: int = 0
    """Outputs of the auxiliary heads, which stand beside a prediction; 0 where there are none."""
    auxiliary_segments: bool = False
    """Whether the auxiliary outputs are those of each pixel."""

    @property
    def num_pixel_outputs(self) -> int:
        """What the network has to say of each pixel; 0 where it is of whole images alone."""
        of_auxiliary = self.num_auxiliary_outputs if self.auxiliary_segments else 0
        return self.num_outputs if self.segments else of_auxiliary

    @property
    def num_image_outputs(self) -> int:
        """What the network has to say of each image; 0 where it is of pixels alone."""
        return self.num_outputs + self.num_auxiliary_outputs - self.num_pixel_outputs
