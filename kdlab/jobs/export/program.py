"""The student as a program of torch.export, which torch runs without kdlab and without the network's Python code."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from kdlab.jobs.events import Listener
from kdlab.jobs.export.artifact import ArtifactJob, metadata
from kdlab.jobs.export.onnx_file import quiet, refused
from kdlab.jobs.export.samples import example_of, labels_of, test_set
from kdlab.jobs.job import Figures
from kdlab.models.saved import load_network
from kdlab.store.atomic import write_bytes_atomically

ABOUT = "kdlab.json"  # in the file: what it says about itself


@dataclass(frozen=True, eq=False)
class TorchProgram(ArtifactJob):
    """`torch.export.load(file).module()` takes raw images; its metadata is the extra file `ABOUT`."""

    precision: ClassVar[str] = "float32"
    suffix: ClassVar[str] = ".pt2"
    engines: ClassVar[Sequence[str]] = ("torch",)
    made_by: ClassVar[str] = "torch"

    def run(self, folder: Path, inputs: Sequence[Path], emit: Listener) -> Figures:
        """Exports the network."""
        data = test_set(self.student.config["data"])
        example, shapes = (example_of(data),), ({0: torch.export.Dim("batch")},)
        with quiet():
            try:
                program = torch.export.export(load_network(inputs[0]), example, dynamic_shapes=shapes)
            except Exception as error:  # of torch.export, or of the network
                raise refused("torch.export", error) from error
        for graph in program.graph_module.modules():
            for node in getattr(graph, "graph", torch.fx.Graph()).nodes:
                node.meta.pop("stack_trace", None)  # absolute paths
        about = json.dumps(metadata(self.student, labels_of(data)))
        content = io.BytesIO()
        torch.export.save(program, content, extra_files={ABOUT: about})
        write_bytes_atomically(self.file(folder), content.getvalue())
        return self.figures(folder)
