"""Networks of kdlab without shortcuts: VGG, and the small CNN."""

from collections.abc import Iterator, Sequence

from kdlab.models.scaling.family import Depth, Settings, proportional, scaled, with_kwargs
from kdlab.models.scaling.residual import arguments
from kdlab.models.small_cnn import SmallCNN
from kdlab.models.vgg import VGG


def vggs(settings: Settings) -> Iterator[Depth]:
    """Five blocks of any numbers of convolutions in the given proportions; further ones repeat a block's last width."""
    given = arguments(VGG, settings)[0]["widths"]
    counts = [len(block) for block in given]
    for convolutions in proportional(counts):

        def widened(factor: float, convolutions: list[int] = convolutions) -> Settings:
            blocks = [
                scaled(_of_length(block, count), factor) for block, count in zip(given, convolutions, strict=True)
            ]
            return with_kwargs(settings, widths=blocks)

        yield Depth(sum(convolutions) / sum(counts), widened)


def small_cnns(settings: Settings) -> Iterator[Depth]:
    """One depth, at any width."""
    given = arguments(SmallCNN, settings)[0]["widths"]
    yield Depth(1.0, lambda factor: with_kwargs(settings, widths=scaled(given, factor)))


def _of_length(widths: Sequence[int], length: int) -> list[int]:
    return [widths[min(index, len(widths) - 1)] for index in range(length)]
