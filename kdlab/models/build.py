"""Any network from config: the CIFAR families, timm, torchvision, transformers, or the user's own.

A library is imported when a network of its own is asked for, not before.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from kdlab.errors import BadInput
from kdlab.models.checkpoint import load_weights
from kdlab.models.sources import huggingface, imported, timm, torchvision
from kdlab.models.sources.imported import SOURCES
from kdlab.models.sources.wanted import Wanted

__all__ = ["SOURCES", "build_network", "pretrained_classes"]


def build_network(
    *,
    source: str,
    name: str,
    num_classes: int,
    kwargs: Mapping[str, Any] | None = None,
    pretrained: bool = False,
    checkpoint: str | Path | None = None,
    setting: str = "model",
) -> nn.Module:
    """A network with `num_classes` outputs: drawn from the global generator, published, or from a file.

    Args:
        source: `cifar`, `timm`, `torchvision`, `huggingface`, or an importable module.
        name: of the network there; in a module, a callable taking `num_classes`. For `huggingface` a model on
            its hub, a local folder, or an architecture such as `vit`.
        num_classes: of the data. A published network that predicts others gets a new head.
        kwargs: for the network's constructor.
        pretrained: use the published weights, downloading them where they are not cached.
        checkpoint: use the weights of this file.
        setting: the config node that describes the network, for messages.

    Raises:
        BadInput: source, name or kwargs that do not exist, weights that cannot be had or do not fit.
    """
    if pretrained and checkpoint:
        raise BadInput(
            f"{setting}.pretrained and {setting}.checkpoint: the weights come from one of them, got "
            f"pretrained={pretrained} and checkpoint={checkpoint}; set one to false or null"
        )
    wanted = Wanted(source, name, num_classes, dict(kwargs or {}), pretrained, setting)
    libraries = {"timm": timm.make, "torchvision": torchvision.make, "huggingface": huggingface.make}
    network = libraries.get(source, imported.make)(wanted)
    if checkpoint:
        load_weights(network, checkpoint, setting=f"{setting}.checkpoint")
    return network


def pretrained_classes(source: str, name: str) -> int | None:
    """How many classes the published weights predict, without fetching them; None where not known."""
    libraries = {"timm": timm.pretrained_classes, "torchvision": torchvision.pretrained_classes}
    return libraries[source](name) if source in libraries else None
