"""A teacher that is asked once about each image in each view: what it said is read back ever after."""

import logging
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kdlab.data.batch import Batch, BatchIndices, Inputs, each, sample_count, sent
from kdlab.models.taps import Outputs
from kdlab.teachers.cache.fixed_batch import FillKernel
from kdlab.teachers.cache.outputs import Answers, encoding_of
from kdlab.teachers.cache.spec import Place
from kdlab.teachers.cache.upcoming import Coming
from kdlab.teachers.frozen import FrozenTeacher

log = logging.getLogger(__name__)


class CachedTeacher:
    """Answers with what is stored, and computes, stores and reads back what is not.

    A step always trains on the value as it is read back, so that a hit equals a miss: how many answers were there
    before, and in which company the others are computed, changes no bit. For a method it is a `FrozenTeacher`.

    Args:
        teacher: asked about what is not stored; it loads its network when it is first asked.
        place: where the answers are.

    Attributes:
        samples: that the teacher was asked about.
        recalled: answers less those questions: what the cache spared.
    """

    def __init__(self, teacher: FrozenTeacher, place: Place) -> None:
        self.teacher, self.place, self.weight = teacher, place, teacher.weight
        self.samples = self.recalled = 0
        self.device = torch.device("cpu")
        self._ask = FillKernel(teacher, place.batch)
        self._answers = Answers.found(place) if place.folder else None
        self._stores = place.folder is not None
        self._coming: Coming | None = None

    def to(self, device: torch.device) -> None:
        """Answers on the device of the student from now on."""
        self.device = device
        self.teacher.to(device)

    def expect(self, data: Any) -> None:
        """Says what is trained on, so that questions can be asked ahead.

        Args:
            data: the data module.
        """
        self._coming = Coming.of(data)

    def answer(self, batch: Batch) -> Outputs:
        """Logits and vectors of features: float32, on the device of the student."""
        answers = None if batch.indices is None else self._opened(batch.inputs)
        if answers is None or batch.indices is None:
            return self._unstored(batch.inputs)
        rows, found = answers.rows.read(answers.addresses(batch.indices))
        missing = np.flatnonzero(~found)
        self.recalled += len(rows)
        if len(missing):
            at = torch.from_numpy(missing)
            inputs = each(batch.inputs, lambda tensor: tensor[at])
            rows[missing] = self._learned(answers, inputs, batch.indices.select(at))[: len(missing)]
        return self._given(answers.encoding.decode(rows))

    def close(self) -> None:
        """Lets go of the files; nothing can be asked any more."""
        if self._answers is not None:
            self._answers.rows.close()

    @property
    def stored(self) -> tuple[int, int]:
        """Answers on disk, and the bytes that they take."""
        return (self._answers.rows.stored, self._answers.rows.bytes) if self._answers else (0, 0)

    def unknown(self, visits: BatchIndices) -> Tensor:
        """Positions of those samples that have no answer yet: `(unknown,)`, int64."""
        if self._answers is None:
            return torch.arange(len(visits.samples))
        return torch.from_numpy(self._answers.unknown(visits))

    def learn(self, inputs: Inputs, indices: BatchIndices) -> bool:
        """Stores the answers to samples of which none is known; False where nothing more can be stored."""
        answers = self._opened(inputs)
        if answers is not None:
            self._learned(answers, inputs, indices)
        return answers is not None and answers.rows.reason is None

    def _opened(self, inputs: Inputs) -> Answers | None:
        """The stored answers; None where nothing can be stored."""
        if self._stores and self._answers is None:
            self._answers = self._begun(inputs)
            self._stores = self._answers is not None
        return self._answers if self._stores else None

    def _begun(self, inputs: Inputs) -> Answers | None:
        if self._ask.depends_on_place(inputs):
            log.warning(
                "On this machine an answer of the teacher depends, in its last bits, on its place in the batch: "
                "answers are computed at every step and not stored. Another data.batch_size may help."
            )
            return None
        return Answers.begun(self.place, self._ask(inputs))

    def _learned(self, answers: Answers, inputs: Inputs, indices: BatchIndices) -> NDArray[np.uint8]:
        """The rows of some samples and of what joined them, computed and stored."""
        inputs, indices = self._filled(answers, inputs, indices)
        rows = answers.encode(self._ask(inputs))
        self.samples += len(rows)
        self.recalled -= len(rows)
        before = answers.rows.reason
        if not answers.rows.write(answers.addresses(indices), rows) and answers.rows.reason != before:
            log.warning("%s What finds no room is computed at every step.", answers.rows.reason)
        return rows

    def _filled(self, answers: Answers, inputs: Inputs, indices: BatchIndices) -> tuple[Inputs, BatchIndices]:
        """With samples that are to come, as far as the kernel has room."""
        room = -sample_count(inputs) % self._ask.size
        more = self._coming.take(room, answers) if room and self._coming and not answers.rows.reason else None
        if more is None:
            return inputs, indices
        coming = each(more[0], lambda tensor: sent(tensor, self.device))
        both = zip(indices, more[1], strict=True)
        return _joined(inputs, coming), BatchIndices(*(torch.cat(pair) for pair in both))

    def _unstored(self, inputs: Inputs) -> Outputs:
        """What would be read back."""
        said = self._ask(inputs)
        self.samples += len(said.logits)
        encoding = encoding_of(said, self.place)
        return self._given(encoding.decode(encoding.encode(said)))

    def _given(self, said: Outputs) -> Outputs:
        features = {role: feature.to(self.device) for role, feature in said.features.items()}
        return Outputs(said.logits.to(self.device), features)


def _joined(inputs: Inputs, others: Inputs) -> Inputs:
    if isinstance(inputs, Tensor):
        assert isinstance(others, Tensor)
        return torch.cat([inputs, others])
    assert not isinstance(others, Tensor)
    return {name: torch.cat([tensor, others[name]]) for name, tensor in inputs.items()}
