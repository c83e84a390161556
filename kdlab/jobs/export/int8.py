"""The student in INT8: weights by channel, activations by the ranges that calibration samples reach."""

import os
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np

from kdlab.errors import BadInput, JobFailed, first_line
from kdlab.jobs.events import Listener
from kdlab.jobs.export.artifact import INPUT, ArtifactJob, metadata
from kdlab.jobs.export.onnx_file import BARE, OnnxFile, cut, exported, quiet, without_traces, write_onnx
from kdlab.jobs.export.samples import calibration_samples, example_of, labels_of, test_set, training_set
from kdlab.jobs.job import Figures, Job
from kdlab.models.fake_quantised import FakeQuantised
from kdlab.models.saved import load_network
from kdlab.store.atomic import write_bytes_atomically

BATCH = 32  # samples that ONNX Runtime reads at a time; ranges are averaged over batches


@dataclass(frozen=True, eq=False)
class Int8(ArtifactJob):
    """Quantises the float32 ONNX file after training.

    Args:
        student: see `ArtifactJob`.
        source: the job that writes that file.
        calibration_samples: number of samples, of no test set; see `kdlab.jobs.export.samples`.
        keep_float: nodes that stay in float32, as a refusal names them, such as `layer1.0.conv1/node_Conv_3`.
    """

    source: OnnxFile
    calibration_samples: int = 256
    keep_float: Sequence[str] = ()
    precision: ClassVar[str] = "int8"

    @property
    def own(self) -> Mapping[str, Any]:
        """How it is quantised."""
        return {"calibration_samples": self.calibration_samples, "keep_float": sorted(self.keep_float)}

    @property
    def needs(self) -> Sequence[Job]:
        """The float32 file."""
        return (self.source,)

    def run(self, folder: Path, inputs: Sequence[Path], emit: Listener) -> Figures:
        """Quantises it."""
        source, data = self.source.file(inputs[0]), training_set(self.student.config["data"])
        self._check_nodes(source)
        samples = calibration_samples(data, self.calibration_samples).numpy()
        about = metadata(self.student, labels_of(data), quantised_by=self.made_by, **self.own)
        with quiet():
            try:
                self.quantise(source, samples, folder, about)
            except Exception as error:  # of the quantiser
                raise JobFailed(f"{self.made_by} cannot quantise the network: {first_line(error)}") from error
        return {**self.figures(folder), **self.own, "calibrated_on": len(samples)}

    @abstractmethod
    def quantise(self, source: Path, samples: "np.ndarray[Any, Any]", folder: Path, about: Mapping[str, str]) -> None:
        """Writes the artifact.

        Args:
            source: the float32 file.
            samples: `(samples, channels, height, width)`.
            folder: of the job.
            about: metadata for the file.
        """

    def _check_nodes(self, source: Path) -> None:
        import onnx

        names = {node.name for node in onnx.load(source, load_external_data=False).graph.node}
        if unknown := [name for name in self.keep_float if name not in names]:
            some = ", ".join(sorted(name for name in names if "Conv" in name or "Gemm" in name)[:3])
            raise BadInput(f"export.keep_float must name nodes of {source.name}, got {unknown[0]}. For example: {some}")


@dataclass(frozen=True, eq=False)
class OnnxInt8(Int8):
    """By ONNX Runtime: QDQ nodes, unsigned activations, signed weights.

    Signed activations would leave half of the convolutions in float32 on x86.
    """

    suffix: ClassVar[str] = "-int8.onnx"
    engines: ClassVar[Sequence[str]] = ("onnxruntime", "openvino")
    made_by: ClassVar[str] = "onnxruntime"

    def quantise(self, source: Path, samples: "np.ndarray[Any, Any]", folder: Path, about: Mapping[str, str]) -> None:
        """Writes one ONNX file, and the network without its preprocessing."""
        import onnx
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process

        with TemporaryDirectory(prefix="kdlab-int8-") as scratch:
            prepared, quantised = Path(scratch, "prepared.onnx"), Path(scratch, "int8.onnx")
            quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
            quantize_static(
                str(prepared),
                str(quantised),
                reader(samples),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
                nodes_to_exclude=list(self.keep_float),
                extra_options={"CalibMovingAverage": True},
            )
            model = onnx.load(quantised)
        write_onnx(self.file(folder), model, about)
        cut(model, folder / BARE)


@dataclass(frozen=True, eq=False)
class TrainedInt8(ArtifactJob):
    """A student that was trained with fake quantisation, in the steps that it was trained with, without calibration.

    Args:
        student: see `ArtifactJob`; of `plan=qat`.
        opset: version of the ONNX operators, 18 to 23.
    """

    opset: int = 20
    precision: ClassVar[str] = "int8"
    suffix: ClassVar[str] = "-int8.onnx"
    engines: ClassVar[Sequence[str]] = ("onnxruntime", "openvino")
    made_by: ClassVar[str] = "torchao"

    @property
    def own(self) -> Mapping[str, Any]:
        """The opset."""
        return {"opset": self.opset}

    def run(self, folder: Path, inputs: Sequence[Path], emit: Listener) -> Figures:
        """Exports the network with integer weights."""
        data, network = test_set(self.student.config["data"]), load_network(inputs[0])
        assert isinstance(network.module, FakeQuantised)
        network.module = network.module.converted()
        model = exported(network, example_of(data), self.opset)
        without_traces(model)
        about = metadata(self.student, labels_of(data), quantised_by=self.made_by, **self.own)
        write_onnx(self.file(folder), model, about)
        cut(model, folder / BARE)
        return {**self.figures(folder), **self.own}


@dataclass(frozen=True, eq=False)
class OpenvinoInt8(Int8):
    """By NNCF, for OpenVINO: a file with the graph and one with the weights."""

    suffix: ClassVar[str] = "-int8-openvino.xml"
    engines: ClassVar[Sequence[str]] = ("openvino",)
    made_by: ClassVar[str] = "nncf"

    def files(self, folder: Path) -> Sequence[Path]:
        """Graph and weights."""
        return (self.file(folder), self.file(folder).with_suffix(".bin"))

    def quantise(self, source: Path, samples: "np.ndarray[Any, Any]", folder: Path, about: Mapping[str, str]) -> None:
        """Writes both files, the graph last."""
        os.environ.setdefault("NNCF_CI", "1")  # on import NNCF reports its use to its makers otherwise, without asking
        import nncf
        import openvino
        from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters
        from nncf.quantization.range_estimator import RangeEstimatorParametersSet

        # Ranges of all samples: NNCF's default, their mean, leaves ResNet-20 under 99 % of agreement.
        ranges = AdvancedQuantizationParameters(activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX)
        model = nncf.quantize(
            openvino.Core().read_model(source),
            nncf.Dataset([samples[at : at + 1] for at in range(len(samples))]),
            subset_size=len(samples),
            ignored_scope=nncf.IgnoredScope(names=list(self.keep_float)) if self.keep_float else None,
            advanced_parameters=ranges,
        )
        for name, value in about.items():
            model.set_rt_info(value, ["kdlab", name])
        with TemporaryDirectory(prefix="kdlab-int8-") as scratch:
            openvino.save_model(model, Path(scratch, self.name), compress_to_fp16=False)
            for file in reversed(self.files(folder)):
                write_bytes_atomically(file, Path(scratch, file.name).read_bytes())


def reader(samples: "np.ndarray[Any, Any]") -> Any:
    """A reader of calibration samples for ONNX Runtime."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Yields batches."""

        def __init__(self) -> None:
            self.batches: Iterator[np.ndarray[Any, Any]] = iter(np.array_split(samples, max(len(samples) // BATCH, 1)))

        def get_next(self) -> dict[str, Any] | None:
            batch = next(self.batches, None)
            return None if batch is None else {INPUT: batch}

    return Reader()
