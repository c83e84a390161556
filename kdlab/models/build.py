"""Any network from config: the CIFAR families, timm, torchvision, transformers, or the user's own.

A library is imported only when one of its networks is built.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from kdlab.errors import BadInput
from kdlab.models.checkpoint import load_weights
from kdlab.models.sources import huggingface, imported, timm, torchvision
from kdlab.models.sources.imported import SOURCES
from kdlab.models.sources.spec import NetworkSpec

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
    """A network with `num_classes` outputs; its weights are random, published, or from a file.

    Args:
        source: `cifar`, `timm`, `torchvision`, `huggingface`, or an importable module.
        name: of the network in its source; in a module, a callable taking `num_classes`. For `huggingface` a model on
            its hub, a local folder, or an architecture such as `vit`.
        num_classes: of the data. A published network with other classes gets a new head.
        kwargs: for the network's constructor.
        pretrained: use the published weights, downloading them where they are not cached.
        checkpoint: use the weights of this file.
        setting: the config node that describes the network, for messages.

    Raises:
        BadInput: source, name or kwargs that do not exist, weights that cannot be fetched or do not fit.
    """
    if pretrained and checkpoint:
        raise BadInput(
            f"{setting}.pretrained and {setting}.checkpoint: the weights come from one of them, got "
            f"pretrained={pretrained} and checkpoint={checkpoint}; set one to false or null"
        )
    spec = NetworkSpec(source, name, num_classes, dict(kwargs or {}), pretrained, setting)
    libraries = {"timm": timm.make, "torchvision": torchvision.make, "huggingface": huggingface.make}
    network = libraries.get(source, imported.make)(spec)
    if checkpoint:
        load_weights(network, checkpoint, setting=f"{setting}.checkpoint")
    return network


def pretrained_classes(source: str, name: str) -> int | None:
    """How many classes the published weights predict, without downloading them; None where not known."""
    libraries = {"timm": timm.pretrained_classes, "torchvision": torchvision.pretrained_classes}
    return libraries[source](name) if source in libraries else None
