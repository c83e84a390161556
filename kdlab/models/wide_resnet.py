"""Wide residual networks for small images: shallower and wider, with the activation before each convolution.

Zagoruyko & Komodakis, "Wide Residual Networks", BMVC 2016 (arXiv:1605.07146).
"""

import torch.nn.functional as F
from torch import Tensor, nn

from kdlab.errors import BadInput
from kdlab.models.initial_weights import kaiming_fan_out
from kdlab.models.renaming import accept_names


class WideResNet(nn.Module):
    """Three stages of pre-activation blocks, at full, half and quarter size.

    A stage ends before its activation, which is the `relu1` of the next stage's first block, or `relu` after the
    last. State dicts of RepDistiller load as well.

    Args:
        num_classes: logits.
        depth: 6n + 4 layers, n blocks to a stage.
        width: how many times 16, 32 and 64 channels the stages have; sixteenths for narrow ones.
        dropout: probability in [0, 1] before the last layer.
        in_channels: channels of the image.

    Raises:
        BadInput: a depth or width that no such network has.
    """

    def __init__(
        self, num_classes: int, *, depth: int, width: float, dropout: float = 0.0, in_channels: int = 3
    ) -> None:
        super().__init__()
        if depth < 10 or depth % 6 != 4:
            raise BadInput(f"kwargs.depth: a wide ResNet has 6n + 4 layers (10, 16, 22, …), got {depth}")
        if width <= 0 or 16 * width % 1:
            raise BadInput(f"kwargs.width: a multiple of 1/16 above 0 is needed, got {width}")
        blocks = (depth - 4) // 6
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        first, second, last = (round(channels * width) for channels in (16, 32, 64))
        self.block1 = _stage(16, first, blocks, 1)
        self.block2 = _stage(first, second, blocks, 2)
        self.block3 = _stage(second, last, blocks, 2)
        self.bn1 = nn.BatchNorm2d(last)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(last, num_classes)
        self.apply(kaiming_fan_out)
        nn.init.zeros_(self.fc.bias)
        accept_names(self, {r"\.layer\.": ".", r"\.convShortcut\.": ".shortcut."})

    def forward(self, images: Tensor) -> Tensor:
        features = self.block3(self.block2(self.block1(self.conv1(images))))
        features = self.relu(self.bn1(features))
        logits: Tensor = self.fc(self.dropout(features.mean(dim=(2, 3))))
        return logits


class PreActivationBlock(nn.Module):
    """Two 3x3 convolutions, each after BatchNorm and ReLU; where the width changes, the shortcut is activated too."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.shortcut = None if channels == width else nn.Conv2d(channels, width, 1, stride, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        activated = self.relu1(self.bn1(features))
        residual: Tensor = self.conv2(F.relu(self.bn2(self.conv1(activated))))
        return residual + (features if self.shortcut is None else self.shortcut(activated))


def _stage(channels: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    first = PreActivationBlock(channels, width, stride)
    return nn.Sequential(first, *(PreActivationBlock(width, width, 1) for _ in range(blocks - 1)))
