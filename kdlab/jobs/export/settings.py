"""The settings of an export, and the jobs that they ask for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from kdlab.errors import BadInput
from kdlab.jobs.export.artifact import ArtifactJob
from kdlab.jobs.export.executorch import ExecutorchProgram
from kdlab.jobs.export.finished import FinishedStage
from kdlab.jobs.export.int8 import OnnxInt8, OpenvinoInt8, TrainedInt8
from kdlab.jobs.export.latency import Measurement
from kdlab.jobs.export.onnx_file import OnnxFile
from kdlab.jobs.export.program import TorchProgram
from kdlab.jobs.export.proof import Proof, ReferenceCheck
from kdlab.jobs.export.weights import Weights
from kdlab.settings.numbers import is_number
from kdlab.settings.targets import check_known

ENGINES = {
    "onnxruntime": "export",
    "openvino": "openvino",
    "executorch": "executorch",
}  # and the extra that each comes with
PACKAGES = {  # that an artifact needs, with the extra that they come with
    "onnx": {"onnx": "export", "onnxscript": "export"},
    "onnx_int8": {"onnx": "export", "onnxscript": "export", "onnxruntime": "export"},
    "openvino_int8": {"onnx": "export", "onnxscript": "export", "nncf": "openvino", "openvino": "openvino"},
    "executorch": {"executorch": "executorch"},
    "program": {},
    "weights": {},
}


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """The config group `export`.

    Attributes:
        artifacts: which are written: `onnx`, `onnx_int8`, `openvino_int8`, `executorch`, `program`, `weights`.
        engines: in which artifacts are proved and measured: `onnxruntime`, `openvino`, `executorch`; an artifact that
            only one engine runs is proved in that one in any case.
        opset: of ONNX operators.
        calibration_samples: by which INT8 ranges are set.
        keep_float: nodes that INT8 files leave in float32.
        max_drop: of the headline metric, in its points (or per cent), from the student to an artifact.
        min_agreement: per cent of test samples on which an INT8 artifact must predict as the student does.
        max_difference: of a float32 artifact's logits from the student's, as a share of the largest logit.
        max_latency_ms: a budget, at the first batch size and number of threads of `measure`; None for none.
        max_size_mb: a budget of an artifact's size in megabytes; None for none.
        min_accuracy: a budget of the headline metric on test; None for none.
        measure: see `Measurement`.

    Raises:
        BadInput: unknown or missing values, or a package that is not installed.
    """

    artifacts: Sequence[str] = ("onnx", "onnx_int8", "program", "weights")
    engines: Sequence[str] = ("onnxruntime",)
    opset: int = 20
    calibration_samples: int = 256
    keep_float: Sequence[str] = ()
    max_drop: float = 1.0
    min_agreement: float = 99.0
    max_difference: float = 1e-4
    max_latency_ms: float | None = None
    max_size_mb: float | None = None
    min_accuracy: float | None = None
    measure: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_listed("artifacts", self.artifacts, PACKAGES)
        _check_listed("engines", self.engines, ENGINES)
        for name, most in (("max_drop", 100), ("min_agreement", 100), ("max_difference", 1)):
            _check_number(name, getattr(self, name), most)
        for name in ("max_latency_ms", "max_size_mb", "min_accuracy"):
            if getattr(self, name) is not None:
                _check_number(name, getattr(self, name), None)
        check_known("export.measure", self.measure, Measurement.__annotations__)
        Measurement(**self.measure)  # which checks its values
        self._check_installed()

    @property
    def measurement(self) -> Measurement:
        """How artifacts are measured."""
        return Measurement(**self.measure)

    def jobs(self, student: FinishedStage) -> list[ArtifactJob]:
        """The jobs that write the artifacts, in order; INT8 brings the float32 file that it is made from.

        Raises:
            BadInput: the student was trained for INT8, and no INT8 file is asked for.
        """
        if student.change == "quantised":
            return self._trained_int8(student)
        source = OnnxFile(student, self.opset)
        options: Any = {"calibration_samples": self.calibration_samples, "keep_float": tuple(self.keep_float)}
        made: Mapping[str, Callable[[], ArtifactJob]] = {
            "onnx": lambda: source,
            "onnx_int8": lambda: OnnxInt8(student, source, **options),
            "openvino_int8": lambda: OpenvinoInt8(student, source, **options),
            "executorch": lambda: ExecutorchProgram(student),
            "program": lambda: TorchProgram(student),
            "weights": lambda: Weights(student),
        }
        needs_source = any("int8" in name for name in self.artifacts)
        return [make() for name, make in made.items() if name in self.artifacts or (name == "onnx" and needs_source)]

    def _trained_int8(self, student: FinishedStage) -> list[ArtifactJob]:
        if "onnx_int8" not in self.artifacts:
            raise BadInput(
                f"export.artifacts must list onnx_int8 for {student.label}, which was trained for INT8 (plan=qat); got "
                f"{', '.join(self.artifacts)}. For example: export.artifacts=[onnx_int8]"
            )
        return [TrainedInt8(student, self.opset)]

    def proofs(self, job: ArtifactJob) -> list[Proof]:
        """The proofs of an artifact: in each engine that runs it, and in the only one in any case."""
        return [Proof(job, engine) for engine in job.engines if engine in self.engines or len(job.engines) == 1]

    def checks(self, job: ArtifactJob) -> list[ReferenceCheck]:
        """A check by the reference implementation, for an ONNX file that only one engine proves."""
        proofs = self.proofs(job)
        return [ReferenceCheck(proofs[0])] if len(proofs) == 1 and job.name.endswith(".onnx") else []

    def _check_installed(self) -> None:
        needed = {package: extra for name in self.artifacts for package, extra in PACKAGES[name].items()}
        needed |= {engine: ENGINES[engine] for engine in self.engines}
        for package, extra in needed.items():
            if find_spec(package) is None:
                raise BadInput(
                    f"export needs {package}, which is not installed: pip install 'kdlab[{extra}]'. Or leave out what "
                    "needs it: export.artifacts and export.engines list what is made and where it runs."
                )


def _check_listed(name: str, chosen: Any, known: Mapping[str, Any]) -> None:
    listed = list(chosen) if isinstance(chosen, list | tuple) else [chosen]
    unknown = [one for one in listed if one not in known]
    if unknown or not listed:
        raise BadInput(
            f"export.{name} must list some of {', '.join(known)}; got {chosen!r}. "
            f"For example: export.{name}=[{next(iter(known))}]"
        )


def _check_number(name: str, value: Any, most: float | None) -> None:
    if not is_number(value) or value < 0 or (most is not None and value > most):
        limit = "0 or more" if most is None else f"from 0 to {most}"
        raise BadInput(f"export.{name} must be a number, {limit}; got {value!r}.")
