"""Precision: what a frozen teacher computes in, and its weights kept in it."""

import torch
from torch import nn

from kdlab.errors import BadInput

PRECISIONS = ("auto", "float32", "bfloat16")
CAST = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)  # by exact type: a subclass may compute with its weights first


def teacher_precision(wanted: object, device: str) -> str:
    """`float32` or `bfloat16`; `auto` is bfloat16 where the processor computes in it, and does not emulate it.

    Args:
        wanted: `hardware.teacher_precision`.
        device: `cpu`, `cuda` or another type of torch's.

    Raises:
        BadInput: there is no such precision.
    """
    if wanted not in PRECISIONS:
        raise BadInput(
            f"hardware.teacher_precision must be one of {', '.join(PRECISIONS)}; got {wanted!r}. "
            "For example hardware.teacher_precision=float32."
        )
    if wanted == "auto":
        return "bfloat16" if _computes_bfloat16(device) else "float32"
    return str(wanted)


def _computes_bfloat16(device: str) -> bool:
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())  # all CPUs with AMX say so, too


def keep_in_bfloat16(module: nn.Module) -> None:
    """Casts the weights that autocast casts at every step, once: the outputs under autocast stay the same bits.

    Layers get parameters of their own, so that an embedding with the same weights keeps its precision.
    """
    for layer in module.modules():
        if type(layer) in CAST:
            for name, parameter in list(layer.named_parameters(recurse=False)):
                setattr(layer, name, nn.Parameter(parameter.bfloat16(), requires_grad=False))
