"""Any network from config: the CIFAR families, timm, torchvision, transformers, or the user's own.

A library is imported when a network of its own is asked for, not before.
"""

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from torch import nn

import kdlab.models.cifar
from kdlab.errors import BadInput
from kdlab.models.checkpoint import load_weights

SOURCES = ("cifar", "timm", "torchvision", "huggingface")


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
    wanted = _Wanted(source, name, num_classes, dict(kwargs or {}), pretrained, setting)
    libraries = {"timm": _timm, "torchvision": _torchvision, "huggingface": _huggingface}
    network = libraries.get(source, _imported)(wanted)
    if checkpoint:
        load_weights(network, checkpoint, setting=f"{setting}.checkpoint")
    return network


def pretrained_classes(source: str, name: str) -> int | None:
    """How many classes the published weights predict, without fetching them; None where not known."""
    if source == "timm":
        import timm

        config = timm.get_pretrained_cfg(name) if _in_timm(name) else None
        return config.num_classes if config and config.has_weights else None
    if source == "torchvision":
        import torchvision.models as zoo

        known = name in zoo.list_models(module=zoo)
        return len(zoo.get_model_weights(name).DEFAULT.meta["categories"]) if known else None
    return None


@dataclass(frozen=True)
class _Wanted:
    source: str
    name: str
    num_classes: int
    kwargs: dict[str, Any]
    pretrained: bool
    setting: str


def _imported(wanted: _Wanted) -> nn.Module:
    """A network that a module of this package or of the user's makes."""
    module = kdlab.models.cifar if wanted.source == "cifar" else _module(wanted)
    make = getattr(module, wanted.name, None)
    if not callable(make):
        raise _unknown_name(wanted, getattr(module, "__all__", [key for key in dir(module) if key[0] != "_"]))
    if wanted.pretrained:
        raise BadInput(
            f"{wanted.setting}.pretrained: source {wanted.source!r} has no weights that kdlab can fetch, "
            f"got true; set it to false and give a file by {wanted.setting}.checkpoint"
        )
    try:
        inspect.signature(make).bind(num_classes=wanted.num_classes, **wanted.kwargs)
    except TypeError as error:
        raise _unbound(wanted, error, make) from error
    try:
        network = make(num_classes=wanted.num_classes, **wanted.kwargs)
    except BadInput as error:
        raise BadInput(f"{wanted.setting}.{error}") from error
    if not isinstance(network, nn.Module):
        raise BadInput(
            f"{wanted.setting}.name: {wanted.source}.{wanted.name} must make a torch.nn.Module, "
            f"it made {type(network).__name__}; name a network"
        )
    return network


def _module(wanted: _Wanted) -> Any:
    try:
        return importlib.import_module(wanted.source)
    except ModuleNotFoundError as error:
        if not f"{wanted.source}.".startswith(f"{error.name}."):
            raise
        raise BadInput(
            f"{wanted.setting}.source: one of {', '.join(SOURCES)} or an importable module is needed, "
            f"got {wanted.source!r}; closest: {_closest(wanted.source, SOURCES)}"
        ) from error


def _timm(wanted: _Wanted) -> nn.Module:
    import timm

    elsewhere = ":" in wanted.name  # hf-hub:owner/name, local-dir:path
    if not elsewhere and not _in_timm(wanted.name):
        raise _unknown_name(wanted, [*timm.list_models(), *timm.list_pretrained()])
    if wanted.pretrained and not elsewhere and pretrained_classes("timm", wanted.name) is None:
        raise BadInput(
            f"{wanted.setting}.pretrained: timm publishes no weights for {wanted.name!r}, got true; set it "
            f"to false, or choose a published one; closest: {_closest(wanted.name, timm.list_pretrained())}"
        )
    chosen = {"pretrained": wanted.pretrained, "num_classes": wanted.num_classes}
    network: nn.Module = _create(timm.create_model, wanted, **chosen)
    return network


def _in_timm(name: str) -> bool:
    import timm

    return timm.is_model(name) and ("." not in name or name in timm.list_pretrained())


def _torchvision(wanted: _Wanted) -> nn.Module:
    import torchvision.models as zoo

    names = zoo.list_models(module=zoo)
    if wanted.name not in names:
        raise _unknown_name(wanted, names)
    chosen = {"weights": "DEFAULT"} if wanted.pretrained else {"num_classes": wanted.num_classes}
    network: nn.Module = _create(zoo.get_model, wanted, **chosen)
    published = pretrained_classes("torchvision", wanted.name)
    if not wanted.pretrained or published == wanted.num_classes:
        return network
    return _with_head(network, published, wanted.num_classes)


def _huggingface(wanted: _Wanted) -> nn.Module:
    try:
        library: Any = importlib.import_module("transformers")
    except ImportError as error:
        raise BadInput(
            f"{wanted.setting}.source: 'huggingface' needs the package transformers, which is not installed; "
            "pip install 'kdlab[huggingface]', or choose another source"
        ) from error
    config = _huggingface_config(wanted, library)
    config.update({**wanted.kwargs, "num_labels": wanted.num_classes})
    classifier = library.AutoModelForImageClassification
    plain = replace(wanted, kwargs={})
    network: nn.Module = (
        _create(classifier.from_pretrained, plain, config=config, ignore_mismatched_sizes=True)
        if wanted.pretrained
        else classifier.from_config(config)
    )
    return network


def _huggingface_config(wanted: _Wanted, library: Any) -> Any:
    architecture = not wanted.pretrained and wanted.name in library.CONFIG_MAPPING
    make = library.AutoConfig.for_model if architecture else library.AutoConfig.from_pretrained
    config = _create(make, replace(wanted, kwargs={}))
    if type(config) not in library.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING:
        raise BadInput(
            f"{wanted.setting}.name: an image classifier is needed, got {wanted.name!r}, a "
            f"{config.model_type}; choose a vision architecture, such as vit"
        )
    accepted = sorted({*config.to_dict(), *config.attribute_map})
    if unknown := sorted(set(wanted.kwargs) - set(accepted)):
        raise BadInput(
            f"{wanted.setting}.kwargs: {wanted.name} has no {', '.join(unknown)}; accepted: {', '.join(accepted)}"
        )
    return config


def _create(make: Callable[..., Any], wanted: _Wanted, **chosen: Any) -> Any:
    """What a library's function makes; a failed download and arguments that do not bind are explained."""
    try:
        return make(wanted.name, **chosen, **wanted.kwargs)
    except OSError as error:
        raise _unfetched(wanted, error) from error
    except TypeError as error:
        if "keyword argument" not in str(error):
            raise
        raise _unbound(wanted, error, type(make(wanted.name))) from error


def _with_head(network: nn.Module, published: int | None, num_classes: int) -> nn.Module:
    """Put a new layer in the place of the last one that predicts the published classes."""
    sizes = {path: _outputs(layer) for path, layer in network.named_modules()}
    path = [path for path, size in sizes.items() if size == published][-1]
    old = network.get_submodule(path)
    if isinstance(old, nn.Conv2d):
        network.set_submodule(path, nn.Conv2d(old.in_channels, num_classes, 1))
    elif isinstance(old, nn.Linear):
        network.set_submodule(path, nn.Linear(old.in_features, num_classes))
    return network


def _outputs(layer: nn.Module) -> int | None:
    if isinstance(layer, nn.Linear):
        return layer.out_features
    return layer.out_channels if isinstance(layer, nn.Conv2d) else None


def _unfetched(wanted: _Wanted, error: OSError) -> BadInput:
    key = "pretrained" if wanted.pretrained else "name"
    return BadInput(
        f"{wanted.setting}.{key}: what is published for {wanted.name!r} could not be fetched "
        f"({_first_line(error)}); without a network, set pretrained to false, name an architecture, and give "
        f"weights as a file by {wanted.setting}.checkpoint"
    )


def _unbound(wanted: _Wanted, error: TypeError, make: Callable[..., Any]) -> BadInput:
    accepted = [key for key in inspect.signature(make).parameters if key != "num_classes"]
    return BadInput(
        f"{wanted.setting}.kwargs: {wanted.name} cannot take {wanted.kwargs} ({_first_line(error)}); "
        f"accepted: {', '.join(accepted)}"
    )


def _unknown_name(wanted: _Wanted, names: Iterable[str]) -> BadInput:
    return BadInput(
        f"{wanted.setting}.name: {wanted.source} has no network {wanted.name!r}; "
        f"closest: {_closest(wanted.name, names)}"
    )


def _closest(name: str, names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(get_close_matches(name, names, n=3, cutoff=0.4) or names[:3])


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
