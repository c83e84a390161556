"""Layout: the features of vision networks as channels-first maps, whatever layout the network uses."""

import math

from torch import Tensor, nn
from torchvision.models import SwinTransformer


def as_map(features: Tensor, module: nn.Module) -> Tensor:
    """Tokens and channels-last maps as `(batch, channels, height, width)`; everything else as it is.

    Only for networks on images: 64 tokens of a text are not an 8 by 8 map.

    Args:
        features: what a tap captured. `(batch, tokens, channels)` becomes a map where the tokens, without those
            before the patches, are a square. `(batch, height, width, channels)` becomes one where the
            network computes in that order.
        module: the bare network that was tapped.
    """
    if features.ndim == 3:
        return _from_tokens(features, module)
    if features.ndim == 4 and _is_channels_last(features, module):
        return features.permute(0, 3, 1, 2)
    return features


def _from_tokens(features: Tensor, module: nn.Module) -> Tensor:
    tokens = features.shape[1]
    declared = getattr(module, "num_prefix_tokens", None)
    # Layers before the class token is added have no prefix, so 0 is always tried.
    for prefix in (0, 1, 2) if declared is None else (declared, 0):
        side = math.isqrt(max(tokens - prefix, 0))
        if side and side * side == tokens - prefix:
            return features[:, prefix:].mT.reshape(len(features), features.shape[2], side, side)
    return features


def _is_channels_last(features: Tensor, module: nn.Module) -> bool:
    """A channels-last network may contain channels-first layers: their maps end in a square."""
    _, first, second, third = features.shape
    channels_last = getattr(module, "output_fmt", None) == "NHWC" or isinstance(module, SwinTransformer)
    return channels_last and (first == second or second != third)
