"""Engines: each opens an artifact, and maps raw inputs to logits."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Inputs = Mapping[str, "np.ndarray[Any, Any]"]  # by the name of the artifact's input, each `(batch, …)`
Run = Callable[[Inputs], "np.ndarray[Any, Any]"]  # to logits `(batch, classes)`, float32
Open = Callable[[str, int, "int | None"], Run]

ERRORS_ONLY = 3  # a log level of ONNX Runtime


def open_onnxruntime(path: str, threads: int, batch: int | None = None) -> Run:
    """ONNX Runtime on the CPU.

    Args:
        path: of an ONNX file.
        threads: of one call.
        batch: is not needed: ONNX Runtime takes any.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = ERRORS_ONLY
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(None, dict(inputs))[0]


def open_openvino(path: str, threads: int, batch: int | None = None) -> Run:
    """OpenVINO on the CPU, in float32 where a layer is not INT8: by default it takes bfloat16 where the CPU has it.

    Args:
        path: of an ONNX file or of an OpenVINO model (`.xml`).
        threads: of one call.
        batch: compiles the model for this batch alone, which is faster; None for any.
    """
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    if batch is not None:
        model.reshape({one.any_name: [batch, *one.partial_shape[1:]] for one in model.inputs})
    # Without hyper-threading OpenVINO takes fewer threads than asked for, where `threads` are all.
    settings = {"INFERENCE_NUM_THREADS": threads, "ENABLE_HYPER_THREADING": True, "NUM_STREAMS": "1"}
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", **settings})
    return lambda inputs: compiled(dict(inputs))[0].copy()


def open_reference(path: str, threads: int, batch: int | None = None) -> Run:
    """The reference implementation of ONNX, in numpy: slow, and independent of every engine.

    Args:
        path: of an ONNX file.
        threads: is not used.
        batch: is not needed.
    """
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(path)
    outputs: Any = evaluator.run
    return lambda inputs: outputs(None, dict(inputs))[0]


def open_executorch(path: str, threads: int, batch: int | None = None) -> Run:
    """ExecuTorch on the CPU; a program takes one sample a call, so that a batch is as many calls.

    Args:
        path: of a `.pte` file.
        threads: of the whole process.
        batch: is not needed.
    """
    import torch
    from executorch.extension.pybindings.portable_lib import _unsafe_reset_threadpool
    from executorch.runtime import Runtime

    _unsafe_reset_threadpool(threads)
    program = Runtime.get().load_program(path)
    method = program.load_method("forward")

    def run(inputs: Inputs) -> np.ndarray[Any, Any]:
        tensors = [torch.from_numpy(one) for one in inputs.values()]
        every = [method.execute([one[at : at + 1] for one in tensors])[0].clone() for at in range(len(tensors[0]))]
        logits: np.ndarray[Any, Any] = torch.cat(every).numpy()
        return logits

    return run


def open_program(path: str, threads: int, batch: int | None = None) -> Run:
    """A program of torch.export in torch.

    Args:
        path: of a `.pt2` file.
        threads: of the whole process.
        batch: is not needed.
    """
    import torch

    torch.set_num_threads(threads)
    program = torch.export.load(path).module()

    def run(inputs: Inputs) -> np.ndarray[Any, Any]:
        with torch.no_grad():
            logits: np.ndarray[Any, Any] = program(*(torch.from_numpy(one) for one in inputs.values())).numpy()
            return logits

    return run


def open_eager(path: str, threads: int, batch: int | None = None) -> Run:
    """A network in eager PyTorch, which needs kdlab: in no bundle.

    Args:
        path: the folder of a finished stage.
        threads: of the whole process.
        batch: is not needed.
    """
    opened: Run = importlib.import_module("kdlab.models.eager").open_eager(path, threads)
    return opened


ENGINES: Mapping[str, Open] = {
    "onnxruntime": open_onnxruntime,
    "openvino": open_openvino,
    "onnx": open_reference,
    "executorch": open_executorch,
    "torch": open_program,
    "pytorch": open_eager,
}
"""By name: of the package that each needs, but for `pytorch`, which is eager."""
