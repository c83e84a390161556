"""The fill kernel: one way to ask a teacher, in which what it says of a sample depends on that sample alone."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from kdlab.data.batch import Inputs, each, sample_count
from kdlab.models.taps import Outputs

MULTIPLE = 16  # seen: batches of 7 split unevenly over threads, and the last bits follow the place in the batch


class FillKernel:
    """Asks in batches of one size, the last one filled up: kernels choose their order of summation by the shape.

    With it a sample's answer is the same bits whatever its place and its neighbours, which `depends_on_place` checks:
    answers can be computed in any order, in any company, by any run.

    Args:
        ask: the teacher; takes a batch and gives logits and features.
        size: of every batch, in samples; see `fill_size`.
    """

    def __init__(self, ask: Callable[[Inputs], Outputs], size: int) -> None:
        self.ask = ask
        self.size = size

    def __call__(self, inputs: Inputs) -> Outputs:
        """Answers to any number of samples, at least one."""
        count = sample_count(inputs)
        parts = [self._padded(inputs, start, count) for start in range(0, count, self.size)]
        features = {role: torch.cat([part.features[role] for part in parts]) for role in parts[0].features}
        return Outputs(torch.cat([part.logits for part in parts]), features)

    def depends_on_place(self, inputs: Inputs) -> bool:
        """Whether some bit of an answer changes when the samples trade places; asks twice."""
        half = max(sample_count(inputs) // 2, 1)
        straight = self(inputs)
        turned = self(each(inputs, lambda tensor: tensor.roll(half, 0)))
        pairs = zip(_tensors(straight), _tensors(turned), strict=True)
        return not all(torch.equal(one.roll(half, 0), other) for one, other in pairs)

    def _padded(self, inputs: Inputs, start: int, count: int) -> Outputs:
        stop = min(start + self.size, count)
        rest = self.size - (stop - start)
        said = self.ask(each(inputs, lambda tensor: _filled(tensor[start:stop], rest)))
        kept = {role: feature[: stop - start] for role, feature in said.features.items()}
        return Outputs(said.logits[: stop - start], kept)


def fill_size(samples: int) -> int:
    """The size of batch in which a teacher is asked where a step has so many samples: the next multiple of 16."""
    return -(-samples // MULTIPLE) * MULTIPLE


def _tensors(outputs: Outputs) -> list[Tensor]:
    return [outputs.logits, *outputs.features.values()]


def _filled(tensor: Tensor, rest: int) -> Tensor:
    """With `rest` samples of zeros behind it."""
    return F.pad(tensor, (0, 0) * (tensor.ndim - 1) + (0, rest)) if rest else tensor
