"""Mobile networks of kdlab: MobileNetV2 and both ShuffleNets for small images."""

from collections.abc import Iterator, Sequence

from kdlab.models.mobilenet import STAGES, MobileNetV2
from kdlab.models.scaling.family import Depth, Settings, proportional, scaled, with_kwargs
from kdlab.models.scaling.residual import arguments
from kdlab.models.shufflenet import STEM, GroupedBottleneck, ShuffleNetV1, ShuffleNetV2

NARROWEST = 1 / STAGES[0][0]  # width at which the first stage of a MobileNetV2 has one channel
THOUSANDTHS = 3  # decimals of a width that is a factor
GROUPED = 4 * GroupedBottleneck.GROUPS  # channels of a ShuffleNetV1 are multiples of it


def mobilenets(settings: Settings) -> Iterator[Depth]:
    """Any numbers of blocks in the given proportions, at a width in thousandths."""
    given, _ = arguments(MobileNetV2, settings)
    for blocks in proportional(given["blocks"]):

        def widened(factor: float, blocks: list[int] = blocks) -> Settings:
            width = max(NARROWEST, round(given["width"] * factor, THOUSANDTHS))
            return with_kwargs(settings, width=width, blocks=blocks)

        yield Depth(sum(blocks) / sum(given["blocks"]), widened)


def shufflenets_v1(settings: Settings) -> Iterator[Depth]:
    """Any numbers of blocks in the given proportions, at growing multiples of 12 channels."""
    given, _ = arguments(ShuffleNetV1, settings)
    for blocks in proportional(given["blocks"]):

        def widened(factor: float, blocks: list[int] = blocks) -> Settings:
            return with_kwargs(settings, widths=_growing(scaled(given["widths"], factor, GROUPED)), blocks=blocks)

        yield Depth(sum(blocks) / sum(given["blocks"]), widened)


def shufflenets_v2(settings: Settings) -> Iterator[Depth]:
    """Any numbers of blocks in the given proportions, at even numbers of channels."""
    given, _ = arguments(ShuffleNetV2, settings)
    for blocks in proportional(given["blocks"]):

        def widened(factor: float, blocks: list[int] = blocks) -> Settings:
            return with_kwargs(settings, widths=scaled(given["widths"], factor, 2), blocks=blocks)

        yield Depth(sum(blocks) / sum(given["blocks"]), widened)


def _growing(widths: Sequence[int]) -> list[int]:
    """Each at least a multiple wider than the one before, the first than the stem."""
    grown = [STEM]
    for width in widths:
        grown.append(max(width, grown[-1] + GROUPED))
    return grown[1:]
