"""A family of networks: its depths, and the settings of each at any width."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

EARLIER_TOLERANCE = 0.15  # in plans, of families that they could scale first: their networks stay the same
Settings = Mapping[str, Any]  # of a network: `source`, `name`, `kwargs`, and any others


@dataclass(frozen=True)
class Depth:
    """A depth of a family.

    Attributes:
        relative: to the depth of the network that is scaled.
        widened: returns the settings of the network of this depth, by the factor on the given widths.
    """

    relative: float
    widened: Callable[[float], Settings]


@dataclass(frozen=True)
class Family:
    """The depths of a family.

    Attributes:
        depths: any number, in any order.
        tolerance: largest relative error in a plan; None is that of all other searches.
    """

    depths: Iterable[Depth]
    tolerance: float | None = None


def with_kwargs(settings: Settings, **kwargs: Any) -> dict[str, Any]:
    """Settings with further keyword arguments of the network."""
    return {**settings, "kwargs": {**(settings.get("kwargs") or {}), **kwargs}}


def scaled(widths: Sequence[float], factor: float, multiple: int = 1) -> list[int]:
    """Widths times a factor, as multiples of a number, and at least that number."""
    return [multiple * max(1, round(width * factor / multiple)) for width in widths]


def proportional(blocks: Sequence[int]) -> Iterator[list[int]]:
    """Numbers of blocks of the stages in the proportions of the given ones, from a tenth to three times as many."""
    for counts in dict.fromkeys(tuple(scaled(blocks, tenths / 10)) for tenths in range(1, 31)):
        yield list(counts)
