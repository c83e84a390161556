"""Structured pruning: whole channels are removed, with everything that depends on them.

The dependency graph of torch-pruning finds what must be removed together: Fang, Ma, Song, Mi & Wang, "DepGraph: Towards
Any Structural Pruning", CVPR 2023 (arXiv:2301.12900).
"""

import copy
import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from kdlab.errors import BadInput, first_line
from kdlab.models.cost import flops
from kdlab.models.network import Network
from kdlab.models.pruned import Pruned, changed_layers

IMPORTANCE = ("magnitude", "bn_scale", "geometric_median", "random")
TOLERANCE = 1e-3  # of the largest logit, between a pruned network and one in which the same channels have no effect
Inputs = Tensor | Mapping[str, Tensor]
WEIGHTED = (nn.Conv2d, nn.Linear)
ACROSS_CHANNELS = (nn.LayerNorm, nn.GroupNorm, nn.LocalResponseNorm)  # removing a channel changes the others' values


@dataclass(frozen=True)
class Pruning:
    """How much of a network is removed, and how it is chosen.

    Args:
        ratio: share of the unpruned network's operations (of its weights, if not structured), above 0 and below 1.
        round_to: every pruned width is a multiple of it.
        importance: what is removed first: the smallest by `magnitude` (L2 norm of all weights of a channel),
            `bn_scale` (factor of its BatchNorm) or `geometric_median` (distance to the other channels); or `random`.
        structured: remove channels; otherwise set single weights to zero.
        recalibration_samples: training images that BatchNorm's statistics are computed on after it.
    """

    ratio: float
    round_to: int = 8
    importance: str = "magnitude"
    structured: bool = True
    recalibration_samples: int = 2048


class _Unprunable(Exception):
    """Torch-pruning cannot prune a network; the message is the reason."""


class _TooFar(Exception):
    """The ratio cannot be reached; `most` can."""

    def __init__(self, most: float) -> None:
        super().__init__(most)
        self.most = most


class _Group(NamedTuple):
    """Channels of several layers that must have the same width.

    Attributes:
        root: the layer whose output channels they are.
        prune: torch-pruning's function for the root.
        size: number of channels that can be chosen separately.
        copies: number of channels that are removed for each of them: grouped convolutions need equal groups.
        order: the channels from the least to the most important one, `(size,)`.
        sides: what shrinks with them: a layer with weights, whether its outputs or its inputs, and the share of these
            that the channels are: below 1 where several groups are concatenated.
    """

    root: nn.Module
    prune: Callable[..., Any]
    size: int
    copies: int
    order: Tensor
    sides: Sequence[tuple[nn.Module, bool, float]]

    def narrowings(self, round_to: int) -> Iterator[tuple[float, int]]:
        """Its widths below the present one, widest first, each with the share of channels from which it is nearest."""
        unit = round_to // math.gcd(round_to, self.copies)
        widths = [self.size, *range((self.size - 1) // unit * unit, 0, -unit)]
        for wider, width in pairwise(widths):
            yield 1 - (wider + width) / 2 / self.size, width

    def removed(self, width: int) -> list[int]:
        """The channels to remove for a width, in each of the copies."""
        least = self.order[: self.size - width].sort().values.tolist()
        return [copy * self.size + channel for copy in range(self.copies) for channel in least]


def prune(
    network: Network, built: Network, example: Inputs, pruning: Pruning, *, name: str = "this network", seed: int = 0
) -> None:
    """Removes channels, the same share of each layer's, until at most `1 - ratio` of the operations are left.

    Layers stay whole whose channels cannot be followed, such as those of a residual stream with zero-padded shortcuts,
    and so do the logits. The record of what was removed is in `network.pruned` then.

    Args:
        network: on the CPU, changed in place; its weights determine the channels, its shapes alone the widths.
        built: the same network as it is built: the ratio is a share of its operations.
        example: a batch of one sample.
        pruning: structured.
        name: of the network, for messages.
        seed: for `random`.

    Raises:
        BadInput: the network cannot be pruned, or not that far.
    """
    training, before = network.training, copy.deepcopy(network).eval()
    try:
        graph, groups = _groups(network, example, pruning, seed)
        widths = _widths(network, example, groups, pruning, flops(built, example))
        unread = [layer for group, width in widths for layer in _remove(graph, group, width)]
        _check(network, before, unread, _others(example))
        if flops(network, example) > (1 - pruning.ratio) * flops(built, example):
            raise _Unprunable("it has more operations than follow from the widths of its layers")
    except _TooFar as error:
        raise BadInput(_too_far(pruning, name, error.most)) from error
    except BadInput:
        raise
    except Exception as error:  # torch-pruning, or the network at its new widths, raises errors of any type
        known = isinstance(error, _Unprunable)
        reason = str(error) if known else f"it cannot follow its channels ({first_line(error).rstrip('.')})"
        raise BadInput(
            f"plan=compress: torch-pruning cannot prune {name}: {reason}. Choose another network to prune."
        ) from error
    history = [[name, bool(outputs), list(channels)] for name, outputs, channels in graph.pruning_history()]
    earlier = network.pruned.history if network.pruned else []
    network.pruned = Pruned([*earlier, *history], changed_layers(built.module, network.module))
    network.train(training)


def _groups(network: Network, example: Inputs, pruning: Pruning, seed: int) -> tuple[Any, list[_Group]]:
    """The dependency graph of the bare network, and the groups of channels that can be removed.

    Raises:
        _Unprunable: there are none.
    """
    graph = _graph(network, example)
    importance = _importance(pruning.importance)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        found = (_group(graph, members, importance) for members in graph.get_all_groups() if _followed(graph, members))
        groups = [group for group in found if group is not None]
    order = {layer: position for position, layer in enumerate(network.modules())}
    groups.sort(key=lambda group: order[group.root])
    if not groups:
        raise _Unprunable("none of its layers has channels that can be removed")
    return graph, groups


def _graph(network: Network, example: Inputs) -> Any:
    library = _library()
    with torch.enable_grad():
        for parameter in network.parameters():
            parameter.requires_grad_()
        return library.DependencyGraph().build_dependency(
            network.module, example, forward_fn=lambda _, inputs: network(inputs), verbose=False
        )


def _library() -> Any:
    try:
        import torch_pruning
    except ImportError as error:
        raise BadInput(
            'plan=compress needs the extra prune, which is not installed: pip install "kdlab[prune]"'
        ) from error
    return torch_pruning


def _importance(name: str) -> Callable[[Any], Tensor | None]:
    importance = _library().importance
    kinds: Mapping[str, Callable[[], Any]] = {
        "magnitude": importance.GroupMagnitudeImportance,
        "bn_scale": importance.BNScaleImportance,
        "geometric_median": importance.FPGMImportance,
        "random": importance.RandomImportance,
    }
    made: Callable[[Any], Tensor | None] = kinds[name]()
    return made


def _followed(graph: Any, members: Any) -> bool:
    """Whether no channel of a group is a logit, is moved by padding, is mixed with others by a norm or an attention."""
    for member in members:
        node = member.dep.target
        if isinstance(node.module, (*ACROSS_CHANNELS, nn.Parameter)) or _moves(node.grad_fn):
            return False
        if not node.outputs and graph.is_out_channel_pruning_fn(member.dep.handler):
            return False
    return True


def _moves(operation: Any) -> bool:
    """Whether an operation of autograd adds channels, or multiplies them with each other as an attention does."""
    name = operation.name().lower() if hasattr(operation, "name") else ""
    padding = getattr(operation, "_saved_pad", ())  # pairs, the last dimension first: width, height, channels
    return any(padding[4:]) or "bmm" in name or "attention" in name


def _group(graph: Any, members: Any, importance: Callable[[Any], Tensor | None]) -> _Group | None:
    """Torch-pruning's group with an order of its channels; None where its importance is not defined."""
    scores = importance(members)
    if scores is None:
        return None
    sides = [_side(graph, member) for member in members if isinstance(member.dep.target.module, WEIGHTED)]
    copies = max(1 if _is_depthwise(layer) else getattr(layer, "groups", 1) for layer, _, _ in sides)
    each = scores.detach().view(copies, -1).mean(0)
    root = members[0].dep
    return _Group(root.target.module, root.handler, len(each), copies, each.argsort(stable=True), sides)


def _side(graph: Any, member: Any) -> tuple[nn.Module, bool, float]:
    layer, outputs = member.dep.target.module, bool(graph.is_out_channel_pruning_fn(member.dep.handler))
    return layer, outputs, len(member.idxs) / (graph.get_out_channels if outputs else graph.get_in_channels)(layer)


def _is_depthwise(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d) and layer.groups == layer.out_channels > 1


def _widths(
    network: Network, example: Inputs, groups: Sequence[_Group], pruning: Pruning, operations: int
) -> list[tuple[_Group, int]]:
    """The width of each group: layers lose the same share of their channels, until enough operations are removed.

    Raises:
        _TooFar: not even the narrowest network has as few operations.
    """
    layers, fixed = _operations(network, example)
    narrowings = [(*one, index) for index, group in enumerate(groups) for one in group.narrowings(pruning.round_to)]
    narrowings.sort(key=lambda one: one[0])  # stable: layers of equal width in their order

    def widths(count: int) -> dict[int, int]:
        return {index: width for _, width, index in narrowings[:count]}

    def left(count: int) -> int:
        kept = {(layer, side): 1.0 for layer in layers for side in (True, False)}
        for index, width in widths(count).items():
            for layer, outputs, share in groups[index].sides:
                kept[layer, outputs] -= share * (1 - width / groups[index].size)
        return fixed + round(sum(layers[layer] * kept[layer, True] * kept[layer, False] for layer in layers))

    target = (1 - pruning.ratio) * operations
    count = bisect_left(range(len(narrowings) + 1), -target, key=lambda count: -left(count))
    if count > len(narrowings):
        raise _TooFar(1 - left(len(narrowings)) / operations)
    return [(groups[index], width) for index, width in widths(count).items()]


def _too_far(pruning: Pruning, name: str, most: float) -> str:
    reached = math.floor(100 * most) / 100
    fixes = [f"plan.prune.ratio={reached:g}"] if reached > 0 else []
    fixes += ["a smaller plan.prune.round_to"] if pruning.round_to > 1 else []
    least = f"{pruning.round_to} channels (plan.prune.round_to)" if pruning.round_to > 1 else "a channel"
    fix = f"Set {', or '.join(fixes)}." if fixes else "Choose another network to prune."
    return (
        f"plan.prune.ratio must leave each layer {least}, got {pruning.ratio:g}: at most {reached:g} of the operations "
        f"of {name} can be removed. {fix}"
    )


@torch.no_grad()
def _operations(network: Network, example: Inputs) -> tuple[dict[nn.Module, int], int]:
    """The operations of each convolution and linear layer in a forward pass, and those of everything else."""
    counted: dict[nn.Module, int] = {}

    def count(layer: nn.Module, _: Any, output: Tensor) -> None:
        weight: Tensor = layer.weight  # type: ignore[assignment]
        counted[layer] = counted.get(layer, 0) + 2 * output.numel() * weight[0].numel()

    hooks = [layer.register_forward_hook(count) for layer in network.modules() if isinstance(layer, WEIGHTED)]
    network.eval()(example)
    for hook in hooks:
        hook.remove()
    return counted, flops(network, example) - sum(counted.values())


def _remove(graph: Any, group: _Group, width: int) -> Iterator[tuple[str, list[int]]]:
    """Removes the least important channels of a group; yields the layers that no longer read them, and which."""
    channels = group.removed(width)
    if not channels:
        return
    members = graph.get_pruning_group(group.root, group.prune, channels)
    if not graph.check_pruning_group(members):
        raise _Unprunable("a layer would keep no channel")
    for member in members:
        layer = member.dep.target.module
        if isinstance(layer, WEIGHTED) and not graph.is_out_channel_pruning_fn(member.dep.handler):
            yield graph._module2name[layer], list(member.idxs)
    members.prune()


@torch.no_grad()
def _check(network: Network, before: Network, unread: Sequence[tuple[str, list[int]]], inputs: Inputs) -> None:
    """Compares with the unpruned network, in which the removed channels have no effect on the layers that read them.

    Raises:
        _Unprunable: the logits differ: some layer lost other channels than those that it read.
    """
    present: dict[str, list[int]] = {}  # by layer, the unpruned network's channels that it still reads
    for name, channels in unread:
        layer: Any = before.module.get_submodule(name)
        groups, columns = getattr(layer, "groups", 1), layer.weight.shape[1]
        rows, reads = len(layer.weight) // groups, present.setdefault(name, list(range(groups * columns)))
        for channel in sorted(channels, reverse=True):
            group, column = divmod(reads.pop(channel), columns)
            layer.weight[group * rows : (group + 1) * rows, column] = 0
    expected, found = before(inputs), network.eval()(inputs)
    if not torch.allclose(found, expected, rtol=0, atol=TOLERANCE * float(expected.abs().max())):
        raise _Unprunable("its forward moves channels in a way that the library cannot follow")


def _others(example: Inputs) -> Inputs:
    """Two samples of noise of the example's shape; a dict, whose values may be tokens, is left as it is."""
    if not isinstance(example, Tensor):
        return example
    noise = torch.rand((2, *example.shape[1:]), generator=torch.Generator().manual_seed(0))
    return (255 * noise).to(torch.uint8) if example.dtype == torch.uint8 else noise
