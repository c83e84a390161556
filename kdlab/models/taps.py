"""Taps: activations inside a network, captured by their role in a loss."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from kdlab.errors import BadInput
from kdlab.models.layout import as_map
from kdlab.models.network import Network


@dataclass
class Outputs:
    """The outputs of a network for a batch: `logits`, and `features` by the role of their tap.

    The logits of a frozen teacher are empty where no term uses them.
    """

    logits: Tensor
    features: dict[str, Tensor] = field(default_factory=dict)


class Enough(Exception):
    """Raised in a hook to truncate a forward pass whose remaining outputs are not used."""


class Taps:
    """Captures the outputs of submodules during a forward pass, by role.

    Register first, then compile in place (`network.compile()`): a compiled network ignores later hooks.
    Gradients flow through what is captured. Of a module that runs twice in a pass the last output is captured; an
    output that is changed in place later (a BatchNorm before an in-place ReLU) has the changed values.

    Args:
        module: the network; paths into a `Network` are those of its bare `module`.
        paths: role → module path, such as `{"mid": "layer2"}`.

    Attributes:
        features: role → activation of the last forward pass.

    Raises:
        BadInput: no module has that path.
    """

    def __init__(self, module: nn.Module, paths: Mapping[str, str]) -> None:
        bare = module.module if isinstance(module, Network) else module
        targets = {role: _find(bare, role, path) for role, path in paths.items()}
        self.paths = dict(paths)
        self.features: dict[str, Tensor] = {}
        self._handles = [targets[role].register_forward_hook(self._hook(role)) for role in paths]

    def clear(self) -> None:
        """Drop the captured activations; call before each forward pass."""
        self.features.clear()

    def pop(self) -> dict[str, Tensor]:
        """Return all captured activations and clear them.

        Raises:
            BadInput: a tap captured nothing since the last `pop` or `clear`.
        """
        missing = [f"{role} ({path})" for role, path in self.paths.items() if role not in self.features]
        features = dict(self.features)
        self.clear()
        if missing:
            raise BadInput(
                f"taps.{', taps.'.join(missing)}: did not fire in the forward pass. The network never called "
                "that module, or it was compiled before the taps were registered; choose a module that runs, "
                "and register taps first"
            )
        return features

    def remove(self) -> None:
        """Detach from the network. One that was compiled with its taps goes on filling `features`."""
        for handle in self._handles:
            handle.remove()
        self.clear()

    def _hook(self, role: str) -> Callable[[nn.Module, Any, Any], None]:
        def capture(_module: nn.Module, _inputs: Any, output: Any) -> None:
            self.features[role] = output if isinstance(output, Tensor) else self._first(role, output)

        return capture

    def _first(self, role: str, output: Any) -> Tensor:
        parts: Iterable[Any] = output.values() if isinstance(output, Mapping) else output
        for part in parts if isinstance(output, Mapping | tuple | list) else ():
            if isinstance(part, Tensor):
                return part
        raise BadInput(
            f"taps.{role}: a tapped module must return a tensor, {self.paths[role]} returned "
            f"{type(output).__name__}; tap a module inside it"
        )


def observe(network: nn.Module, taps: Taps, inputs: Any) -> Outputs:
    """One forward pass: logits and tapped features, those of images always as maps (see `kdlab.models.layout`).

    A hook may truncate it by raising `Enough`: then the logits are empty.

    Args:
        network: takes `inputs`; the one that `taps` are registered on.
        taps: cleared by this.
        inputs: a batch of images, or a dict that a `Network` takes.
    """
    try:
        logits = network(inputs)
    except Enough:
        logits = torch.empty(0)
    return Outputs(logits, _as_maps(network, taps.pop(), inputs))


def probe(module: nn.Module, paths: Mapping[str, str], example: Tensor | Mapping[str, Any]) -> dict[str, torch.Size]:
    """Shapes of the tapped activations, by role, leaving the network as it was.

    One pass in eval mode without gradients: BatchNorm statistics stay, and every submodule gets its training
    mode back. Probe before compiling.

    Args:
        module: the network, taking `example`.
        paths: role → module path.
        example: a batch as the network takes it; a dict is passed by keyword to a bare network.

    Raises:
        BadInput: no module has that path, or it does not run.
    """
    modes = [(part, part.training) for part in module.modules()]
    taps = Taps(module, paths)
    module.eval()
    try:
        with torch.no_grad():
            _run(module, example)
        return {role: feature.shape for role, feature in _as_maps(module, taps.pop(), example).items()}
    finally:
        taps.remove()
        for part, training in modes:
            part.training = training


def _run(module: nn.Module, example: Tensor | Mapping[str, Any]) -> Any:
    if isinstance(example, Tensor) or isinstance(module, Network):
        return module(example)
    return module(**example)


def _as_maps(network: nn.Module, features: dict[str, Tensor], inputs: Any) -> dict[str, Tensor]:
    """Features of images as maps, those of anything else as they are."""
    if not isinstance(inputs, Tensor) or inputs.ndim != 4:
        return features
    bare = network.module if isinstance(network, Network) else network
    return {role: as_map(feature, bare) for role, feature in features.items()}


def _find(module: nn.Module, role: str, path: str) -> nn.Module:
    modules: dict[str, nn.Module] = dict(module.named_modules())
    if path in modules:
        return modules[path]
    known = [name for name in modules if name]
    closest = get_close_matches(path, known, n=5, cutoff=0.5) or [name for name, _ in module.named_children()]
    raise BadInput(f"taps.{role}: {type(module).__name__} has no module {path!r}; closest: {', '.join(closest)}")
