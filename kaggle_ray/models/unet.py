"""A U-Net small enough to be trained from scratch on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from kaggle_ray.models.padding import padded
from kaggle_ray.models.registry import register_segmenter


def double_convolution(in_channels: int, out_channels: int) -> nn.Module:
    """Return two 3x3 convolutions, each with batch norm and ReLU."""
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        layers += [
            nn.Conv2d(channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """An encoder of halved sides and doubled channels, and a decoder that gets each side's features back.

    Source: Ronneberger, Fischer and Brox, MICCAI 2015; with batch norm, and bilinear enlarging.
    """

    def __init__(
        self,
        num_outputs: int,
        num_channels: int = 3,
        num_table_features: int = 0,
        width: int = 12,
        depth: int = 4,
        stem_stride: int = 1,
        num_image_outputs: int = 0,
    ) -> None:
        """Channels are ``width`` times 1, 2, 4, ...; with a ``stem_stride`` of 2 all of it runs at half the side.

        Args:
            num_outputs: logits per pixel.
            num_channels: of the image.
            num_table_features: of a table, added to the features of the lowest level.
            width: channels of the first level.
            depth: how often sides are halved after the stem.
            stem_stride: 1 or 2.
            num_image_outputs: logits per image, of the mean of the lowest level's features.
        """
        super().__init__()
        widths = [width * 2**level for level in range(depth + 1)]
        self.depth = depth
        self.stem_stride = stem_stride
        self.stem = nn.Conv2d(num_channels, width, stem_stride, stem_stride) if stem_stride > 1 else nn.Identity()
        first = width if stem_stride > 1 else num_channels
        self.encoders = nn.ModuleList(
            double_convolution(before, after) for before, after in zip([first, *widths], widths, strict=False)
        )
        self.of_table = nn.Linear(num_table_features, widths[-1]) if num_table_features else None
        self.decoders = nn.ModuleList(
            double_convolution(below + level, level) for level, below in zip(widths[-2::-1], widths[::-1], strict=False)
        )
        self.head = nn.Conv2d(width, num_outputs, 1)
        self.classifier = nn.Linear(widths[-1], num_image_outputs) if num_image_outputs else None

    def forward(self, images_NCHW: Tensor, table_NF: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """Return (N, num_outputs, H, W) logits for images of any size; (N, num_image_outputs) beside them, if any."""
        height, width = images_NCHW.shape[2:]
        features = self._encode(padded(images_NCHW, self.stem_stride * 2**self.depth), table_NF)
        lowest = features.pop()
        of_images = None if self.classifier is None else self.classifier(lowest.mean(dim=(2, 3)))
        for decoder in self.decoders:
            skipped = features.pop()
            enlarged = functional.interpolate(lowest, skipped.shape[2:], mode="bilinear", align_corners=False)
            lowest = decoder(torch.cat([enlarged, skipped], dim=1))
        logits: Tensor = self.head(lowest)
        if self.stem_stride > 1:
            logits = functional.interpolate(
                logits, scale_factor=float(self.stem_stride), mode="bilinear", align_corners=False
            )
        masks = logits[:, :, :height, :width]
        return masks if of_images is None else (masks, of_images)

    def _encode(self, images_NCHW: Tensor, table_NF: Tensor | None) -> list[Tensor]:
        """Return the features of every level, the largest first."""
        features = [self.encoders[0](self.stem(images_NCHW))]
        for encoder in self.encoders[1:]:
            features.append(encoder(functional.max_pool2d(features[-1], 2)))
        if self.of_table is not None and table_NF is not None:
            features[-1] = features[-1] + self.of_table(table_NF)[:, :, None, None]
        return features


register_segmenter("unet")(UNet)
