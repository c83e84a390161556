"""Networks of kdlab's own, `source: cifar`, and of any module that can be imported."""

import importlib
import inspect
from typing import Any

from torch import nn

from kdlab.errors import BadInput
from kdlab.models import cifar
from kdlab.models.sources.spec import NetworkSpec, closest, unknown_name, wrong_arguments

SOURCES = ("cifar", "timm", "torchvision", "huggingface")


def make(spec: NetworkSpec) -> nn.Module:
    """A network from `kdlab.models.cifar` or from the user's own module."""
    module = cifar if spec.source == "cifar" else _module(spec)
    constructor = getattr(module, spec.name, None)
    if not callable(constructor):
        raise unknown_name(spec, getattr(module, "__all__", [key for key in dir(module) if key[0] != "_"]))
    if spec.pretrained:
        raise BadInput(
            f"{spec.setting}.pretrained: source {spec.source!r} has no weights that kdlab can fetch, "
            f"got true; set it to false and give a file by {spec.setting}.checkpoint"
        )
    try:
        inspect.signature(constructor).bind(num_classes=spec.num_classes, **spec.kwargs)
    except TypeError as error:
        raise wrong_arguments(spec, error, constructor) from error
    try:
        network = constructor(num_classes=spec.num_classes, **spec.kwargs)
    except BadInput as error:
        raise BadInput(f"{spec.setting}.{error}") from error
    if not isinstance(network, nn.Module):
        raise BadInput(
            f"{spec.setting}.name: {spec.source}.{spec.name} must return a torch.nn.Module, "
            f"got {type(network).__name__}; name a network"
        )
    return network


def _module(spec: NetworkSpec) -> Any:
    try:
        return importlib.import_module(spec.source)
    except ModuleNotFoundError as error:
        if not f"{spec.source}.".startswith(f"{error.name}."):
            raise
        raise BadInput(
            f"{spec.setting}.source: one of {', '.join(SOURCES)} or an importable module is needed, "
            f"got {spec.source!r}; closest: {closest(spec.source, SOURCES)}"
        ) from error
