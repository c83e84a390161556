"""ResNet-50 for small images: a 3x3 stem that keeps the size, then four stages of bottleneck blocks.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016 (arXiv:1512.03385), with the stem of
the CIFAR-100 benchmark (Tian et al., ICLR 2020, arXiv:1910.10699).
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from kdlab.errors import BadInput
from kdlab.models.initial_weights import kaiming_fan_out
from kdlab.models.renaming import accept_names

EXPANSION = 4  # output channels of a block for one of its inner channels


class ResNet50(nn.Module):
    """ResNet-50 at strides 1, 2, 4 and 8; nothing happens in place after a stage.

    State dicts of RepDistiller, which call a block's projection `shortcut` and the last layer `linear`, load too.

    Args:
        num_classes: logits.
        widths: channels of the stem, and inner channels of the blocks of each of the four stages.
        blocks: of the stages.
        dropout: probability in [0, 1] before the last layer.
        in_channels: channels of the image.

    Raises:
        BadInput: not five widths, or not four numbers of blocks.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        widths: Sequence[int] = (64, 64, 128, 256, 512),
        blocks: Sequence[int] = (3, 4, 6, 3),
        dropout: float = 0.0,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        _check(widths, blocks)
        stem, *stages = widths
        channels = [stem, *(EXPANSION * width for width in stages)]
        self.conv1 = nn.Conv2d(in_channels, stem, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.layer1 = _stage(channels[0], stages[0], blocks=blocks[0], stride=1)
        self.layer2 = _stage(channels[1], stages[1], blocks=blocks[1], stride=2)
        self.layer3 = _stage(channels[2], stages[2], blocks=blocks[2], stride=2)
        self.layer4 = _stage(channels[3], stages[3], blocks=blocks[3], stride=2)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels[4], num_classes)
        self.apply(kaiming_fan_out)
        accept_names(self, {r"\.shortcut\.": ".downsample.", r"^linear\.": "fc."})

    def forward(self, images: Tensor) -> Tensor:
        features = F.relu(self.bn1(self.conv1(images)))
        features = self.layer4(self.layer3(self.layer2(self.layer1(features))))
        logits: Tensor = self.fc(self.dropout(features.mean(dim=(2, 3))))
        return logits


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1 ones around a shortcut; the output is after the ReLU."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, EXPANSION * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(EXPANSION * width)
        self.downsample = _shortcut(channels, EXPANSION * width, stride)

    def forward(self, features: Tensor) -> Tensor:
        residual = F.relu(self.bn1(self.conv1(features)))
        residual = F.relu(self.bn2(self.conv2(residual)))
        return F.relu(self.bn3(self.conv3(residual)) + self.downsample(features))


def _check(widths: Sequence[int], blocks: Sequence[int]) -> None:
    if len(widths) != 5 or min(widths) < 1:
        raise BadInput(f"kwargs.widths: five numbers are needed, the stem's and four stages', got {list(widths)}")
    if len(blocks) != 4 or min(blocks) < 1:
        raise BadInput(f"kwargs.blocks: four numbers of at least 1 are needed, one for each stage, got {list(blocks)}")


def _stage(channels: int, width: int, *, blocks: int, stride: int) -> nn.Sequential:
    first = Bottleneck(channels, width, stride)
    return nn.Sequential(first, *(Bottleneck(EXPANSION * width, width, 1) for _ in range(blocks - 1)))


def _shortcut(channels: int, width: int, stride: int) -> nn.Module:
    if stride == 1 and channels == width:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))
