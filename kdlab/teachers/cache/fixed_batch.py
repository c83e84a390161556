"""Fixed batches: a forward pass in which the outputs for a sample depend on that sample alone."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from kdlab.data.batch import Inputs, each, sample_count
from kdlab.models.taps import Outputs

MULTIPLE = 16  # observed: batches of 7 split unevenly over threads; the last bits then depend on the position


class FixedBatch:
    """Computes in batches of one size, the last one padded: the order of summation in libraries depends on the shape.

    The outputs for a sample are then the same bits whatever its position and its neighbours, which
    `depends_on_position` checks: they can be computed in any order, in any batch, by any run.

    Args:
        forward: of the teacher; takes inputs and returns logits and features.
        size: of every batch, in samples; see `fill_size`.
    """

    def __init__(self, forward: Callable[[Inputs], Outputs], size: int) -> None:
        self.forward = forward
        self.size = size

    def __call__(self, inputs: Inputs) -> Outputs:
        """Outputs for any number of samples, at least one."""
        count = sample_count(inputs)
        parts = [self._padded(inputs, start, count) for start in range(0, count, self.size)]
        features = {role: torch.cat([part.features[role] for part in parts]) for role in parts[0].features}
        return Outputs(torch.cat([part.logits for part in parts]), features)

    def depends_on_position(self, inputs: Inputs) -> bool:
        """Whether any bit changes when the samples are rolled along the batch; two forward passes."""
        half = max(sample_count(inputs) // 2, 1)
        original = self(inputs)
        rolled = self(each(inputs, lambda tensor: tensor.roll(half, 0)))
        pairs = zip(_tensors(original), _tensors(rolled), strict=True)
        return not all(torch.equal(one.roll(half, 0), other) for one, other in pairs)

    def _padded(self, inputs: Inputs, start: int, count: int) -> Outputs:
        stop = min(start + self.size, count)
        rest = self.size - (stop - start)
        outputs = self.forward(each(inputs, lambda tensor: _padded_with_zeros(tensor[start:stop], rest)))
        kept = {role: feature[: stop - start] for role, feature in outputs.features.items()}
        return Outputs(outputs.logits[: stop - start], kept)


def fill_size(samples: int) -> int:
    """The teacher's batch size for steps of so many samples: the next multiple of 16."""
    return -(-samples // MULTIPLE) * MULTIPLE


def _tensors(outputs: Outputs) -> list[Tensor]:
    return [outputs.logits, *outputs.features.values()]


def _padded_with_zeros(tensor: Tensor, rest: int) -> Tensor:
    """The tensor followed by `rest` samples of zeros."""
    return F.pad(tensor, (0, 0) * (tensor.ndim - 1) + (0, rest)) if rest else tensor
