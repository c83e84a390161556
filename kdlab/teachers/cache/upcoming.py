"""Upcoming samples of the epoch: they fill the teacher's fixed batch in place of padding."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kdlab.data.batch import BatchIndices, Inputs
from kdlab.data.loader import trainer_position
from kdlab.data.module import Addressed
from kdlab.teachers.cache.outputs import StoredOutputs


class Upcoming:
    """The upcoming samples of the current epoch whose outputs are not stored yet, in training order.

    After many epochs most samples of a batch are cache hits, and a teacher that computes batches of one size would
    compute mostly padding.

    Args:
        data: the training data; any of its samples can be loaded at any time.
    """

    def __init__(self, data: Addressed) -> None:
        self.data = data
        self._epoch = -1
        self._missing: NDArray[np.intp] = np.empty(0, np.intp)

    @classmethod
    def of(cls, data: Any) -> "Upcoming | None":
        """None where the data cannot load samples ahead of the trainer."""
        return cls(data) if isinstance(data, Addressed) and data.batches_any_views else None

    def take(self, room: int, outputs: StoredOutputs) -> tuple[Inputs, BatchIndices] | None:
        """The next samples without stored outputs, after those that the trainer has fetched.

        Args:
            room: maximum number of samples.
            outputs: the stored ones.
        """
        epoch, fetched = trainer_position(self.data.trainer)
        if epoch != self._epoch:
            batches = self.data.batches(epoch)
            self._epoch, self._ends = epoch, np.cumsum([0, *(len(batch.samples) for batch in batches)])
            self._visits = BatchIndices(*(torch.cat(part) for part in zip(*batches, strict=True)))
            self._missing = outputs.missing(self._visits)
        start = int(np.searchsorted(self._missing, self._ends[fetched]))
        chosen, self._missing = self._missing[start : start + room], self._missing[start + room :]
        if not len(chosen):
            return None
        indices = self._visits.select(torch.from_numpy(chosen))
        (inputs,) = self.data.training_inputs([indices])
        return inputs, indices
