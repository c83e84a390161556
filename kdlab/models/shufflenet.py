"""ShuffleNets for small images: grouped convolutions that exchange their channels by a shuffle.

V1: Zhang et al., "ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices", CVPR 2018
(arXiv:1707.01083). V2: Ma et al., "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design", ECCV
2018 (arXiv:1807.11164). Both with the 1x1 stem of the CIFAR-100 benchmark (Tian et al., ICLR 2020, arXiv:1910.10699).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdlab.errors import BadInput
from kdlab.models.renaming import accept_names

STEM = 24  # channels
BLOCKS = (4, 8, 4)  # of the three stages


class ShuffleNetV1(nn.Module):
    """Three stages at strides 2, 4 and 8, of convolutions in three groups.

    State dicts of RepDistiller, which call the last layer `linear`, load as well.

    Args:
        num_classes: logits.
        widths: channels of the three stages, each a multiple of 12 and wider than the one before; the stem has 24.
        blocks: of the stages.
        dropout: probability in [0, 1] before the last layer.
        in_channels: channels of the image.

    Raises:
        BadInput: widths or blocks that no such network has.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        widths: Sequence[int] = (240, 480, 960),
        blocks: Sequence[int] = BLOCKS,
        dropout: float = 0.0,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        _check_v1(widths, blocks)
        self.conv1 = nn.Conv2d(in_channels, STEM, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM)
        self.layer1 = _stage_v1(STEM, widths[0], blocks[0])
        self.layer2 = _stage_v1(widths[0], widths[1], blocks[1])
        self.layer3 = _stage_v1(widths[1], widths[2], blocks[2])
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(widths[2], num_classes)
        accept_names(self, {r"^linear\.": "fc."})

    def forward(self, images: Tensor) -> Tensor:
        features = F.relu(self.bn1(self.conv1(images)))
        features = self.layer3(self.layer2(self.layer1(features)))
        logits: Tensor = self.fc(self.dropout(features.mean(dim=(2, 3))))
        return logits


class GroupedBottleneck(nn.Module):
    """The block of V1; at stride 2 its pooled input is concatenated to its output, otherwise added."""

    GROUPS = 3

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        inner = width // 4
        self.stride = stride
        self.groups = 1 if channels == STEM else self.GROUPS
        self.conv1 = nn.Conv2d(channels, inner, 1, groups=self.groups, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, padding=1, groups=inner, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, width, 1, groups=self.GROUPS, bias=False)
        self.bn3 = nn.BatchNorm2d(width)

    def forward(self, features: Tensor) -> Tensor:
        residual = shuffle(F.relu(self.bn1(self.conv1(features))), self.groups)
        residual = F.relu(self.bn2(self.conv2(residual)))
        residual = self.bn3(self.conv3(residual))
        if self.stride == 1:
            return F.relu(residual + features)
        return F.relu(torch.cat([residual, F.avg_pool2d(features, 3, stride=2, padding=1)], dim=1))


class ShuffleNetV2(nn.Module):
    """Three stages at strides 2, 4 and 8 and a 1x1 convolution: by default size 1 of the paper.

    State dicts of RepDistiller, which call the last layer `linear`, load as well.

    Args:
        num_classes: logits.
        widths: channels of the three stages, each even, and of the last convolution.
        blocks: of the stages.
        dropout: probability in [0, 1] before the last layer.
        in_channels: channels of the image.

    Raises:
        BadInput: widths or blocks that no such network has.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        widths: Sequence[int] = (116, 232, 464, 1024),
        blocks: Sequence[int] = BLOCKS,
        dropout: float = 0.0,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        _check_v2(widths, blocks)
        self.conv1 = nn.Conv2d(in_channels, STEM, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM)
        self.layer1 = _stage_v2(STEM, widths[0], blocks[0])
        self.layer2 = _stage_v2(widths[0], widths[1], blocks[1])
        self.layer3 = _stage_v2(widths[1], widths[2], blocks[2])
        self.conv2 = nn.Conv2d(widths[2], widths[3], 1, bias=False)
        self.bn2 = nn.BatchNorm2d(widths[3])
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(widths[3], num_classes)
        accept_names(self, {r"^linear\.": "fc."})

    def forward(self, images: Tensor) -> Tensor:
        features = F.relu(self.bn1(self.conv1(images)))
        features = self.layer3(self.layer2(self.layer1(features)))
        features = F.relu(self.bn2(self.conv2(features)))
        logits: Tensor = self.fc(self.dropout(features.mean(dim=(2, 3))))
        return logits


class SplitBlock(nn.Module):
    """The block of V2: half of the channels pass unchanged, the others are filtered, and all are shuffled."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = nn.Conv2d(half, half, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(half)
        self.conv2 = nn.Conv2d(half, half, 3, padding=1, groups=half, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(half, half, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(half)

    def forward(self, features: Tensor) -> Tensor:
        passed, filtered = features.chunk(2, dim=1)
        filtered = F.relu(self.bn1(self.conv1(filtered)))
        filtered = self.bn2(self.conv2(filtered))
        filtered = F.relu(self.bn3(self.conv3(filtered)))
        return shuffle(torch.cat([passed, filtered], dim=1), 2)


class DownBlock(nn.Module):
    """The first block of a stage of V2: two branches at half the size, each with half of the channels, shuffled."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        half = width // 2
        self.conv1 = nn.Conv2d(channels, channels, 3, 2, padding=1, groups=channels, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, half, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(channels, half, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(half)
        self.conv4 = nn.Conv2d(half, half, 3, 2, padding=1, groups=half, bias=False)
        self.bn4 = nn.BatchNorm2d(half)
        self.conv5 = nn.Conv2d(half, half, 1, bias=False)
        self.bn5 = nn.BatchNorm2d(half)

    def forward(self, features: Tensor) -> Tensor:
        short = F.relu(self.bn2(self.conv2(self.bn1(self.conv1(features)))))
        long = F.relu(self.bn3(self.conv3(features)))
        long = self.bn4(self.conv4(long))
        long = F.relu(self.bn5(self.conv5(long)))
        return shuffle(torch.cat([short, long], dim=1), 2)


def shuffle(features: Tensor, groups: int) -> Tensor:
    """Interleaves the channels of `groups` equal groups, so that the next grouped convolution reads all of them."""
    batch, channels, height, width = features.shape
    shuffled = features.reshape(batch, groups, channels // groups, height, width).transpose(1, 2)
    return shuffled.reshape(batch, channels, height, width)


def _check_v1(widths: Sequence[int], blocks: Sequence[int]) -> None:
    multiple = 4 * GroupedBottleneck.GROUPS
    growing = all(before < width for before, width in zip((STEM, *widths), widths, strict=False))
    if len(widths) != 3 or not growing or any(width % multiple for width in widths):
        raise BadInput(
            f"kwargs.widths: three growing multiples of {multiple} above {STEM} are needed, one for each stage, "
            f"got {list(widths)}"
        )
    _check_blocks(blocks)


def _check_v2(widths: Sequence[int], blocks: Sequence[int]) -> None:
    if len(widths) != 4 or min(widths) < 1 or any(width % 2 for width in widths[:3]):
        raise BadInput(
            "kwargs.widths: three even numbers, one for each stage, and that of the last convolution are needed, "
            f"got {list(widths)}"
        )
    _check_blocks(blocks)


def _check_blocks(blocks: Sequence[int]) -> None:
    if len(blocks) != 3 or min(blocks) < 1:
        raise BadInput(f"kwargs.blocks: three numbers of at least 1 are needed, one for each stage, got {list(blocks)}")


def _stage_v1(channels: int, width: int, blocks: int) -> nn.Sequential:
    first = GroupedBottleneck(channels, width - channels, 2)  # its input is concatenated
    return nn.Sequential(first, *(GroupedBottleneck(width, width, 1) for _ in range(blocks - 1)))


def _stage_v2(channels: int, width: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(DownBlock(channels, width), *(SplitBlock(width) for _ in range(blocks - 1)))
