"""How large a network is: its parameters, the operations of a forward pass, or the time that one takes here."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from kdlab.models.build import build_network
from kdlab.models.cost import flops, parameter_count
from kdlab.models.network import Network
from kdlab.models.saved import make_network
from kdlab.models.scaling.family import Settings

WARM_UP, ROUNDS, CALLS = 10, 5, 20  # calls before the timed ones, rounds, calls of each


@dataclass(frozen=True)
class Measure:
    """A size of networks.

    Attributes:
        by: `parameters`, `flops` or `latency`.
        size: of the network with these settings, for a number of classes; the last argument is its config node, for
            messages.
        show: a size with its unit.
        depth_share: share of the logarithm of a ratio of sizes that depth takes, and width the rest.
    """

    by: str
    size: Callable[[Settings, int, str], float]
    show: Callable[[float], str]
    depth_share: float = 0.25


def count_parameters(settings: Settings, num_classes: int, setting: str = "model") -> int:
    """How many parameters a network would have; nothing is allocated, and its weights do not matter.

    Args:
        settings: `source`, `name` and `kwargs`.
        num_classes: of its head.
        setting: the config node of the network, for messages.
    """
    return parameter_count(bare_network(settings, num_classes, setting))


def bare_network(settings: Settings, num_classes: int, setting: str) -> nn.Module:
    """A network on the meta device, without weights and preprocessing."""
    given = {name: settings[name] for name in ("source", "name", "kwargs") if name in settings}
    with torch.device("meta"):
        return build_network(**given, num_classes=num_classes, setting=setting)


PARAMETERS = Measure("parameters", count_parameters, lambda size: f"{size:,.0f} parameters")


def flops_measure(inputs: Any) -> Measure:
    """Floating-point operations of a forward pass, a multiply-add counts as two; counted on the meta device.

    Args:
        inputs: a batch of one sample.
    """
    shapes = tree_map(lambda one: one.to("meta") if isinstance(one, Tensor) else one, inputs)

    def size(settings: Settings, num_classes: int, setting: str) -> float:
        with torch.device("meta"):
            return flops(_network(settings, num_classes, setting), shapes)

    return Measure("flops", size, lambda size: f"{size:,.0f} FLOPs")


def latency_measure(inputs: Any) -> Measure:
    """Milliseconds of a forward pass on this machine: PyTorch without compilation, float32, one thread of the CPU.

    It is the least of five medians of 20 calls, since other programs only add to it. Small networks spend much of it
    on each layer's call, whatever its width: depth takes half of the logarithm.

    Args:
        inputs: a batch of one sample.
    """
    return Measure("latency", partial(_latency, inputs), lambda size: f"{size:.3g} ms", depth_share=0.5)


def _latency(inputs: Any, settings: Settings, num_classes: int, setting: str) -> float:
    with torch.random.fork_rng(devices=[]):
        network = _network(settings, num_classes, setting).eval()
    with _one_thread(), torch.inference_mode():
        _seconds(network, inputs, WARM_UP)
        return 1000 * min(statistics.median(_seconds(network, inputs, CALLS)) for _ in range(ROUNDS))


def _seconds(network: Network, inputs: Any, calls: int) -> list[float]:
    times = [time.perf_counter()]
    for _ in range(calls):
        network(inputs)
        times.append(time.perf_counter())
    return [end - start for start, end in pairwise(times)]


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _network(settings: Mapping[str, Any], num_classes: int, setting: str) -> Network:
    """With its preprocessing, without given weights."""
    untrained = {**settings, "num_classes": num_classes, "pretrained": False, "checkpoint": None}
    return make_network(untrained, setting=setting)
