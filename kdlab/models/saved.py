"""A finished stage's network, predictions and examples on disk."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import yaml
from torch import Tensor

from kdlab.errors import BadInput
from kdlab.models.build import SOURCES, build_network
from kdlab.models.checkpoint import load_weights
from kdlab.models.fake_quantised import FakeQuantised, fake_quantise
from kdlab.models.network import Network
from kdlab.models.pruned import Pruned, apply_pruning
from kdlab.models.stage_folder import CHANGES, WEIGHTS
from kdlab.store.atomic import write_bytes_atomically, write_text_atomically

PREDICTIONS = "predictions.safetensors"
EXAMPLES = "examples.safetensors"


def make_network(settings: Mapping[str, Any], *, channels_last: bool = False, setting: str = "model") -> Network:
    """A network from its config with its own preprocessing; the caller seeds the random weights.

    Args:
        settings: `source`, `name`, `kwargs`, `pretrained`, `checkpoint`, `num_classes`, `mean`, `std`, `image_size`;
            `pruning`, the record of a pruned network, and `quantisation`, that of a fake-quantised one: the weights in
            `checkpoint` are those of the changed network then.
        channels_last: the memory format of weights and images.
        setting: the config node that `settings` come from, for messages.
    """
    pruning, quantisation = settings.get("pruning"), settings.get("quantisation")
    names = ("source", "name", "num_classes", "kwargs", "pretrained", "checkpoint")
    given = {name: settings[name] for name in names if name in settings}
    checkpoint = given.pop("checkpoint", None) if pruning or quantisation else None
    module = build_network(**given, setting=setting)
    preprocessing = {name: settings.get(name) for name in ("mean", "std", "image_size")}
    network = Network(module, **preprocessing, channels_last=channels_last)
    if pruning:
        apply_pruning(module, pruning)
        network.pruned = Pruned(**pruning)
    if quantisation:
        fake_quantise(network, torch.zeros(1, *quantisation["shape"]), name=str(settings["name"]))
    if checkpoint:
        load_weights(network.module, checkpoint, setting=f"{setting}.checkpoint")
    return network


def changes_of(network: Network) -> dict[str, Any]:
    """The records of what a network is besides its config, for `make_network`; none for one as it is built."""
    pruning = {"pruning": network.pruned.as_dict()} if network.pruned else {}
    if not isinstance(network.module, FakeQuantised):
        return pruning
    return {**pruning, "quantisation": {"shape": list(network.module.shape)}}


def save_network(folder: Path, network: Network) -> None:
    """Writes the bare network's weights under its own names, so that other programs can read them too.

    How a pruned or a fake-quantised network differs from what its config says is written beside them.
    """
    for name, record in changes_of(network).items():
        write_text_atomically(folder / CHANGES[name], json.dumps(record) + "\n")
    state = {name: tensor.contiguous() for name, tensor in network.module.state_dict().items()}
    content = safetensors.torch.save(_unshared(state))
    write_bytes_atomically(folder / WEIGHTS, content)


def load_network(folder: Path, *, channels_last: bool = False, trusted: bool = True) -> Network:
    """The network of a finished stage, with its weights, in eval mode.

    Args:
        folder: of the stage; holds `config.yaml` and `student.safetensors`.
        channels_last: the memory format of weights and images.
        trusted: also build networks of sources other than `SOURCES`, which runs their code.

    Raises:
        BadInput: there is no finished stage, or its network comes from a package that is not trusted.
    """
    config = folder / "config.yaml"
    if not config.is_file() or not (folder / WEIGHTS).is_file():
        raise BadInput(f"{folder} holds no finished network: config.yaml and {WEIGHTS} are not both there.")
    settings = yaml.safe_load(config.read_text())["network"]
    if not trusted and settings["source"] not in SOURCES:
        raise BadInput(
            f"{folder} has a network from {settings['source']!r}, which is not one of {', '.join(SOURCES)}; "
            "building it runs that package's code. If you trust it: kdlab.load(…, trusted=True)."
        )
    records = {
        name: json.loads((folder / file).read_text()) for name, file in CHANGES.items() if (folder / file).is_file()
    }
    settings = {**settings, "pretrained": False, "checkpoint": None, **records}
    network = make_network(settings, channels_last=channels_last)
    load_weights(network.module, folder / WEIGHTS, setting="student.safetensors")
    return network.eval()


def save_predictions(folder: Path, logits: Tensor, targets: Tensor) -> None:
    """Writes the test set's logits `(samples, classes)` and targets `(samples,)`, in the set's order."""
    content = safetensors.torch.save({"logits": logits.contiguous(), "targets": targets.contiguous()})
    write_bytes_atomically(folder / PREDICTIONS, content)


def load_predictions(folder: Path) -> tuple[Tensor, Tensor]:
    """Logits and targets of the test set as `save_predictions` wrote them."""
    tensors = safetensors.torch.load_file(folder / PREDICTIONS)
    return tensors["logits"], tensors["targets"]


def save_examples(folder: Path, class_names: Sequence[str], pictures: Mapping[int, Tensor]) -> None:
    """Writes the class names and example images that reports show.

    Args:
        folder: of the stage.
        class_names: in label order; empty where the data do not name them.
        pictures: of some samples, `(channels, height, width)`, uint8, by position among the labelled samples.
    """
    tensors = {str(sample): picture.contiguous() for sample, picture in pictures.items()}
    content = safetensors.torch.save(tensors, metadata={"class_names": json.dumps(list(class_names))})
    write_bytes_atomically(folder / EXAMPLES, content)


def _unshared(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A copy of tied weights for each name: safetensors cannot save shared memory."""
    seen: set[int] = set()
    own = {}
    for name, tensor in state.items():
        own[name] = tensor.clone() if tensor.data_ptr() in seen else tensor
        seen.add(tensor.data_ptr())
    return own
