"""A teacher's outputs as bytes: in float32, in float16, or only its largest logits."""

import math
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kdlab.errors import BadInput, TrainingFailed
from kdlab.models.taps import Outputs
from kdlab.settings.numbers import is_whole

FLOATS: dict[str, np.dtype[Any]] = {"float32": np.dtype("<f4"), "float16": np.dtype("<f2")}
LARGEST_HALF = 65504.0


@dataclass(frozen=True)
class Encoding:
    """Encodes the outputs for one sample as a row of bytes, and decodes it.

    - `float32` is exact, bit for bit, also for outputs in bfloat16.
    - `float16` rounds to nearest: a value x up to 65504 in size is off by at most max(2^-11 |x|, 2^-25), a larger one
      becomes ±65504.
    - `top_k` keeps the k largest logits and, for all other classes together, log of their mean exp. That is
      the logit of each of them, so that at temperature 1 the kept classes keep their probabilities and the rest is
      shared evenly: the marginal smoothing of Shen & Xing, "A Fast Knowledge Distillation Framework for Visual
      Recognition", ECCV 2022 (arXiv:2112.01528). At higher temperatures that is an approximation.

    Args:
        logits: shape for one sample: `(classes,)`, or `(positions, vocabulary)`.
        features: role and shape for one sample of each, such as `("last", (64, 8, 8))`; `top_k` does not apply to them.
        dtype: `float32` or `float16`.
        top_k: logits kept, at least 1 and below the number of classes; None keeps all.

    Raises:
        BadInput: `dtype` or `top_k` is none of these.
    """

    logits: tuple[int, ...]
    features: tuple[tuple[str, tuple[int, ...]], ...] = ()
    dtype: str = "float32"
    top_k: int | None = None

    def __post_init__(self) -> None:
        if self.dtype not in FLOATS:
            raise BadInput(f"cache.dtype must be {' or '.join(FLOATS)}, got {self.dtype!r}")
        k, most = self.top_k, self.logits[-1] - 1
        if k is not None and not (is_whole(k, 1) and k <= most):
            raise BadInput(
                f"cache.top_k must be a whole number from 1 to {most}, fewer than the {most + 1} classes, or null to "
                f"keep all of them; got {k!r}"
            )

    @property
    def row_bytes(self) -> int:
        """Of one sample."""
        return self._edges[-1]

    def encode(self, outputs: Outputs) -> NDArray[np.uint8]:
        """Outputs for n samples as `(n, row_bytes)`.

        Args:
            outputs: in float32 or bfloat16 (of float64, what float32 holds), on any device; logits and all features.

        Raises:
            TrainingFailed: an output is not finite.
            ValueError: a shape is not that of the encoding.
        """
        logits = _checked("logits", outputs.logits, self.logits)
        features = [_checked(role, outputs.features[role], shape) for role, shape in self.features]
        kept = [logits] if self.top_k is None else _largest(logits, self.top_k)
        parts = zip([*kept, *features], self._layout, strict=True)
        return np.hstack([_as_bytes(part, dtype) for part, (_, dtype) in parts])

    def decode(self, rows: NDArray[np.uint8]) -> Outputs:
        """What `encode` kept of each sample, as float32 on the CPU, in newly allocated memory.

        Args:
            rows: `(n, row_bytes)`.
        """
        spans = zip(pairwise(self._edges), self._layout, strict=True)
        parts = [_from_bytes(rows[:, start:stop], *kind) for (start, stop), kind in spans]
        roles = [role for role, _ in self.features]
        features = dict(zip(roles, parts[len(parts) - len(roles) :], strict=True))
        logits = parts[0] if self.top_k is None else _spread(parts[0], parts[1], parts[2], self.logits[-1])
        return Outputs(logits, features)

    @property
    def _layout(self) -> list[tuple[tuple[int, ...], np.dtype[Any]]]:
        """Shape and type of each part of a row, in order."""
        floats, features = FLOATS[self.dtype], [shape for _, shape in self.features]
        if self.top_k is None:
            return [(shape, floats) for shape in (self.logits, *features)]
        *positions, classes = self.logits
        numbers = np.dtype("<u2" if classes <= 2**16 else "<u4")
        kept = (*positions, self.top_k)
        return [(kept, floats), (kept, numbers), ((*positions, 1), floats), *((shape, floats) for shape in features)]

    @property
    def _edges(self) -> list[int]:
        """Offsets in bytes: the start of each part of a row, and the end of the last."""
        return [0, *accumulate(math.prod(shape) * dtype.itemsize for shape, dtype in self._layout)]


def _checked(name: str, values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The values as float32 on the CPU."""
    if tuple(values.shape[1:]) != shape:
        raise ValueError(f"{name} of a sample must have the shape {shape}, got {tuple(values.shape[1:])}")
    values = values.detach().float().cpu()
    if not np.isfinite(values.numpy()).all():
        raise TrainingFailed(
            f"A teacher's output is not finite ({name}). Check its weights and its preprocessing, or compute it in "
            "full precision: hardware.teacher_precision=float32"
        )
    return values


def _largest(logits: Tensor, k: int) -> list[Tensor]:
    """The k largest logits, `(…, k)`, their classes, `(…, k)`, and log of the mean exp of all others, `(…, 1)`."""
    values, classes = logits.topk(k)
    others = logits.scatter(-1, classes, -math.inf).logsumexp(-1, keepdim=True)
    return [values, classes, others - math.log(logits.shape[-1] - k)]


def _spread(values: Tensor, kept: Tensor, others: Tensor, classes: int) -> Tensor:
    """Logits of all classes, `(…, classes)`, from the parts that `_largest` returns."""
    return others.repeat_interleave(classes, -1).scatter(-1, kept, values)


def _as_bytes(part: Tensor, dtype: np.dtype[Any]) -> NDArray[np.uint8]:
    """`(n, bytes)`; a value beyond half precision becomes its largest."""
    if dtype == FLOATS["float16"]:
        part = part.clamp(-LARGEST_HALF, LARGEST_HALF).half()
    return np.ascontiguousarray(part.flatten(1).numpy(), dtype).view(np.uint8)


def _from_bytes(columns: NDArray[np.uint8], shape: tuple[int, ...], dtype: np.dtype[Any]) -> Tensor:
    values = torch.from_numpy(np.array(columns, order="C").view(dtype))
    return (values.float() if dtype.kind == "f" else values.long()).reshape(len(columns), *shape)
