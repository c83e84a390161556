"""The search for a size: the same for all families and all measures."""

import json
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from kdlab.errors import BadInput
from kdlab.models.scaling.families import family_of
from kdlab.models.scaling.family import Depth, Settings
from kdlab.models.scaling.measures import PARAMETERS, Measure, bare_network

TOLERANCE = 0.05  # largest relative error of the size
CLOSE = 0.01  # relative error at which the search at one depth ends
FAR = 8  # times narrower than the narrowest so far: whether anything is small enough
NARROW = 1.005  # ratio of two factors of width between which no further one is tried
MAX_TRIES = 8  # widths tried for a depth, before those between the two nearest of them


class Scaled(NamedTuple):
    """A network of a requested size."""

    settings: dict[str, Any]
    size: float  # as measured


def scaled_network(
    settings: Settings,
    num_classes: int,
    target: float,
    setting: str = "model",
    *,
    measure: Measure = PARAMETERS,
    tolerance: float | None = TOLERANCE,
) -> Scaled:
    """The network of the same family with about that size, and with a depth in proportion if there is one.

    Args:
        settings: of the network to scale: `source`, `name`, `kwargs`, and any others, which stay as they are.
        num_classes: of its head, which counts too.
        target: the size that it should have.
        setting: the config node of the network, for messages.
        measure: of the size.
        tolerance: largest relative error; None is that of the family in plans, which is larger for ResNets.

    Raises:
        BadInput: no such family, or none of its networks has about that size; the nearest one is named.
    """
    family = family_of(settings, bare_network(settings, num_classes, setting), setting)
    allowed = tolerance or family.tolerance or TOLERANCE
    size_of = _Sizes(measure, num_classes, setting)
    ratio = target / size_of(settings)
    depths = sorted(family.depths, key=lambda depth: _distance(depth.relative, ratio**measure.depth_share))
    found: list[Scaled] = []
    for depth in depths:
        tried = _tried(depth, ratio, target, size_of)
        if allowed <= TOLERANCE:
            tried = _halved(depth, target, tried, size_of)
        found.append(min(tried.values(), key=lambda one: _distance(one.size, target)))
        if abs(found[-1].size / target - 1) <= allowed:
            return found[-1]
    nearest = min(found, key=lambda one: _distance(one.size, target))
    raise BadInput(
        f"{setting}: {settings['name']} cannot be scaled to {measure.show(target)} within {100 * allowed:.0f} %, the "
        f"nearest network: {measure.show(nearest.size)} with {described(nearest.settings)}. Set that size, or scale "
        "another family."
    )


def described(settings: Settings) -> str:
    """A network's name and kwargs as overrides write them, such as `name=resnet14 kwargs={widths:[8,8,16,32]}`."""
    given = {"name": settings["name"], "kwargs": _as_override(settings.get("kwargs") or {})}
    return " ".join(f"{key}={value}" for key, value in given.items())


def _as_override(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{','.join(f'{name}:{_as_override(item)}' for name, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_as_override, value))}]"
    return json.dumps(value)


class _Sizes:
    """The sizes of networks, each measured once in a search."""

    def __init__(self, measure: Measure, num_classes: int, setting: str) -> None:
        self._measure, self._classes, self._setting = measure, num_classes, setting
        self._known: dict[str, float] = {}

    def __call__(self, settings: Settings) -> float:
        key = json.dumps([settings["name"], settings.get("kwargs")], sort_keys=True)
        if key not in self._known:
            self._known[key] = self._measure.size(settings, self._classes, self._setting)
        return self._known[key]


def _tried(depth: Depth, ratio: float, target: float, size_of: Callable[[Settings], float]) -> dict[float, Scaled]:
    """Networks of one depth by factor of width, each corrected by the square root of what the last one misses."""
    factor = math.sqrt(ratio / depth.relative)
    tried: dict[float, Scaled] = {}
    for _ in range(MAX_TRIES):
        settings = dict(depth.widened(factor))
        if any(settings == one.settings for one in tried.values()):
            break
        tried[factor] = Scaled(settings, size_of(settings))
        correction = target / tried[factor].size
        *before, _, size = [None, *(one.size for one in tried.values())]
        if abs(correction - 1) <= CLOSE or size in before:  # at the narrowest, or in a circle around a gap
            break
        factor *= math.sqrt(correction)
    return tried


def _halved(
    depth: Depth, target: float, tried: dict[float, Scaled], size_of: Callable[[Settings], float]
) -> dict[float, Scaled]:
    """Also factors between the nearest too small and the nearest too large network, if none is close yet."""
    if any(abs(one.size / target - 1) <= TOLERANCE for one in tried.values()):
        return tried
    if all(one.size > target for one in tried.values()):
        settings = dict(depth.widened(min(tried) / FAR))
        tried[min(tried) / FAR] = Scaled(settings, size_of(settings))
    smaller = [factor for factor, one in tried.items() if one.size < target]
    larger = [factor for factor, one in tried.items() if one.size >= target]
    low, high = max(smaller, default=0), min(larger, default=0)
    while low and high / low > NARROW:
        middle = math.sqrt(low * high)
        settings = dict(depth.widened(middle))
        tried[middle] = Scaled(settings, size_of(settings))
        low, high = (middle, high) if tried[middle].size < target else (low, middle)
    return tried


def _distance(one: float, other: float) -> float:
    return abs(math.log(one / other))
