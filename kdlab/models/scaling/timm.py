"""Families of timm: ResNets, EfficientNet-style networks such as MobileNetV3, vision transformers, ConvNeXts."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from kdlab.models.scaling.family import EARLIER_TOLERANCE, Depth, Family, Settings, proportional, scaled, with_kwargs
from kdlab.models.sources.timm import multipliers

DEPTH_MULTIPLIERS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 1.2, 1.4, 1.6, 2.0)  # times the given one
BLOCK = re.compile(r"^blocks\.(\d+)")  # of a vision transformer, as the beginning of a tap's path


def family_of(settings: Settings, network: nn.Module) -> Family | None:
    """The depths of a network of timm; None where its family is none of these."""
    from timm.models.convnext import ConvNeXt
    from timm.models.resnet import ResNet
    from timm.models.vision_transformer import VisionTransformer

    if isinstance(network, ResNet) and not _is_grouped(network):
        return Family(_resnets(settings, network), EARLIER_TOLERANCE)
    if isinstance(network, VisionTransformer):
        return Family(_transformers(settings, network))
    if isinstance(network, ConvNeXt):
        return Family(_convnexts(settings, network))
    factors = {} if ":" in settings["name"] else multipliers(settings["name"])
    return Family(_efficientnets(settings, factors)) if factors else None


def _is_grouped(network: nn.Module) -> bool:
    """Whether it is a ResNeXt: its widths must be multiples of its groups, which a small factor cannot keep."""
    return any(isinstance(layer, nn.Conv2d) and layer.groups > 1 for layer in network.modules())


def _resnets(settings: Settings, network: Any) -> Iterator[Depth]:
    """Any number of blocks in the proportions of the given ones."""
    given = [len(stage) for stage in (network.layer1, network.layer2, network.layer3, network.layer4)]
    channels = (settings.get("kwargs") or {}).get("channels", (64, 128, 256, 512))
    for layers in proportional(given):

        def widened(factor: float, layers: list[int] = layers) -> Settings:
            return with_kwargs(settings, layers=layers, channels=scaled(channels, factor))

        yield Depth(sum(layers) / sum(given), widened)


def _efficientnets(settings: Settings, own: Mapping[str, float]) -> Iterator[Depth]:
    """timm's multipliers of channels, which it rounds to multiples of 8, and of depth where the family has one."""
    given = {name: (settings.get("kwargs") or {}).get(name, factor) for name, factor in own.items()}
    for relative in DEPTH_MULTIPLIERS if "depth_multiplier" in given else (1.0,):
        deep = {"depth_multiplier": round(given["depth_multiplier"] * relative, 3)} if relative != 1 else {}

        def widened(factor: float, deep: Mapping[str, float] = deep) -> Settings:
            return with_kwargs(settings, channel_multiplier=round(given["channel_multiplier"] * factor, 3), **deep)

        yield Depth(relative, widened)


def _transformers(settings: Settings, network: Any) -> Iterator[Depth]:
    """Any depth up to twice the given one; wider by attention heads, whose own width stays."""
    given, heads = len(network.blocks), network.blocks[0].attn.num_heads
    head_width = network.embed_dim // heads
    for depth in range(1, 2 * given + 1):

        def widened(factor: float, depth: int = depth) -> Settings:
            (count,) = scaled([heads], factor)
            taps = _moved(settings.get("taps") or {}, depth / given)
            wide = with_kwargs(settings, embed_dim=count * head_width, num_heads=count, depth=depth)
            return {**wide, "taps": taps} if taps else wide

        yield Depth(depth / given, widened)


def _moved(taps: Mapping[str, str], relative: float) -> dict[str, str]:
    """Taps of a transformer at the same share of another depth."""

    def moved(match: re.Match[str]) -> str:
        return f"blocks.{max(0, round((int(match[1]) + 1) * relative) - 1)}"

    return {role: BLOCK.sub(moved, path) for role, path in taps.items()}


def _convnexts(settings: Settings, network: Any) -> Iterator[Depth]:
    given = [len(stage.blocks) for stage in network.stages]
    widths = [stage.blocks[0].conv_dw.in_channels for stage in network.stages]
    for blocks in proportional(given):

        def widened(factor: float, blocks: list[int] = blocks) -> Settings:
            return with_kwargs(settings, depths=blocks, dims=scaled(widths, factor))

        yield Depth(sum(blocks) / sum(given), widened)
