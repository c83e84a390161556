"""Networks of timm."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import FunctionType
from typing import Any

from torch import nn

from kdlab.errors import BadInput
from kdlab.models.sources.spec import NetworkSpec, closest, create, unknown_name

MULTIPLIERS = ("channel_multiplier", "depth_multiplier")  # of EfficientNet-style networks


def make(spec: NetworkSpec) -> nn.Module:
    import timm

    external = ":" in spec.name  # hf-hub:owner/name, local-dir:path
    if not external and not _has(spec.name):
        raise unknown_name(spec, [*timm.list_models(), *timm.list_pretrained()])
    if spec.pretrained and not external and pretrained_classes(spec.name) is None:
        raise BadInput(
            f"{spec.setting}.pretrained: timm publishes no weights for {spec.name!r}, got true; set it "
            f"to false, or choose a published one; closest: {closest(spec.name, timm.list_pretrained())}"
        )
    if has_multipliers(spec.kwargs):
        return _multiplied(spec)
    options = {"pretrained": spec.pretrained, "num_classes": spec.num_classes}
    network: nn.Module = create(timm.create_model, spec, **options)
    return network


def pretrained_classes(name: str) -> int | None:
    """How many classes the published weights predict, without downloading them; None where there are none."""
    import timm

    config = timm.get_pretrained_cfg(name) if _has(name) else None
    return config.num_classes if config and config.has_weights else None


def has_multipliers(kwargs: Mapping[str, Any]) -> bool:
    """Whether kwargs set what timm fixes by name: its own `create_model` does not take them."""
    return any(name in kwargs for name in MULTIPLIERS)


def multipliers(name: str) -> dict[str, float]:
    """The factors on channels and depth by which timm builds a network; none where its builder takes none.

    Args:
        name: of a network of timm, with or without the tag of its weights.
    """
    builder = _builder(name)
    if builder is None:
        return {}
    used: dict[str, float] = {}

    def note(*args: Any, **kwargs: Any) -> None:
        bound = inspect.signature(builder).bind(*args, **kwargs)
        bound.apply_defaults()
        used.update({factor: bound.arguments[factor] for factor in MULTIPLIERS if factor in bound.arguments})

    _entry(name, note)(pretrained=False)
    return used


def _multiplied(spec: NetworkSpec) -> nn.Module:
    """The named network with other multipliers: timm's builder, called as timm calls it but for these arguments."""
    accepted = [] if ":" in spec.name else list(multipliers(spec.name))
    given = {name: spec.kwargs[name] for name in MULTIPLIERS if name in spec.kwargs}
    if refused := [name for name in given if name not in accepted]:
        raise BadInput(
            f"{spec.setting}.kwargs.{refused[0]}: timm builds {spec.name} without it, got {given[refused[0]]}; "
            f"accepted here: {', '.join(accepted) or 'no multiplier'}"
        )
    if spec.pretrained:
        raise BadInput(
            f"{spec.setting}.pretrained: the published weights of {spec.name!r} do not fit another "
            f"{' and '.join(given)}, got true; set it to false"
        )
    builder = _builder(spec.name)
    assert builder is not None

    def build(*args: Any, **kwargs: Any) -> nn.Module:
        bound = inspect.signature(builder).bind(*args, **kwargs)
        bound.arguments.update(given)
        network: nn.Module = builder(*bound.args, **bound.kwargs)
        return network

    others = {name: value for name, value in spec.kwargs.items() if name not in given}
    entry = _entry(spec.name, build)
    plain, options = replace(spec, kwargs=others), {"pretrained": False, "num_classes": spec.num_classes}
    made: nn.Module = create(lambda name, **kwargs: entry(**kwargs), plain, **options)
    return made


def _builder(name: str) -> Callable[..., Any] | None:
    """The function by which the named function of timm builds its network, if it takes a channel multiplier."""
    from timm.models import model_entrypoint

    entry = model_entrypoint(name.partition(".")[0])
    called = (entry.__globals__[part] for part in entry.__code__.co_names if part.startswith("_gen_"))
    return next((found for found in called if MULTIPLIERS[0] in inspect.signature(found).parameters), None)


def _entry(name: str, build: Callable[..., Any]) -> Callable[..., Any]:
    """A copy of timm's function for a network, which calls another builder."""
    from timm.models import model_entrypoint

    entry, builder = model_entrypoint(name.partition(".")[0]), _builder(name)
    names = {**entry.__globals__, getattr(builder, "__name__", ""): build}
    return FunctionType(entry.__code__, names, entry.__name__, entry.__defaults__)


def _has(name: str) -> bool:
    import timm

    return timm.is_model(name) and ("." not in name or name in timm.list_pretrained())
