"""Families of torchvision: MobileNetV2, MobileNetV3 and ShuffleNetV2."""

from collections.abc import Iterator
from typing import Any

from torch import nn

from kdlab.models.scaling.family import Depth, Family, Settings, proportional, scaled, with_kwargs

INVERTED_RESIDUALS = "inverted_residual_setting"  # of MobileNetV2: expansion, channels, blocks and stride of each stage
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def family_of(settings: Settings, network: nn.Module) -> Family | None:
    """The depths of a network of torchvision; None where its family is none of these."""
    from torchvision.models import MobileNetV2, MobileNetV3, ShuffleNetV2

    if isinstance(network, MobileNetV2):
        return Family(_mobilenets_v2(settings))
    if isinstance(network, MobileNetV3):
        return Family([Depth(1.0, lambda factor: with_kwargs(settings, width_mult=_width(settings, factor)))])
    return Family(_shufflenets(settings, network)) if isinstance(network, ShuffleNetV2) else None


def _width(settings: Settings, factor: float) -> float:
    given: float = (settings.get("kwargs") or {}).get("width_mult", 1.0)
    return round(given * factor, 3)


def _mobilenets_v2(settings: Settings) -> Iterator[Depth]:
    """Any numbers of blocks in the given proportions; torchvision rounds channels to multiples of 8."""
    stages = (settings.get("kwargs") or {}).get(INVERTED_RESIDUALS) or STAGES
    given = [blocks for _, _, blocks, _ in stages]
    for counts in proportional(given):
        scaled_stages = [[t, c, count, s] for (t, c, _, s), count in zip(stages, counts, strict=True)]
        deep = {INVERTED_RESIDUALS: scaled_stages} if counts != given else {}

        def widened(factor: float, deep: dict[str, Any] = deep) -> Settings:
            return with_kwargs(settings, width_mult=_width(settings, factor), **deep)

        yield Depth(sum(counts) / sum(given), widened)


def _shufflenets(settings: Settings, network: Any) -> Iterator[Depth]:
    """Any numbers of blocks in the given proportions, at even numbers of channels."""
    given = [len(stage) for stage in (network.stage2, network.stage3, network.stage4)]
    stem = network.conv1[0].out_channels
    widths = [network.stage2[0].branch2[0].out_channels * 2, network.stage3[0].branch2[0].out_channels * 2]
    widths += [network.stage4[0].branch2[0].out_channels * 2, network.conv5[0].out_channels]
    for repeats in proportional(given):

        def widened(factor: float, repeats: list[int] = repeats) -> Settings:
            channels = [stem, *scaled(widths, factor, 2)]
            return with_kwargs(settings, stages_repeats=repeats, stages_out_channels=channels)

        yield Depth(sum(repeats) / sum(given), widened)
