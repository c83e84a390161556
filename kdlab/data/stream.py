"""Which samples a batch holds, and in which views: a pure function of seeds, epoch and position.

Independent of pixels, tokens and labels: images, text and a user's own DataLoader share it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kdlab.data.batch import BatchIndices
from kdlab.data.seeds import Stream, generator


@dataclass(frozen=True, eq=False)
class TrainingStream:
    """The batches of every epoch.

    Workers, ranks and interruptions change neither the samples of a batch nor their views. Rank r of n takes the
    samples r, r + n, r + 2n, … of each batch: shares differ by one sample where n does not divide it.

    Args:
        positions: of the samples trained on, in their list: `(samples,)`, int64.
        batch_size: of one step, over all ranks together; at least 1.
        views: the view of each sample of an epoch, from the epoch and the samples in the order of its batches;
            `(samples,)`, int64, like these.
        drop_last: leave out the last batch of an epoch when it is not full.
        seed: of the order, at least 0; None keeps the order of `positions` in each epoch.
    """

    positions: Tensor
    batch_size: int
    views: Callable[[int, Tensor], Tensor]
    drop_last: bool = False
    seed: int | None = 0

    def __len__(self) -> int:
        """Batches in an epoch."""
        batches = len(self.positions) / self.batch_size
        return math.floor(batches) if self.drop_last else math.ceil(batches)

    @property
    def left_over(self) -> int:
        """Samples in the last batch where it is not full; 0 where it is full or left out."""
        return 0 if self.drop_last else len(self.positions) % self.batch_size

    def epoch(self, epoch: int) -> BatchIndices:
        """The samples of an epoch in training order, over all ranks, and the view of each."""
        order = self.positions
        if self.seed is not None:
            order = order[sample_order(self.seed, epoch, len(order))]
        samples = order[: len(self) * self.batch_size]
        return BatchIndices(samples, self.views(epoch, samples))

    def batches(self, epoch: int, rank: int = 0, ranks: int = 1) -> list[BatchIndices]:
        """One rank's share of each batch of an epoch; a resumed run takes a slice of it."""
        parts = (torch.split(part, self.batch_size) for part in self.epoch(epoch))
        return [BatchIndices(*(part[rank::ranks] for part in batch)) for batch in zip(*parts, strict=True)]


def evaluation_batches(positions: Tensor, batch_size: int, rank: int = 0, ranks: int = 1) -> list[Tensor]:
    """One rank's evaluation batches: in order, each sample on one rank, equally many batches on each.

    Args:
        positions: of the samples to evaluate, at least one: `(samples,)`, int64.
        batch_size: largest batch of a rank; at least 1.
        rank: of this process.
        ranks: number of processes.

    Returns:
        `(batch,)`, int64, for each batch; a rank that has fewer samples than batches has empty ones.
    """
    batches = math.ceil(math.ceil(len(positions) / ranks) / batch_size)
    return list(positions[rank::ranks].tensor_split(batches))


def draw_views(count: int, view_seed: int, epoch: int, samples: int) -> Tensor:
    """The view of every sample in one epoch, by the sample's index, whatever batch it falls in.

    Args:
        count: number of views.
        view_seed: at least 0; epochs and seeds are independent of each other.
        epoch: counted from 0.
        samples: length of the data set's own training list.

    Returns:
        `(samples,)`, int64, uniform in `[0, count)`.
    """
    return torch.from_numpy(generator(Stream.VIEW, view_seed, epoch).integers(count, size=samples))


def sample_order(seed: int, epoch: int, samples: int) -> Tensor:
    """The order of the samples in one epoch.

    Returns:
        `(samples,)`, int64: a permutation of `[0, samples)`.
    """
    return torch.from_numpy(generator(Stream.ORDER, seed, epoch).permutation(samples))
