"""What an epoch has yet to meet: it fills the teacher's batch where a step alone does not."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kdlab.data.batch import Batch
from kdlab.data.image.base import Request
from kdlab.data.image.memory import InMemory
from kdlab.data.image.transfer import Transfer
from kdlab.data.loader import trainer_position
from kdlab.teachers.cache.outputs import Answers


class Coming:
    """The samples of the running epoch that have no answer yet, handed out in the order in which they are met.

    After many epochs most samples of a batch have been met in their views before, and a teacher that is asked in
    batches of one size would compute mostly padding.

    Args:
        data: that is trained on; any of its images can be had at once.
    """

    def __init__(self, data: InMemory | Transfer) -> None:
        self.data = data
        self._epoch = -1
        self._missing: NDArray[np.intp] = np.empty(0, np.intp)

    @classmethod
    def of(cls, data: Any) -> "Coming | None":
        """None where images are not in memory."""
        held = isinstance(data.images if isinstance(data, Transfer) else data, InMemory)
        return cls(data) if held else None

    def take(self, room: int, answers: Answers) -> Batch | None:
        """The next samples without an answer, after those that the trainer has fetched.

        Args:
            room: how many at most.
            answers: that there are.
        """
        epoch, fetched = trainer_position(self.data.trainer)
        if epoch != self._epoch:
            self._begin(epoch, answers)
        start = int(np.searchsorted(self._missing, self._ends[fetched]))
        chosen, self._missing = self._missing[start : start + room], self._missing[start + room :]
        return self._batch(chosen) if len(chosen) else None

    def _begin(self, epoch: int, answers: Answers) -> None:
        requests = self.data.requests(epoch)
        self._epoch, self._ends = epoch, np.cumsum([0, *(len(request.samples) for request in requests)])
        self._visits = Request(*(torch.cat(part) for part in zip(*requests, strict=True)))
        self._missing = answers.unknown(self._visits)

    def _batch(self, positions: NDArray[np.intp]) -> Batch:
        at = torch.from_numpy(positions)
        index, view = self._visits.samples[at], self._visits.view[at]
        (images,) = self.data.pictures([Request(index, view)])
        return Batch(images, index, index, view)
