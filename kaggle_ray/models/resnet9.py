"""The nine-layer residual network that trains fast from scratch on small images."""

from __future__ import annotations

from torch import Tensor, nn

from kaggle_ray.models.registry import register_model


def convolution(
    in_channels: int, out_channels: int, *, size: int = 3, stride: int = 1, pool: bool = False
) -> nn.Module:
    """Return convolution, batch norm, a 2x2 maximum where ``pool``, and ReLU."""
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, out_channels, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(out_channels),
    ]
    if pool:
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.ReLU(inplace=True))


class ResNet9(nn.Module):
    """A stem, three pooling convolutions, a residual pair after the first and the third, and a global maximum.

    Source: D. Page, "How to train your ResNet", 2018 (the DAWNBench network), with a strided stem for larger images.
    """

    def __init__(
        self, num_outputs: int, width: int = 32, stem_stride: int = 2, dropout: float = 0.0, num_channels: int = 3
    ) -> None:
        """Channels are ``width`` times 1, 2, 4, 8; images need a side of at least 8 times ``stem_stride``."""
        super().__init__()
        self.stem = convolution(num_channels, width, size=3 if stem_stride == 1 else 5, stride=stem_stride)
        self.stage1 = convolution(width, 2 * width, pool=True)
        self.residual1 = nn.Sequential(convolution(2 * width, 2 * width), convolution(2 * width, 2 * width))
        self.stage2 = convolution(2 * width, 4 * width, pool=True)
        self.stage3 = convolution(4 * width, 8 * width, pool=True)
        self.residual3 = nn.Sequential(convolution(8 * width, 8 * width), convolution(8 * width, 8 * width))
        self.dropout = nn.Dropout(dropout)
        self.num_features = 8 * width
        self.head = nn.Linear(8 * width, num_outputs)

    def forward_features(self, images_NCHW: Tensor) -> Tensor:
        """Return (N, num_features, H, W)."""
        features = self.stage1(self.stem(images_NCHW))
        features = features + self.residual1(features)
        lowest = self.stage3(self.stage2(features))
        refined: Tensor = lowest + self.residual3(lowest)
        return refined

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return (N, num_outputs) logits."""
        logits: Tensor = self.head(self.dropout(self.forward_features(images_NCHW).amax(dim=(2, 3))))
        return logits


register_model("resnet9")(ResNet9)
