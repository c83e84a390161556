"""An artifact opened in its engine: what it takes, what it gives, and how fast it is here."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdlab.errors import BadInput, JobFailed, first_line
from kdlab.inference.engines import ENGINES
from kdlab.serving.artifact import Artifact

Rows = NDArray[Any]  # inputs `(samples, …)`, or logits `(samples, classes)`
DATATYPES: Mapping[str, np.dtype[Any]] = {
    "UINT8": np.dtype(np.uint8),
    "FP32": np.dtype(np.float32),
    "INT64": np.dtype(np.int64),
}
"""By their names in the Open Inference Protocol."""
OF_ENGINE = {
    **{"tensor(uint8)": "UINT8", "tensor(float)": "FP32", "tensor(int64)": "INT64"},
    **{"u8": "UINT8", "f32": "FP32", "i64": "INT64"},
}
PASSES = 3  # timed at each batch size, of which the fastest counts


@dataclass(frozen=True)
class Signature:
    """What an artifact takes and gives.

    Attributes:
        name: of its input.
        datatype: of that, as the protocol names it.
        shape: of one sample.
        output: the name of its logits.
        labels: of the classes, in order.
        data: the name of the class of the data that the network was trained on.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    output: str
    labels: tuple[str, ...]
    data: str = ""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its input."""
        return DATATYPES[self.datatype]


@dataclass(frozen=True)
class Speed:
    """How fast an engine is: the batch size that is best, and its samples in a second."""

    batch: int
    samples_per_second: float


class Model:
    """An artifact in its engine.

    Args:
        artifact: to open.
        threads: of one call.

    Raises:
        JobFailed: the engine cannot open it.
    """

    def __init__(self, artifact: Artifact, threads: int) -> None:
        self.artifact = artifact
        try:
            self.signature = signature_of(artifact)
            self._run = ENGINES[artifact.engine](str(artifact.file), threads, None)
        except BadInput:
            raise
        except Exception as error:  # of the engine
            raise JobFailed(f"{artifact.engine} cannot open {artifact.name}: {first_line(error)[:300]}") from error

    def __call__(self, rows: Rows) -> Rows:
        """Logits `(samples, classes)` of inputs `(samples, …)`.

        Raises:
            JobFailed: the engine fails.
        """
        try:
            return self._run({self.signature.name: rows})
        except Exception as error:  # of the engine
            raise JobFailed(f"{self.artifact.engine} fails: {first_line(error)[:300]}") from error

    def warm_up(self, max_batch: int, stop: Callable[[], bool] = lambda: False) -> Speed:
        """Runs every batch size from 1 to `max_batch`, and says at which one it is fastest."""
        best = Speed(1, 0.0)
        for size in range(1, max_batch + 1):
            rows, seconds = np.zeros((size, *self.signature.shape), self.signature.dtype), float("inf")
            for _ in range(1 + PASSES):  # the first call of a size may prepare the engine for it
                start = time.perf_counter()
                self(rows)
                seconds = min(seconds, time.perf_counter() - start)
                if stop():
                    return best
            best = max(best, Speed(size, size / seconds), key=lambda speed: speed.samples_per_second)
        return best


def signature_of(artifact: Artifact) -> Signature:
    """Reads it from the file.

    Raises:
        BadInput: it takes something else than one tensor of a type that is served.
    """
    inputs, output, about = (_of_openvino if artifact.file.suffix == ".xml" else _of_onnx)(str(artifact.file))
    shapes = [shape for _, kind, shape in inputs if kind in OF_ENGINE and all(isinstance(n, int) for n in shape)]
    if len(inputs) != 1 or not shapes:
        taken = ", ".join(f"{name} ({kind})" for name, kind, _ in inputs)
        raise BadInput(
            f"{artifact.name} takes {taken}; only one tensor of {', '.join(DATATYPES)}, of a fixed size but for the "
            "batch, is served. Serve another artifact: serve.artifact=…"
        )
    name, kind, shape = inputs[0]
    return Signature(name, OF_ENGINE[kind], tuple(shape), output, tuple(json.loads(about["labels"])), about["data"])


Found = tuple[list[tuple[str, str, list[Any]]], str, Mapping[str, str]]
"""Inputs, each with its type and the shape of a sample; the name of the output; the artifact's metadata."""


def _of_onnx(path: str) -> Found:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    inputs = [(one.name, one.type, one.shape[1:]) for one in session.get_inputs()]
    return inputs, session.get_outputs()[0].name, session.get_modelmeta().custom_metadata_map


def _of_openvino(path: str) -> Found:
    import openvino

    model = openvino.Core().read_model(path)
    inputs = [
        (
            one.any_name,
            one.element_type.get_type_name(),
            [size.get_length() if size.is_static else None for size in list(one.partial_shape)[1:]],
        )
        for one in model.inputs
    ]
    about = {name: str(model.get_rt_info(["kdlab", name]).value) for name in ("labels", "data")}
    return inputs, model.outputs[0].any_name, about
