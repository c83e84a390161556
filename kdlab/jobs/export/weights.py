"""The student's weights and config, in the layout that timm, transformers or, for other networks, kdlab loads."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import safetensors.torch
import torch
from torch import nn

from kdlab.errors import JobFailed
from kdlab.jobs.events import Listener
from kdlab.jobs.export.artifact import ArtifactJob
from kdlab.jobs.export.samples import example_of, labels_of, test_set
from kdlab.jobs.job import Figures
from kdlab.models.network import Network
from kdlab.models.saved import changes_of, load_network, make_network
from kdlab.models.sources.timm import has_multipliers
from kdlab.models.stage_folder import CHANGES
from kdlab.store.atomic import write_bytes_atomically

WEIGHTS, CONFIG = "model.safetensors", "config.json"
LOADS = {
    "timm": 'timm.create_model("local-dir:{name}", pretrained=True)',
    "huggingface": 'transformers.AutoModelForImageClassification.from_pretrained("{name}")',
}
"""How a folder is loaded, by the source of its network."""
OWN_LAYOUT = (
    'kdlab.models.saved.make_network(json.load(open("{name}/config.json")) | {{"checkpoint": "{name}/{weights}"}})'
)


@dataclass(frozen=True, eq=False)
class Weights(ArtifactJob):
    """A folder with `model.safetensors` and `config.json` of the bare network: preprocessing is not inside."""

    precision: ClassVar[str] = "float32"
    suffix: ClassVar[str] = ""
    engines: ClassVar[Sequence[str]] = ()
    made_by: ClassVar[str] = "safetensors"

    def files(self, folder: Path) -> Sequence[Path]:
        """Config and weights."""
        return [self.file(folder) / CONFIG, self.file(folder) / WEIGHTS]

    @property
    def loads_with(self) -> str:
        """The line of Python that loads the folder."""
        changed = any((self.student.folder / file).is_file() for file in CHANGES.values())
        line = LOADS.get(_layout(self.student.config["network"], changed), OWN_LAYOUT)
        return line.format(name=self.name, weights=WEIGHTS)

    def run(self, folder: Path, inputs: Sequence[Path], emit: Listener) -> Figures:
        """Writes the folder, and loads it again to compare."""
        settings, network = self.student.config["network"], load_network(inputs[0])
        data = test_set(self.student.config["data"])
        side = example_of(data).shape[-1]
        with TemporaryDirectory(prefix="kdlab-weights-") as scratch:
            save_folder(Path(scratch), network, settings, labels_of(data), side)
            self.file(folder).mkdir(exist_ok=True)
            for file in self.files(folder):
                write_bytes_atomically(file, Path(scratch, file.name).read_bytes())
        return {**self.figures(folder), "loads_with": self.loads_with}


def save_folder(folder: Path, network: Network, settings: Mapping[str, Any], labels: list[str], side: int) -> None:
    """Writes config and weights, loads them again as their reader will, and compares every tensor.

    Args:
        folder: that exists.
        network: with its weights.
        settings: of the network, as in a stage.
        labels: in order.
        side: of the data's images, in pixels.

    Raises:
        JobFailed: a tensor differs.
    """
    source = _layout(settings, bool(changes_of(network)))
    save = {"timm": _save_timm, "huggingface": _save_transformers}.get(source, _save_own)
    save(folder, network, settings, labels, side)
    loaded, expected = _loaded(folder, source).state_dict(), network.module.state_dict()
    if loaded.keys() != expected.keys() or not all(torch.equal(loaded[name], expected[name]) for name in expected):
        raise JobFailed(f"{source} loads other weights than were written. Report this as a bug.")


def _layout(settings: Mapping[str, Any], changed: bool) -> str:
    """Whose layout the folder has: that of the network's library, unless only kdlab can build the network."""
    own = changed or (settings["source"] == "timm" and has_multipliers(settings.get("kwargs") or {}))
    return "kdlab" if own else str(settings["source"])


def _save_timm(folder: Path, network: Network, settings: Mapping[str, Any], labels: list[str], side: int) -> None:
    from timm.models import save_for_hf

    shape = [3, network.image_size or side, network.image_size or side]
    preprocessing = {name: settings[name] for name in ("mean", "std") if settings.get(name)}
    config = {
        "label_names": labels,
        "model_args": dict(settings.get("kwargs") or {}),
        "pretrained_cfg": {**preprocessing, "input_size": shape},
    }
    save_for_hf(network.module, str(folder), model_config=config, safe_serialization=True)


def _save_transformers(
    folder: Path, network: Network, settings: Mapping[str, Any], labels: list[str], side: int
) -> None:
    module: Any = network.module
    module.config.id2label = dict(enumerate(labels))
    module.config.label2id = {label: number for number, label in enumerate(labels)}
    module.save_pretrained(folder)


def _save_own(folder: Path, network: Network, settings: Mapping[str, Any], labels: list[str], side: int) -> None:
    kept = ("source", "name", "kwargs", "num_classes", "mean", "std", "image_size")
    changes = changes_of(network)
    config = {**{name: settings.get(name) for name in kept}, "labels": labels, **changes}
    (folder / CONFIG).write_text(json.dumps(config, indent=None if changes else 2) + "\n")
    state = {name: tensor.clone().contiguous() for name, tensor in network.module.state_dict().items()}
    safetensors.torch.save_file(state, folder / WEIGHTS)


def _loaded(folder: Path, source: str) -> nn.Module:
    if source == "timm":
        import timm

        timm_network: nn.Module = timm.create_model(f"local-dir:{folder}", pretrained=True)
        return timm_network
    if source == "huggingface":
        from transformers import AutoModelForImageClassification

        transformer: nn.Module = AutoModelForImageClassification.from_pretrained(folder)
        return transformer
    config = json.loads((folder / CONFIG).read_text())
    return make_network({**config, "checkpoint": str(folder / WEIGHTS)}).module
