"""Networks of a requested size: the depth and width of a family, scaled to a number of parameters.

Compound scaling: Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019
(arXiv:1905.11946). Parameters are proportional to depth × width²; here depth takes a quarter of their logarithm.
"""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

import kdlab.models.cifar
from kdlab.errors import BadInput
from kdlab.models.build import build_network
from kdlab.models.cost import parameter_count
from kdlab.models.resnet import ResNet
from kdlab.models.wide_resnet import WideResNet

TOLERANCE = 0.15  # largest relative error of the number of parameters
CLOSE = 0.01  # relative error at which the search at one depth ends
DEPTH_SHARE = 0.25
MAX_TRIES = 8  # widths tried for a depth
MAX_DEPTH = 112  # layers of a wide ResNet

Settings = Mapping[str, Any]


def scaled_network(settings: Settings, num_classes: int, parameters: int, setting: str = "model") -> dict[str, Any]:
    """The settings of a network of the same family with about that many parameters.

    Args:
        settings: of the network to scale: `source`, `name`, `kwargs`, and any others, which stay as they are.
        num_classes: of its head, whose parameters count.
        parameters: how many it should have.
        setting: the config node of the network, for messages.

    Raises:
        BadInput: no such family, or none of its networks is within 15 %.
    """
    network = _on_meta(settings, num_classes, setting)
    ratio = parameters / parameter_count(network)
    depths = sorted(
        _depths(settings, network, setting), key=lambda depth: _distance(depth.relative, ratio**DEPTH_SHARE)
    )
    found: list[_Candidate] = []
    for depth in depths:
        found.append(_fitted(depth, ratio, parameters, num_classes, setting))
        if abs(found[-1].parameters / parameters - 1) <= TOLERANCE:
            return dict(found[-1].settings)
    nearest = min(found, key=lambda one: _distance(one.parameters, parameters))
    raise BadInput(
        f"{setting}: {settings['name']} cannot be scaled to {parameters} parameters, the closest network has "
        f"{nearest.parameters}. Set another size, or scale another family."
    )


def count_parameters(settings: Settings, num_classes: int, setting: str = "model") -> int:
    """How many parameters a network would have; nothing is allocated, and its weights do not matter.

    Args:
        settings: `source`, `name` and `kwargs`.
        num_classes: of its head.
        setting: the config node of the network, for messages.
    """
    return parameter_count(_on_meta(settings, num_classes, setting))


@dataclass(frozen=True)
class _Depth:
    """A depth of a family, relative to that of the network to scale, and its settings by factor of width."""

    relative: float
    widened: Callable[[float], Settings]


@dataclass(frozen=True)
class _Candidate:
    settings: Settings
    parameters: int


def _fitted(depth: _Depth, ratio: float, parameters: int, num_classes: int, setting: str) -> _Candidate:
    """The closest network of one depth."""
    factor = math.sqrt(ratio / depth.relative)
    found: list[_Candidate] = []
    for _ in range(MAX_TRIES):
        settings = depth.widened(factor)
        if any(settings == one.settings for one in found):
            break
        found.append(_Candidate(settings, count_parameters(settings, num_classes, setting)))
        correction = parameters / found[-1].parameters
        if abs(correction - 1) <= CLOSE:
            break
        factor *= math.sqrt(correction)
    return min(found, key=lambda one: _distance(one.parameters, parameters))


def _distance(one: float, other: float) -> float:
    return abs(math.log(one / other))


def _on_meta(settings: Settings, num_classes: int, setting: str) -> nn.Module:
    arguments = {name: settings[name] for name in ("source", "name", "kwargs") if name in settings}
    with torch.device("meta"):
        return build_network(**arguments, num_classes=num_classes, setting=setting)


def _depths(settings: Settings, network: nn.Module, setting: str) -> Iterator[_Depth]:
    if isinstance(network, ResNet):
        return _resnets(settings)
    if isinstance(network, WideResNet):
        return _wide_resnets(settings)
    if settings["source"] == "timm":
        import timm.models.resnet

        if isinstance(network, timm.models.resnet.ResNet) and not _is_grouped(network):
            return _timm_resnets(settings, network)
    raise BadInput(
        f"{setting} must be of a family that can be scaled (resnetN or wrn of source cifar, an ungrouped ResNet of "
        "timm), "
        f"got {settings['name']} of {settings['source']}. plan=assistant chains networks of any kind."
    )


def _is_grouped(network: nn.Module) -> bool:
    """Whether it is a ResNeXt: its widths must be multiples of its groups, which a small factor cannot keep."""
    return any(isinstance(layer, nn.Conv2d) and layer.groups > 1 for layer in network.modules())


def _resnets(settings: Settings) -> Iterator[_Depth]:
    """The depths of the named CIFAR ResNets, at any width."""
    given, kwargs = _arguments(ResNet, settings)
    makers = {name: getattr(kdlab.models.cifar, name) for name in kdlab.models.cifar.__all__}
    named = {name: make.args[0] for name, make in makers.items() if getattr(make, "func", None) is ResNet}
    for name in [name for name in named if not makers[name].keywords]:

        def widened(factor: float, name: str = name) -> Settings:
            return {**settings, "name": name, "kwargs": {**kwargs, "widths": _scaled(given["widths"], factor)}}

        yield _Depth((named[name] - 2) / (given["depth"] - 2), widened)


def _wide_resnets(settings: Settings) -> Iterator[_Depth]:
    given, kwargs = _arguments(WideResNet, settings)
    for depth in range(10, MAX_DEPTH, 6):

        def widened(factor: float, depth: int = depth) -> Settings:
            (sixteenths,) = _scaled([16 * given["width"]], factor)
            return {**settings, "name": "wrn", "kwargs": {**kwargs, "depth": depth, "width": sixteenths / 16}}

        yield _Depth((depth - 4) / (given["depth"] - 4), widened)


def _timm_resnets(settings: Settings, network: Any) -> Iterator[_Depth]:
    """Any number of blocks in the proportions of the given ones."""
    given = [len(stage) for stage in (network.layer1, network.layer2, network.layer3, network.layer4)]
    channels = settings.get("kwargs", {}).get("channels", (64, 128, 256, 512))
    for layers in dict.fromkeys(tuple(_scaled(given, tenths / 10)) for tenths in range(1, 31)):

        def widened(factor: float, layers: Sequence[int] = layers) -> Settings:
            scaled = {"layers": list(layers), "channels": _scaled(channels, factor)}
            return {**settings, "kwargs": {**settings.get("kwargs", {}), **scaled}}

        yield _Depth(sum(layers) / sum(given), widened)


def _arguments(kind: type[nn.Module], settings: Settings) -> tuple[dict[str, Any], dict[str, Any]]:
    """All arguments of a kdlab network, defaults included, and its keyword arguments alone."""
    make = getattr(kdlab.models.cifar, settings["name"], kind)
    kwargs = {**getattr(make, "keywords", {}), **settings.get("kwargs", {})}
    bound = inspect.signature(kind).bind_partial(*getattr(make, "args", ()), **kwargs)
    bound.apply_defaults()
    return bound.arguments, kwargs


def _scaled(widths: Sequence[float], factor: float) -> list[int]:
    return [max(1, round(width * factor)) for width in widths]
