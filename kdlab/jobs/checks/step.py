"""Checks of settings of `hardware=` and `trainer.*` that exclude each other in a training step."""

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kdlab.errors import BadInput
from kdlab.settings.targets import find

if TYPE_CHECKING:
    from kdlab.jobs.training.stage import Stage


def check_step(stage: "Stage") -> None:
    """Checks for settings with which torch or Lightning would fail in the first step, or silently train wrongly.

    Raises:
        BadInput: naming the setting.
    """
    mode, fused = stage.hardware.get("compile", False), stage.hardware.get("fused", False)
    if not isinstance(mode, bool):
        _check_mode(mode, stage.trainer.get("accumulate_grad_batches", 1))
    if not isinstance(fused, bool):
        raise BadInput(f"hardware.fused must be true or false, got {fused!r}. For example hardware.fused=true.")
    if fused:
        _check_fused(stage.optimizer)
    if fused or stage.optimizer.get("fused"):
        _check_clipping({**stage.hardware, **stage.trainer})


def _check_mode(mode: Any, accumulated: int) -> None:
    from torch._inductor import list_mode_options  # torch's own list of modes; slow to import

    modes = list_mode_options()
    if mode not in modes:
        raise BadInput(
            f"hardware.compile must be true, false or a mode of torch.compile: {', '.join(modes)}; got {mode!r}. "
            "For example hardware.compile=true."
        )
    if modes[mode].get("triton.cudagraphs") and accumulated != 1:
        raise BadInput(
            f"trainer.accumulate_grad_batches needs gradients that stay, and the CUDA graphs of "
            f"hardware.compile={mode} overwrite them at each run; got {accumulated}. Set hardware.compile=true."
        )


def _check_fused(optimizer: Mapping[str, Any]) -> None:
    name = optimizer["_target_"]
    if "fused" not in inspect.signature(find(name, "optimizer")).parameters:
        raise BadInput(
            f"hardware.fused=true needs an optimizer that takes `fused`, such as torch.optim.SGD, Adam or AdamW; got "
            f"{name}. Set hardware.fused=false."
        )


def _check_clipping(options: Mapping[str, Any]) -> None:
    if options.get("gradient_clip_val") and str(options["precision"]).endswith("-mixed"):
        raise BadInput(
            "trainer.gradient_clip_val and a fused optimizer exclude each other in Lightning's mixed precision; got "
            f"precision={options['precision']}. Set hardware.fused=false, or hardware.precision=32-true."
        )
