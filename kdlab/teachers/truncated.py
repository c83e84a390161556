"""Truncated forward: a pass ends at the last tap where no term reads the logits."""

from typing import Any

import torch
from torch import nn

from kdlab.models.network import Network
from kdlab.models.taps import Enough, Outputs, Taps, observe


class TruncatedForward:
    """Computes a frozen network's tapped features, and skips the modules after them.

    The first batch is run twice: in full, and truncated after the last tap. Later passes are truncated only if both
    give the same features: later modules may change a tapped output in place.

    Args:
        network: in eval mode.
        taps: on the network.
    """

    def __init__(self, network: Network, taps: Taps) -> None:
        self._network, self._taps = network, taps
        self._fired = 0
        self._last: int | None = None  # the hook call that ends a pass; 0 for a full pass, None before the first batch
        for path in taps.paths.values():
            network.module.get_submodule(path).register_forward_hook(self._count)

    def observe(self, inputs: Any) -> Outputs:
        """Features of a batch of raw inputs; the logits may be empty."""
        return self._first(inputs) if self._last is None else self._pass(inputs)

    def _first(self, inputs: Any) -> Outputs:
        whole = self._pass(inputs)
        self._last = self._fired
        truncated = self._pass(inputs)
        if not all(torch.equal(truncated.features[role], feature) for role, feature in whole.features.items()):
            self._last = 0
        return whole

    def _pass(self, inputs: Any) -> Outputs:
        self._fired = 0
        return observe(self._network, self._taps, inputs)

    def _count(self, _module: nn.Module, _inputs: Any, _output: Any) -> None:
        self._fired += 1
        if self._fired == self._last:
            raise Enough
