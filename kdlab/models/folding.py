"""Folding: in eval mode a BatchNorm only scales and shifts, so it is merged into the convolution before it."""

import sys
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress

import torch.fx
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def fold(module: nn.Module, watched: Collection[str] = ()) -> None:
    """Folds BatchNorms into the convolutions that feed only them, in place; outputs change only by rounding.

    A network whose calls cannot be traced, because they depend on data, stays as it is.

    Args:
        module: in eval mode; hooks on what is folded are lost.
        watched: paths of tapped modules: a convolution whose own output is tapped is not folded.
    """
    for convolution, norm in list(_pairs(module)):
        if not any(_within(convolution, path) and not _within(norm, path) for path in watched):
            before, after = module.get_submodule(convolution), module.get_submodule(norm)
            module.set_submodule(convolution, fuse_conv_bn_eval(before, after))  # type: ignore[type-var, arg-type]
            module.set_submodule(norm, _rest(after))


def _pairs(module: nn.Module) -> Iterator[tuple[str, str]]:
    """Paths of each convolution and the BatchNorm that alone reads it, where each has one name and runs once."""
    calls = _calls(module)
    once = _called_once(calls) & _named_once(module)
    for node in calls:
        before = node.args[0] if node.args else None
        if not isinstance(before, torch.fx.Node) or len(before.users) > 1:
            continue
        paths = str(before.target), str(node.target)
        if once.issuperset(paths) and _fit(*map(module.get_submodule, paths)):
            yield paths


def _calls(module: nn.Module) -> list[torch.fx.Node]:
    """The calls of layers in one forward pass, in order; none where it cannot be traced."""
    with suppress(Exception):  # tracing runs the network's own code, which may raise anything
        return [node for node in _Tracer().trace(module).nodes if node.op == "call_module"]
    return []


def _called_once(calls: Sequence[torch.fx.Node]) -> set[str]:
    times = Counter(str(node.target) for node in calls)
    return {path for path, count in times.items() if count == 1}


def _named_once(module: nn.Module) -> set[str]:
    names = [(path, id(part)) for path, part in module.named_modules(remove_duplicate=False)]
    times = Counter(identity for _, identity in names)
    return {path for path, identity in names if times[identity] == 1}


def _fit(convolution: nn.Module, norm: nn.Module) -> bool:
    """Whether they can be folded: norms of an exact type, since a subclass may do more, with running statistics."""
    known = isinstance(convolution, CONVOLUTIONS) and (type(norm) in NORMS or _has_activation(norm))
    return known and norm.running_mean is not None


def _within(path: str, container: str) -> bool:
    return f"{path}.".startswith(f"{container}.")


def _rest(norm: nn.Module) -> nn.Module:
    """What a norm does after scaling: nothing, or timm's activation."""
    own = ("drop", "act") if _has_activation(norm) else ()
    return nn.Sequential(*map(norm.get_submodule, own)).eval()


def _has_activation(norm: nn.Module) -> bool:
    """Whether it is timm's BatchNorm that includes an activation."""
    loaded = sys.modules.get("timm.layers.norm_act")  # not imported here: timm takes half a second
    return loaded is not None and type(norm) is loaded.BatchNormAct2d


class _Tracer(torch.fx.Tracer):
    """Treats norms and torch's own layers as leaves."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, NORMS) or super().is_leaf_module(m, module_qualified_name)
