"""Residual networks of kdlab: ResNets, wide ResNets and ResNet-50 for small images."""

import inspect
from collections.abc import Iterator
from typing import Any

from torch import nn

import kdlab.models.cifar
from kdlab.models.resnet import ResNet
from kdlab.models.resnet50 import ResNet50
from kdlab.models.scaling.family import Depth, Settings, proportional, scaled, with_kwargs
from kdlab.models.wide_resnet import WideResNet

MAX_DEPTH = 112  # layers of a wide ResNet


def resnets(settings: Settings) -> Iterator[Depth]:
    """The depths of the named CIFAR ResNets, at any width."""
    given, kwargs = arguments(ResNet, settings)
    makers = {name: getattr(kdlab.models.cifar, name) for name in kdlab.models.cifar.__all__}
    named = {name: make.args[0] for name, make in makers.items() if getattr(make, "func", None) is ResNet}
    for name in [name for name in named if not makers[name].keywords]:

        def widened(factor: float, name: str = name) -> Settings:
            return {**settings, "name": name, "kwargs": {**kwargs, "widths": scaled(given["widths"], factor)}}

        yield Depth((named[name] - 2) / (given["depth"] - 2), widened)


def wide_resnets(settings: Settings) -> Iterator[Depth]:
    """All depths, at a width in sixteenths."""
    given, kwargs = arguments(WideResNet, settings)
    for depth in range(10, MAX_DEPTH, 6):

        def widened(factor: float, depth: int = depth) -> Settings:
            (sixteenths,) = scaled([16 * given["width"]], factor)
            return {**settings, "name": "wrn", "kwargs": {**kwargs, "depth": depth, "width": sixteenths / 16}}

        yield Depth((depth - 4) / (given["depth"] - 4), widened)


def bottleneck_resnets(settings: Settings) -> Iterator[Depth]:
    """ResNet-50 with any numbers of blocks in its proportions, at any width."""
    given, _ = arguments(ResNet50, settings)
    for blocks in proportional(given["blocks"]):

        def widened(factor: float, blocks: list[int] = blocks) -> Settings:
            return with_kwargs(settings, blocks=blocks, widths=scaled(given["widths"], factor))

        yield Depth(sum(blocks) / sum(given["blocks"]), widened)


def arguments(kind: type[nn.Module], settings: Settings) -> tuple[dict[str, Any], dict[str, Any]]:
    """All arguments of a kdlab network, defaults included, and its keyword arguments alone."""
    make = getattr(kdlab.models.cifar, settings["name"], kind)
    kwargs = {**getattr(make, "keywords", {}), **(settings.get("kwargs") or {})}
    bound = inspect.signature(kind).bind_partial(*getattr(make, "args", ()), **kwargs)
    bound.apply_defaults()
    return bound.arguments, kwargs
