"""The precision in which a frozen teacher computes, and casting its weights to it."""

import torch
from torch import nn

from kdlab.errors import BadInput

REDUCED = {"bfloat16": torch.bfloat16, "float16": torch.float16}
PRECISIONS = ("auto", "float32", *REDUCED)
CAST = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)  # by exact type: a subclass may compute with its weights first


def teacher_precision(requested: object, device: str) -> str:
    """`float32`, `bfloat16` or `float16`; `auto` is bfloat16 where the device supports it natively, else float32.

    Args:
        requested: `hardware.teacher_precision`.
        device: `cpu`, `cuda` or another type of torch's.

    Raises:
        BadInput: there is no such precision.
    """
    if requested not in PRECISIONS:
        raise BadInput(
            f"hardware.teacher_precision must be one of {', '.join(PRECISIONS)}; got {requested!r}. "
            "For example hardware.teacher_precision=float32."
        )
    if requested == "auto":
        return "bfloat16" if _computes_bfloat16(device) else "float32"
    return str(requested)


def check_teacher_device(requested: object) -> None:
    """Refuses a device that is not on this machine.

    Args:
        requested: `hardware.teacher_device`.

    Raises:
        BadInput: naming the devices that there are.
    """
    found = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
    if requested not in (None, *found, *(["cuda"] if len(found) > 1 else [])):
        raise BadInput(
            f"hardware.teacher_device must be one of {', '.join(found)}, or null for the student's device; got "
            f"{requested!r}."
        )


def _computes_bfloat16(device: str) -> bool:
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())  # also true of all CPUs with AMX


def keep_in(module: nn.Module, dtype: torch.dtype) -> None:
    """Casts once the weights that autocast would cast at every step: outputs under autocast are bit-identical.

    Layers get new parameters, so that an embedding with shared weights keeps its precision.

    Args:
        module: the bare network, changed in place.
        dtype: `torch.bfloat16` or `torch.float16`.
    """
    for layer in module.modules():
        if type(layer) in CAST:
            for name, parameter in list(layer.named_parameters(recurse=False)):
                setattr(layer, name, nn.Parameter(parameter.to(dtype), requires_grad=False))
