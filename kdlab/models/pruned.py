"""The record of a pruned network: what was removed, and how narrow its layers are now.

With the record a network is built again from its config, without torch-pruning and without a pickle.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn

from kdlab.errors import BadInput


@dataclass(frozen=True)
class Pruned:
    """What was removed from a network that has just been built.

    Attributes:
        history: as torch-pruning's `pruning_history`: a layer, whether its outputs or inputs, and the channels that
            were removed from it, counted in the network at that moment. What depends on them was removed too.
        layers: by name, the integers of each changed layer, such as `out_channels`, and the shapes of its tensors.
    """

    history: list[Any] = field(default_factory=list)
    layers: dict[str, dict[str, Any]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def changed_layers(built: nn.Module, pruned: nn.Module) -> dict[str, dict[str, Any]]:
    """The layers of a pruned network that are narrower than as it is built.

    Args:
        built: the same network, just built.
        pruned: it may have been pruned several times.
    """
    changes = {name: _changes(built.get_submodule(name), layer) for name, layer in pruned.named_modules()}
    return {name: change for name, change in changes.items() if change["sizes"] or change["shapes"]}


def _changes(built: nn.Module, layer: nn.Module) -> dict[str, Any]:
    sizes = {key: value for key, value in _sizes(layer).items() if value != _sizes(built).get(key)}
    shapes = {key: list(tensor.shape) for key, tensor in _tensors(layer).items()}
    before = {key: list(tensor.shape) for key, tensor in _tensors(built).items()}
    return {
        "sizes": {key: list(value) if isinstance(value, tuple) else value for key, value in sizes.items()},
        "shapes": {key: shape for key, shape in shapes.items() if shape != before[key]},
    }


def _sizes(layer: nn.Module) -> dict[str, Any]:
    """Its attributes that are whole numbers, or several."""
    found = vars(layer).items()
    return {key: value for key, value in found if isinstance(value, int | tuple) and not isinstance(value, bool)}


def _tensors(layer: nn.Module) -> dict[str, torch.Tensor]:
    """Its own parameters and buffers by name, without those of its parts."""
    return {**dict(layer.named_parameters(recurse=False)), **dict(layer.named_buffers(recurse=False))}


def apply_pruning(module: nn.Module, record: Mapping[str, Any]) -> None:
    """Makes the layers of a network as narrow as a record says; their weights are zeros until they are loaded.

    Args:
        module: the bare network, just built.
        record: of `Pruned.as_dict`.

    Raises:
        BadInput: it names a layer, a number or a tensor that the network does not have.
    """
    for name, change in record["layers"].items():
        try:
            _narrow(module.get_submodule(name), change)
        except (AttributeError, KeyError) as error:
            raise BadInput(f"the pruning does not fit the network: {name} is another layer ({error})") from error


def _narrow(layer: nn.Module, change: Mapping[str, Any]) -> None:
    sizes, tensors = _sizes(layer), _tensors(layer)
    for key, value in change["sizes"].items():
        setattr(layer, key, type(sizes[key])(value))
    for key, shape in change["shapes"].items():
        narrow = tensors[key].new_zeros(shape)
        setattr(layer, key, nn.Parameter(narrow) if isinstance(tensors[key], nn.Parameter) else narrow)
