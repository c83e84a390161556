"""VGG for small images: plain 3x3 convolutions with BatchNorm, and one linear layer.

Simonyan & Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015
(arXiv:1409.1556), as in the CIFAR-100 benchmark (Tian et al., ICLR 2020, arXiv:1910.10699).
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from kdlab.errors import BadInput
from kdlab.models.initial_weights import kaiming_fan_out, small_linear
from kdlab.models.renaming import accept_names


class VGG(nn.Module):
    """Five blocks of convolutions, at strides 1, 2, 4, 8 and 8; each ends after its ReLU.

    State dicts of RepDistiller, which call the last layer `classifier`, load as well.

    Args:
        num_classes: logits.
        widths: for each of the five blocks, the channels of its convolutions.
        dropout: probability in [0, 1] before the last layer.
        in_channels: channels of the image.

    Raises:
        BadInput: not five blocks, or one without convolutions.
    """

    def __init__(
        self, num_classes: int, *, widths: Sequence[Sequence[int]], dropout: float = 0.0, in_channels: int = 3
    ) -> None:
        super().__init__()
        if len(widths) != 5 or not all(widths):
            raise BadInput(f"kwargs.widths: five lists of channels are needed, one for each block, got {widths}")
        channels = [in_channels, *(block[-1] for block in widths)]
        self.block0 = _block(channels[0], widths[0])
        self.block1 = _block(channels[1], widths[1])
        self.block2 = _block(channels[2], widths[2])
        self.block3 = _block(channels[3], widths[3])
        self.block4 = _block(channels[4], widths[4])
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels[5], num_classes)
        self.apply(kaiming_fan_out)
        self.apply(small_linear)
        accept_names(self, {r"^classifier\.": "fc."})

    def forward(self, images: Tensor) -> Tensor:
        features = self.block0(images)
        for block in (self.block1, self.block2, self.block3):
            features = block(F.max_pool2d(features, 2))
        features = self.block4(features)
        logits: Tensor = self.fc(self.dropout(features.mean(dim=(2, 3))))
        return logits


def _block(channels: int, widths: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, width in zip([channels, *widths], widths, strict=False):
        layers += [nn.Conv2d(before, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
    return nn.Sequential(*layers)
