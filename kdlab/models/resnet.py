"""Residual networks of basic blocks for small images.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2 (arXiv:1512.03385).
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from kdlab.errors import BadInput
from kdlab.models.initial_weights import kaiming_fan_out
from kdlab.models.renaming import accept_names


class ResNet(nn.Module):
    """A residual network for small images: three stages of basic blocks, at full, half and quarter size.

    State dicts that call the last layer `linear` (github.com/akamaster/pytorch_resnet_cifar10) load as well.

    Args:
        depth: 6n + 2 layers, n blocks to a stage.
        num_classes: logits.
        widths: channels of the stem and of the three stages.
        shortcut: where a block changes shape, `pad` subsamples and fills with zero channels (option A of the
            paper, no parameters); `projection` is a 1x1 convolution with BatchNorm (option B, RepDistiller).
        dropout: probability in [0, 1] before the last layer.
        in_channels: channels of the image.

    Raises:
        BadInput: depth, widths or shortcut that no such network has.
    """

    def __init__(
        self,
        depth: int,
        num_classes: int,
        *,
        widths: Sequence[int] = (16, 16, 32, 64),
        shortcut: str = "pad",
        dropout: float = 0.0,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        _check(depth, widths, shortcut)
        stem, *stages = widths
        blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(in_channels, stem, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.layer1 = _stage(stem, stages[0], blocks, 1, shortcut)
        self.layer2 = _stage(stages[0], stages[1], blocks, 2, shortcut)
        self.layer3 = _stage(stages[1], stages[2], blocks, 2, shortcut)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(stages[2], num_classes)
        self.apply(kaiming_fan_out)
        accept_names(self, {r"^linear\.": "fc."})

    def forward(self, images: Tensor) -> Tensor:
        features = F.relu(self.bn1(self.conv1(images)))
        features = self.layer3(self.layer2(self.layer1(features)))
        logits: Tensor = self.fc(self.dropout(features.mean(dim=(2, 3))))
        return logits


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut; the output is after the ReLU, and nothing happens in place."""

    def __init__(self, channels: int, width: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(channels, width, stride, shortcut)

    def forward(self, features: Tensor) -> Tensor:
        residual = F.relu(self.bn1(self.conv1(features)))
        return F.relu(self.bn2(self.conv2(residual)) + self.downsample(features))


class PadShortcut(nn.Module):
    """Every `stride`-th pixel, with zero channels added on both sides: option A of the paper."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.before = (width - channels) // 2
        self.after = width - channels - self.before

    def forward(self, features: Tensor) -> Tensor:
        kept = features[:, :, :: self.stride, :: self.stride]
        return F.pad(kept, (0, 0, 0, 0, self.before, self.after))


def _check(depth: int, widths: Sequence[int], shortcut: str) -> None:
    if depth < 8 or depth % 6 != 2:
        raise BadInput(f"depth: a CIFAR ResNet has 6n + 2 layers (8, 14, 20, …), got {depth}")
    if len(widths) != 4:
        raise BadInput(f"kwargs.widths: four numbers are needed, the stem's and three stages', got {list(widths)}")
    if shortcut not in ("pad", "projection"):
        raise BadInput(f"kwargs.shortcut: choose 'pad' or 'projection', got {shortcut!r}")
    if shortcut == "pad" and list(widths) != sorted(widths):
        raise BadInput(
            f"kwargs.widths: with shortcut 'pad' no stage may be narrower than the one before, "
            f"got {list(widths)}; use shortcut 'projection' or growing widths"
        )


def _stage(channels: int, width: int, blocks: int, stride: int, shortcut: str) -> nn.Sequential:
    first = BasicBlock(channels, width, stride, shortcut)
    return nn.Sequential(first, *(BasicBlock(width, width, 1, shortcut) for _ in range(blocks - 1)))


def _shortcut(channels: int, width: int, stride: int, shortcut: str) -> nn.Module:
    if stride == 1 and channels == width:
        return nn.Identity()
    if shortcut == "pad":
        return PadShortcut(channels, width, stride)
    return nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))
