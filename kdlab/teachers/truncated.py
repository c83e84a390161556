"""Truncated forward: a pass ends at the deepest tap where nobody reads the logits."""

from typing import Any

import torch
from torch import nn

from kdlab.models.network import Network
from kdlab.models.taps import Enough, Outputs, Taps, observe


class TruncatedForward:
    """Observes a frozen network's taps, and leaves out what comes after them.

    The first batch is passed twice, wholly and up to the last tap. Only where both show the same features do later
    passes stop there: a network may change what a tap has seen in place, later on.

    Args:
        network: in eval mode.
        taps: on the network.
    """

    def __init__(self, network: Network, taps: Taps) -> None:
        self._network, self._taps = network, taps
        self._fired = 0
        self._last: int | None = None  # which firing of a tap ends a pass; 0 is none, None is not known yet
        for path in taps.paths.values():
            network.module.get_submodule(path).register_forward_hook(self._count)

    def observe(self, inputs: Any) -> Outputs:
        """Features of a batch of raw inputs; the logits may be empty."""
        return self._first(inputs) if self._last is None else self._pass(inputs)

    def _first(self, inputs: Any) -> Outputs:
        whole = self._pass(inputs)
        self._last = self._fired
        early = self._pass(inputs)
        if not all(torch.equal(early.features[role], seen) for role, seen in whole.features.items()):
            self._last = 0
        return whole

    def _pass(self, inputs: Any) -> Outputs:
        self._fired = 0
        return observe(self._network, self._taps, inputs)

    def _count(self, _module: nn.Module, _inputs: Any, _output: Any) -> None:
        self._fired += 1
        if self._fired == self._last:
            raise Enough
