"""Weights from files, read as tensors only: a pickle that would run code is refused."""

import argparse
import pathlib
import pickle
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from kdlab.errors import BadInput

WRAPPERS = ("state_dict", "model", "net")
PREFIXES = ("module.", "_orig_mod.")
SHOWN = 5

# Harmless types that training scripts save beside the weights: their arguments, and numpy's numbers.
_NUMBERS = [np.bool_, np.int8, np.int16, np.int32, np.int64, np.uint8, np.float16, np.float32, np.float64]
_SCALAR: Any = np.float64(0).__reduce__()[0]
SAFE_TYPES: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    argparse.Namespace,
    pathlib.PosixPath,
    np.dtype,
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
    *(type(np.dtype(number)) for number in _NUMBERS),
]


def read_weights(path: str | Path, *, setting: str = "checkpoint") -> dict[str, Tensor]:
    """Tensors of a file by name, without wrapping dicts and without the prefixes of DDP and torch.compile.

    Args:
        path: `.safetensors`, or what `torch.save` wrote: a state dict or one in `state_dict`, `model`, `net`.
        setting: the config key that gave the path, for messages.

    Raises:
        BadInput: the file is absent, broken, holds no tensors, or would run code.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise BadInput(f"{setting}: no file at {path}; give a .safetensors, .pt, .pth or .ckpt file")
    read = _read_safetensors if path.suffix == ".safetensors" else _read_pickle
    content = read(path, setting)
    tensors = {name: value for name, value in _unwrap(content).items() if isinstance(value, Tensor)}
    if not tensors:
        raise BadInput(
            f"{setting}: {path} holds no tensors{_described(content)}; expected a state dict, alone or "
            f"under one of {', '.join(WRAPPERS)}"
        )
    return _strip(tensors)


def load_weights(module: nn.Module, path: str | Path, *, setting: str = "checkpoint") -> None:
    """Load the weights of a file into a network; names and shapes must match exactly.

    Args:
        module: the bare network. After an error it may be partly loaded: do not use it.
        path: as `read_weights` takes it.
        setting: the config key that gave the path, for messages.

    Raises:
        BadInput: as `read_weights`; or names or shapes differ; another number of classes has its own message.
    """
    weights = read_weights(path, setting=setting)
    reshaped: dict[str, tuple[torch.Size, torch.Size]] = {}

    def remove_reshaped(_module: nn.Module, state: dict[str, Any], *_: Any) -> None:
        own = module.state_dict()
        for name in [name for name in state if name in own and own[name].shape != state[name].shape]:
            reshaped[name] = (state.pop(name).shape, own[name].shape)

    # Registered last, so that it runs after the network's own hooks have renamed entries.
    handle = module.register_load_state_dict_pre_hook(remove_reshaped)  # type: ignore[no-untyped-call]
    try:
        missing, unexpected = module.load_state_dict(weights, strict=False)
    finally:
        handle.remove()
    missing = [name for name in missing if name not in reshaped]
    if missing or unexpected or reshaped:
        raise BadInput(f"{setting}: {path} does not fit: {_difference(missing, unexpected, reshaped)}")


def _read_safetensors(path: Path, setting: str) -> Mapping[str, Any]:
    try:
        return safetensors.torch.load_file(path)
    except (SafetensorError, OSError) as error:
        raise BadInput(_broken(path, setting, error)) from error


def _read_pickle(path: Path, setting: str) -> Any:
    try:
        with torch.serialization.safe_globals(SAFE_TYPES):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BadInput(_refused(path, setting, error)) from error
    except Exception as error:  # a damaged file can raise almost any error
        raise BadInput(_broken(path, setting, error)) from error


def _refused(path: Path, setting: str, error: Exception) -> str:
    match = re.search(r"GLOBAL (\S+) (?:was not an allowed|whose module)", str(error))
    if match is None:
        return _broken(path, setting, error)
    return (
        f"{setting}: {path} would run {match[1]} when it is read: refused. Weights are read as tensors "
        "only; where the file is trusted, save them again with torch.save(network.state_dict(), …) or as "
        ".safetensors"
    )


def _broken(path: Path, setting: str, error: Exception) -> str:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return (
        f"{setting}: {path} ({path.stat().st_size:,} bytes) cannot be read: it is cut short, damaged or no "
        f"weights file; fetch it again ({reason[:200]})"
    )


def _unwrap(content: Any) -> Mapping[str, Any]:
    if not isinstance(content, Mapping):
        return {}
    inner = [content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)]
    return _unwrap(inner[0]) if inner else content


def _strip(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in tensors):
            return _strip({name.removeprefix(prefix): tensor for name, tensor in tensors.items()})
    return tensors


def _described(content: Any) -> str:
    keys = [str(key) for key in content] if isinstance(content, Mapping) else []
    return f" by name, only {_first_names(keys)}" if keys else f", only {type(content).__name__}"


def _difference(
    missing: list[str], unexpected: list[str], reshaped: Mapping[str, tuple[torch.Size, torch.Size]]
) -> str:
    if not missing and not unexpected and (classes := _class_counts(reshaped.values())):
        return (
            f"the checkpoint predicts {classes[0]} classes, the data has {classes[1]} ({_first_names(reshaped)}); "
            "use weights trained for these classes, or none to train the network first"
        )
    shapes = [f"{name} {tuple(theirs)} instead of {tuple(ours)}" for name, (theirs, ours) in reshaped.items()]
    kinds = {"missing": missing, "unexpected": unexpected, "differently shaped": shapes}
    listed = "; ".join(f"{kind} {_first_names(names)}" for kind, names in kinds.items() if names)
    return f"{listed}. Choose the network and kwargs that the weights were trained with, or other weights"


def _class_counts(shapes: Iterable[tuple[torch.Size, torch.Size]]) -> tuple[int, int] | None:
    """The number of classes of file and network, where only that differs."""
    shapes = list(shapes)
    if any(not theirs or not ours or theirs[1:] != ours[1:] for theirs, ours in shapes):
        return None
    counts = {(theirs[0], ours[0]) for theirs, ours in shapes}
    return counts.pop() if len(counts) == 1 else None


def _first_names(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
