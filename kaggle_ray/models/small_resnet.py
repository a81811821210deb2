"""A residual network small enough to be trained from scratch on a CPU."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from kaggle_ray.models.registry import register_model


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut (He et al., CVPR 2016), which is pooled where the block strides.

    The pooled shortcut is ResNet-D's (He et al., CVPR 2019).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        """Map (N, in_channels, H, W) to (N, out_channels, H / stride, W / stride)."""
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        shortcut: list[nn.Module] = []
        if stride != 1:
            shortcut.append(nn.AvgPool2d(stride, ceil_mode=True))
        if in_channels != out_channels:
            shortcut += [nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels)]
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, features: Tensor) -> Tensor:
        """Return the block's features."""
        inner = functional.relu(self.norm1(self.conv1(features)), inplace=True)
        return functional.relu(self.norm2(self.conv2(inner)) + self.shortcut(features), inplace=True)


class SmallResNet(nn.Module):
    """A 3x3 stem, one stage of residual blocks per entry of ``blocks``, average pooling and a linear layer."""

    def __init__(
        self,
        num_outputs: int,
        width: int = 32,
        blocks: Sequence[int] = (1, 1, 1, 1),
        stem_stride: int = 2,
        dropout: float = 0.0,
        num_channels: int = 3,
    ) -> None:
        """Channels are ``width`` times 1, 2, 4, ...; each stage but the first halves the sides."""
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(num_channels, width, 3, stem_stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        stages: list[nn.Module] = []
        channels = width
        for stage, num_blocks in enumerate(blocks):
            for block in range(num_blocks):
                stride = 2 if stage and not block else 1
                stages.append(ResidualBlock(channels, width * 2**stage, stride))
                channels = width * 2**stage
        self.stages = nn.Sequential(*stages)
        self.dropout = nn.Dropout(dropout)
        self.num_features = channels
        self.head = nn.Linear(channels, num_outputs)

    def forward_features(self, images_NCHW: Tensor) -> Tensor:
        """Return (N, num_features, H, W)."""
        features: Tensor = self.stages(self.stem(images_NCHW))
        return features

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return (N, num_outputs) logits."""
        logits: Tensor = self.head(self.dropout(self.forward_features(images_NCHW).mean(dim=(2, 3))))
        return logits


register_model("small_resnet")(SmallResNet)
