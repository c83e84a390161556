"""Networks of kdlab's own, `source: cifar`, and of any module that can be imported."""

import importlib
import inspect
from typing import Any

from torch import nn

from kdlab.errors import BadInput
from kdlab.models import cifar
from kdlab.models.sources.wanted import Wanted, closest, unbound, unknown_name

SOURCES = ("cifar", "timm", "torchvision", "huggingface")


def make(wanted: Wanted) -> nn.Module:
    """A network that a module of this package or of the user's makes."""
    module = cifar if wanted.source == "cifar" else _module(wanted)
    constructor = getattr(module, wanted.name, None)
    if not callable(constructor):
        raise unknown_name(wanted, getattr(module, "__all__", [key for key in dir(module) if key[0] != "_"]))
    if wanted.pretrained:
        raise BadInput(
            f"{wanted.setting}.pretrained: source {wanted.source!r} has no weights that kdlab can fetch, "
            f"got true; set it to false and give a file by {wanted.setting}.checkpoint"
        )
    try:
        inspect.signature(constructor).bind(num_classes=wanted.num_classes, **wanted.kwargs)
    except TypeError as error:
        raise unbound(wanted, error, constructor) from error
    try:
        network = constructor(num_classes=wanted.num_classes, **wanted.kwargs)
    except BadInput as error:
        raise BadInput(f"{wanted.setting}.{error}") from error
    if not isinstance(network, nn.Module):
        raise BadInput(
            f"{wanted.setting}.name: {wanted.source}.{wanted.name} must make a torch.nn.Module, "
            f"it made {type(network).__name__}; name a network"
        )
    return network


def _module(wanted: Wanted) -> Any:
    try:
        return importlib.import_module(wanted.source)
    except ModuleNotFoundError as error:
        if not f"{wanted.source}.".startswith(f"{error.name}."):
            raise
        raise BadInput(
            f"{wanted.setting}.source: one of {', '.join(SOURCES)} or an importable module is needed, "
            f"got {wanted.source!r}; closest: {closest(wanted.source, SOURCES)}"
        ) from error
