"""The student as a program of ExecuTorch, for phones and boards; its layers run in XNNPACK."""

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

ABOUT = "about"  # a method of the program: what it says about itself, as JSON


@dataclass(frozen=True, eq=False)
class ExecutorchProgram(ArtifactJob):
    """Float32, one raw image a call: memory is planned ahead, and a program for larger batches reserves it for them."""

    precision: ClassVar[str] = "float32"
    suffix: ClassVar[str] = ".pte"
    engines: ClassVar[Sequence[str]] = ("executorch",)
    made_by: ClassVar[str] = "executorch"

    def run(self, folder: Path, inputs: Sequence[Path], emit: Listener) -> Figures:
        """Exports the network, and lowers it."""
        data = test_set(self.student.config["data"])
        about = {ABOUT: json.dumps(metadata(self.student, labels_of(data)))}
        with quiet():
            from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
            from executorch.exir import to_edge_transform_and_lower

            try:
                program = torch.export.export(load_network(inputs[0]), (example_of(data)[:1],))
                lowered = to_edge_transform_and_lower(
                    program, partitioner=[XnnpackPartitioner()], constant_methods=about
                )
                content: bytes = lowered.to_executorch().buffer
            except Exception as error:  # of torch.export, of ExecuTorch, or of the network
                raise refused("ExecuTorch", error) from error
        write_bytes_atomically(self.file(folder), content)
        return self.figures(folder)
