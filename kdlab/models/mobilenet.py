"""MobileNetV2 for small images: depthwise convolutions between a wide and a narrow 1x1 one.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018 (arXiv:1801.04381), as in the
CIFAR-100 benchmark (Tian et al., ICLR 2020, arXiv:1910.10699).
"""

from collections.abc import Sequence

from torch import Tensor, nn

from kdlab.errors import BadInput
from kdlab.models.initial_weights import kaiming_fan_out, small_linear
from kdlab.models.renaming import accept_names

STAGES = ((16, 1), (24, 1), (32, 2), (64, 2), (96, 1), (160, 2), (320, 1))  # channels at full width, first stride
BLOCKS = (1, 2, 3, 4, 3, 3, 1)  # of the stages
EXPANSION = 6  # inner channels of a block for one of its input; 1 in the first stage
STEM, LAST = 32, 1280


class MobileNetV2(nn.Module):
    """Seven stages of inverted residuals, from stride 2 to 16. Their outputs are linear, as in the paper.

    State dicts of RepDistiller, which call the last layer `classifier.0`, load as well.

    Args:
        num_classes: logits.
        width: factor on the channels of the stem and the stages.
        blocks: of each of the seven stages.
        dropout: probability in [0, 1] before the last layer.
        in_channels: channels of the image.

    Raises:
        BadInput: a width that leaves a stage without channels, or blocks that are not those of seven stages.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        width: float = 1.0,
        blocks: Sequence[int] = BLOCKS,
        dropout: float = 0.0,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        _check(width, blocks)
        self.conv1 = _convolution(in_channels, int(STEM * width), 3, stride=2)
        self.blocks = _stages(width, blocks)
        self.conv2 = _convolution(int(STAGES[-1][0] * width), LAST, 1, stride=1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(LAST, num_classes)
        self.apply(kaiming_fan_out)
        self.apply(small_linear)
        accept_names(self, {r"^classifier\.0\.": "fc."})

    def forward(self, images: Tensor) -> Tensor:
        features = self.conv2(self.blocks(self.conv1(images)))
        logits: Tensor = self.fc(self.dropout(features.mean(dim=(2, 3))))
        return logits


class InvertedResidual(nn.Module):
    """Widen, filter each channel, narrow without an activation; the input is added where the shape stays."""

    def __init__(self, channels: int, width: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = channels * expansion
        self.adds_input = stride == 1 and channels == width
        self.conv = nn.Sequential(
            *_convolution(channels, inner, 1, stride=1),
            *_convolution(inner, inner, 3, stride=stride, groups=inner),
            nn.Conv2d(inner, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, features: Tensor) -> Tensor:
        residual: Tensor = self.conv(features)
        return features + residual if self.adds_input else residual


def _check(width: float, blocks: Sequence[int]) -> None:
    narrowest = STAGES[0][0]
    if int(narrowest * width) < 1:
        raise BadInput(
            f"kwargs.width: at least 1/{narrowest} is needed, so that every stage has a channel, got {width}"
        )
    if len(blocks) != len(STAGES) or min(blocks) < 1:
        raise BadInput(f"kwargs.blocks: seven numbers of at least 1 are needed, one for each stage, got {list(blocks)}")


def _stages(width: float, blocks: Sequence[int]) -> nn.Sequential:
    channels, stages = int(STEM * width), []
    for index, ((full, stride), count) in enumerate(zip(STAGES, blocks, strict=True)):
        scaled, expansion = int(full * width), EXPANSION if index else 1
        first = InvertedResidual(channels, scaled, stride, expansion)
        others = (InvertedResidual(scaled, scaled, 1, expansion) for _ in range(count - 1))
        stages.append(nn.Sequential(first, *others))
        channels = scaled
    return nn.Sequential(*stages)


def _convolution(channels: int, width: int, kernel: int, *, stride: int, groups: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(channels, width, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU())
