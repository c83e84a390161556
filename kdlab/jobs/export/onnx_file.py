"""The student as an ONNX file in float32, its preprocessing inside; written by torch's exporter."""

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from kdlab.errors import BadInput, JobFailed
from kdlab.jobs.events import Listener
from kdlab.jobs.export.artifact import INPUT, OUTPUT, ArtifactJob, metadata
from kdlab.jobs.export.samples import example_of, labels_of, test_set
from kdlab.jobs.job import Figures
from kdlab.models.network import Network
from kdlab.models.saved import load_network
from kdlab.store.atomic import write_bytes_atomically

OPSETS = range(18, 24)  # that torch's exporter writes
SCOPES = "pkg.torch.onnx.name_scopes"
PREPARED = "prepared_images"  # the tensor between preprocessing and network
SIZES = ("Shape", "Squeeze")  # operators by which a network reads the size of its batch
BARE = "bare.onnx"  # the network without its preprocessing, to measure what that costs


@dataclass(frozen=True, eq=False)
class OnnxFile(ArtifactJob):
    """Float32 ONNX: raw images in, logits out, any batch size, weights in the file.

    Args:
        student: see `ArtifactJob`.
        opset: version of the ONNX operators, 18 to 23.

    Raises:
        BadInput: another opset.
    """

    opset: int = 20
    precision: ClassVar[str] = "float32"
    suffix: ClassVar[str] = ".onnx"
    engines: ClassVar[Sequence[str]] = ("onnxruntime", "openvino")
    made_by: ClassVar[str] = "torch"

    def __post_init__(self) -> None:
        if self.opset not in OPSETS:
            raise BadInput(
                f"export.opset must be a whole number from {OPSETS[0]} to {OPSETS[-1]}, got {self.opset!r}. "
                "For example: export.opset=20"
            )

    @property
    def own(self) -> Mapping[str, Any]:
        """The opset."""
        return {"opset": self.opset}

    def run(self, folder: Path, inputs: Sequence[Path], emit: Listener) -> Figures:
        """Exports the network."""
        data = test_set(self.student.config["data"])
        model = exported(load_network(inputs[0]), example_of(data), self.opset)
        without_traces(model)
        write_onnx(self.file(folder), model, metadata(self.student, labels_of(data)))
        cut(model, folder / BARE)
        return {**self.figures(folder), **self.own}


def exported(network: Network, example: Tensor, opset: int) -> Any:
    """The model of torch's exporter.

    Raises:
        JobFailed: it lacks an operator, or the network's control flow depends on its input.
    """
    with quiet():
        try:
            program = torch.onnx.export(
                network,
                (example,),
                dynamo=True,
                verbose=False,
                opset_version=opset,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
            )
        except Exception as error:  # of the exporter, of torch.export, or of the network
            raise refused("torch's ONNX exporter", error) from error
    assert program is not None
    return program.model_proto


def refused(exporter: str, error: BaseException) -> JobFailed:
    """One line of the reason why an exporter refuses a network, of a chain of errors whose texts are whole graphs."""
    chain = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    reason = (str(chain[-1]).strip() or type(chain[-1]).__name__).splitlines()[0][:300].rstrip(". ")
    kinds = {type(one).__name__ for one in chain}
    advice = "Choose another network, or change its forward."
    if "DispatchError" in kinds:
        advice = "ONNX has no such operator: write that layer with others, or try another export.opset."
    elif kinds & {"GuardOnDataDependentSymNode", "UserError", "Unsupported"}:
        advice = "Its forward branches on values of its input: use torch.where there, or choose another network."
    return JobFailed(f"{exporter} refuses the network: {reason}. {advice}")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the progress, warnings and whole graphs that exporters print."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def without_traces(model: Any) -> None:
    """Removes the exporter's notes, which have absolute paths and stack traces; names nodes after their modules."""
    _name_prepared_images(model)
    graphs = [model.graph]
    for graph in graphs:
        for node in graph.node:
            node.name = _named(node)
            graphs += [attribute.g for attribute in node.attribute if attribute.HasField("g")]
            _strip(node)
        for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer, graph):
            _strip(value)
    for function in model.functions:
        for part in (function, *function.node):
            _strip(part)
    _strip(model)


def _strip(part: Any) -> None:
    del part.metadata_props[:]
    part.doc_string = ""


def _scopes(node: Any) -> list[str]:
    notes = {note.key: note.value for note in node.metadata_props}
    return [scope for scope in json.loads(notes.get(SCOPES, "[]").replace("'", '"')) if scope]


def _named(node: Any) -> str:
    """Such as `layer1.0.conv1/node_conv2d_3`: by the layer whose weights it has, or the module that it is in."""
    weights = [name.removesuffix(".weight") for name in node.input if name.endswith(".weight")]
    modules = [name for name in weights or _scopes(node) if name.startswith("module.")]
    return f"{modules[-1].removeprefix('module.')}/{node.name}" if modules else str(node.name)


def _name_prepared_images(model: Any) -> None:
    """Calls the one tensor between preprocessing and network `PREPARED`; nothing where there is no one such tensor."""
    inside = [node for node in model.graph.node if "module" in _scopes(node)]
    names = {node.name for node in inside}
    outside = {name for node in model.graph.node if node.name not in names for name in node.output}
    sizes = {name for node in model.graph.node if node.op_type in SIZES for name in node.output}
    crossing = {name for node in inside for name in node.input if name in outside} - sizes
    if len(crossing) != 1:
        return
    (old,) = crossing
    for node in model.graph.node:
        for side in (node.input, node.output):
            for at, name in enumerate(side):
                if name == old:
                    side[at] = PREPARED
    for value in model.graph.value_info:
        value.name = PREPARED if value.name == old else value.name


def write_onnx(path: Path, model: Any, about: Mapping[str, str]) -> None:
    """Writes a model in one file, with its metadata.

    Args:
        path: of the file.
        model: of `onnx`.
        about: its metadata, in place of any that it has.
    """
    import onnx

    onnx.helper.set_model_props(model, dict(about))
    model.producer_name, model.producer_version = "kdlab", about["kdlab"]
    write_bytes_atomically(path, model.SerializeToString(deterministic=True))


def cut(model: Any, path: Path) -> None:
    """Writes the part of a model after `PREPARED`, the network alone; nothing where there is no such tensor.

    Args:
        model: of `onnx`.
        path: of the file.
    """
    import onnx

    if any(PREPARED in node.output for node in model.graph.node):
        inferred = onnx.shape_inference.infer_shapes(model)
        for node in inferred.graph.node:
            if node.op_type == "Shape" and list(node.input) == [INPUT]:  # of the batch
                node.input[0] = PREPARED
        part = onnx.utils.Extractor(inferred).extract_model([PREPARED], [OUTPUT])
        write_bytes_atomically(path, part.SerializeToString())
