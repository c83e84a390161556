"""The samples that an epoch has yet to reach: they fill the teacher's batch where a step alone does not."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kdlab.data.batch import Batch
from kdlab.data.image.base import Request
from kdlab.data.image.memory import InMemory
from kdlab.data.image.transfer import Transfer
from kdlab.data.loader import trainer_position
from kdlab.teachers.cache.outputs import StoredOutputs


class Upcoming:
    """The samples of the running epoch whose outputs are not stored yet, in the order in which they are trained on.

    After many epochs most samples of a batch have been seen in their views before, and a teacher that computes batches
    of one size would compute mostly padding.

    Args:
        data: that is trained on; any of its images can be had at once.
    """

    def __init__(self, data: InMemory | Transfer) -> None:
        self.data = data
        self._epoch = -1
        self._missing: NDArray[np.intp] = np.empty(0, np.intp)

    @classmethod
    def of(cls, data: Any) -> "Upcoming | None":
        """None where images are not in memory."""
        held = isinstance(data.images if isinstance(data, Transfer) else data, InMemory)
        return cls(data) if held else None

    def take(self, room: int, outputs: StoredOutputs) -> Batch | None:
        """The next samples without outputs, after those that the trainer has fetched.

        Args:
            room: how many at most.
            outputs: that are stored.
        """
        epoch, fetched = trainer_position(self.data.trainer)
        if epoch != self._epoch:
            self._begin(epoch, outputs)
        start = int(np.searchsorted(self._missing, self._ends[fetched]))
        chosen, self._missing = self._missing[start : start + room], self._missing[start + room :]
        return self._batch(chosen) if len(chosen) else None

    def _begin(self, epoch: int, outputs: StoredOutputs) -> None:
        requests = self.data.requests(epoch)
        self._epoch, self._ends = epoch, np.cumsum([0, *(len(request.samples) for request in requests)])
        self._visits = Request(*(torch.cat(part) for part in zip(*requests, strict=True)))
        self._missing = outputs.missing(self._visits)

    def _batch(self, positions: NDArray[np.intp]) -> Batch:
        at = torch.from_numpy(positions)
        index, view = self._visits.samples[at], self._visits.view[at]
        (images,) = self.data.pictures([Request(index, view)])
        return Batch(images, index, index, view)
