"""Which layers of an INT8 file differ most from the float32 one; run where the file is refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from kdlab.jobs.events import Listener
from kdlab.jobs.export.finished import ExportJob
from kdlab.jobs.export.int8 import OnnxInt8, reader
from kdlab.jobs.export.onnx_file import quiet
from kdlab.jobs.export.samples import calibration_samples, training_set
from kdlab.jobs.job import Figures, Job
from kdlab.store.fingerprint import fingerprint
from kdlab.store.versions import versions

SHOWN = 5
SAMPLES = 32  # activations of every layer are kept for all of them


@dataclass(frozen=True, eq=False)
class Sensitivity(ExportJob):
    """Compares activations of both files, by ONNX Runtime's `qdq_loss_debug`.

    Args:
        quantised: the job that wrote the INT8 file.
    """

    quantised: OnnxInt8
    kind: ClassVar[str] = "sensitivity"

    @property
    def name(self) -> str:  # type: ignore[override]
        """Such as `layers of resnet20-int8.onnx`."""
        return f"layers of {self.quantised.name}"

    @property
    def fingerprint(self) -> str:
        """Changes with the file."""
        return fingerprint({"sensitivity of": self.quantised.fingerprint, "versions": versions(["export"])})

    @property
    def needs(self) -> Sequence[Job]:
        """Both files."""
        return (self.quantised.source, self.quantised)

    @property
    def settings(self) -> Mapping[str, Any]:
        """The file."""
        return {"artifact": self.quantised.name, "needs": [need.fingerprint for need in self.needs]}

    def run(self, folder: Path, inputs: Sequence[Path], emit: Listener) -> Figures:
        """Lists the layers with the lowest ratio of signal to quantisation noise, in dB."""
        source, quantised = self.quantised.source.file(inputs[0]), self.quantised.file(inputs[1])
        data = training_set(self.quantised.student.config["data"])
        samples = calibration_samples(data, self.quantised.calibration_samples).numpy()[:SAMPLES]
        noise = _signal_to_noise(source, quantised, samples)
        worst = sorted(noise.items(), key=lambda pair: pair[1])[:SHOWN]
        return {"layers": [{"node": node, "decibels": decibels} for node, decibels in worst]}


def _signal_to_noise(source: Path, quantised: Path, samples: Any) -> dict[str, float]:
    """By node of the float32 file; of each quantised output against the same output in float32."""
    import onnx
    from onnxruntime.quantization import qdq_loss_debug

    with TemporaryDirectory(prefix="kdlab-layers-") as scratch, quiet():
        kept = []
        for name, file in (("float", source), ("int8", quantised)):
            augmented = str(Path(scratch, f"{name}.onnx"))
            qdq_loss_debug.modify_model_output_intermediate_tensors(str(file), augmented)
            kept.append(qdq_loss_debug.collect_activations(augmented, reader(samples)))
        exact, rounded = kept
        matched = qdq_loss_debug.create_activation_matching(rounded, exact)
        errors = qdq_loss_debug.compute_activation_error({name: one for name, one in matched.items() if "float" in one})
    makers = {name: node.name for node in onnx.load(source).graph.node if node.name for name in node.output}
    return {makers[tensor]: float(error["xmodel_err"]) for tensor, error in errors.items() if tensor in makers}
