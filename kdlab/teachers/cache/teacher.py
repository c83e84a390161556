"""A teacher that computes its outputs once for each image in each view: later they are read back."""

import logging
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kdlab.data.batch import Batch, BatchIndices, Inputs, each, sample_count, sent
from kdlab.models.network import Network
from kdlab.models.taps import Outputs
from kdlab.teachers.cache.fixed_batch import FixedBatch
from kdlab.teachers.cache.outputs import StoredOutputs, encoding_of
from kdlab.teachers.cache.spec import CacheSpec
from kdlab.teachers.cache.upcoming import Upcoming
from kdlab.teachers.frozen import FrozenTeacher

log = logging.getLogger(__name__)


class CachedTeacher:
    """Reads outputs that are stored, and computes, stores and reads back those that are not.

    A step always trains on the value as it is read back, so that a hit equals a miss: how many outputs were there
    before, and in which company the others are computed, changes no bit.

    Args:
        teacher: computes what is not stored; it loads its network for its first batch.
        spec: where the outputs are.
    """

    def __init__(self, teacher: FrozenTeacher, spec: CacheSpec) -> None:
        self.teacher, self.spec, self.weight = teacher, spec, teacher.weight
        self.forwards = self.hits = 0
        self.device = torch.device("cpu")
        self._forward = FixedBatch(teacher, spec.batch)
        self._outputs = StoredOutputs.found(spec) if spec.folder else None
        self._stores = spec.folder is not None
        self._upcoming: Upcoming | None = None

    def to(self, device: torch.device) -> None:
        """Gives outputs on the device of the student from now on."""
        self.device = device
        self.teacher.to(device)

    def expect(self, data: Any) -> None:
        """Takes note of what is trained on, so that outputs can be computed ahead.

        Args:
            data: the data module.
        """
        self._upcoming = Upcoming.of(data)

    def follow(self, student: Network) -> None:
        """It stays as it is."""

    def outputs(self, batch: Batch) -> Outputs:
        """Logits and vectors of features: float32, on the device of the student."""
        stored = None if batch.indices is None else self._opened(batch.inputs)
        if stored is None or batch.indices is None:
            computed = self._forward(batch.inputs)
            self.forwards += len(computed.logits)
            encoding = encoding_of(computed, self.spec)
            return self._on_device(encoding.decode(encoding.encode(computed)))  # as if it were read back
        rows, found = stored.rows.read(stored.addresses(batch.indices))
        missing = np.flatnonzero(~found)
        self.hits += len(rows)
        if len(missing):
            at = torch.from_numpy(missing)
            inputs = each(batch.inputs, lambda tensor: tensor[at])
            rows[missing] = self._computed(stored, inputs, batch.indices.select(at))[: len(missing)]
        return self._on_device(stored.encoding.decode(rows))

    def close(self) -> None:
        """Releases the files; no outputs can be had any more."""
        if self._outputs is not None:
            self._outputs.rows.close()

    @property
    def stored(self) -> tuple[int, int]:
        """Rows on disk, and the bytes that they take."""
        return (self._outputs.rows.stored, self._outputs.rows.bytes) if self._outputs else (0, 0)

    def missing(self, visits: BatchIndices) -> Tensor:
        """Positions of those samples whose outputs are not stored yet: `(missing,)`, int64."""
        if self._outputs is None:
            return torch.arange(len(visits.samples))
        return torch.from_numpy(self._outputs.missing(visits))

    def fill(self, inputs: Inputs, indices: BatchIndices) -> bool:
        """Stores the outputs for samples of which none is stored; False where nothing more can be."""
        stored = self._opened(inputs)
        if stored is not None:
            self._computed(stored, inputs, indices)
        return stored is not None and stored.rows.reason is None

    def _opened(self, inputs: Inputs) -> StoredOutputs | None:
        """The stored outputs; None where nothing can be stored."""
        if self._stores and self._outputs is None:
            self._outputs = self._begun(inputs)
            self._stores = self._outputs is not None
        return self._outputs if self._stores else None

    def _begun(self, inputs: Inputs) -> StoredOutputs | None:
        if self._forward.depends_on_position(inputs):
            log.warning(
                "On this machine the last bits of a teacher's outputs depend on a sample's position in the batch: they "
                "are computed at every step and not stored. Another data.batch_size may help."
            )
            return None
        return StoredOutputs.begun(self.spec, self._forward(inputs))

    def _computed(self, stored: StoredOutputs, inputs: Inputs, indices: BatchIndices) -> NDArray[np.uint8]:
        """The rows of some samples and of what joined them, computed and stored."""
        inputs, indices = self._filled(stored, inputs, indices)
        rows = stored.encode(self._forward(inputs))
        self.forwards += len(rows)
        self.hits -= len(rows)
        before = stored.rows.reason
        if not stored.rows.write(stored.addresses(indices), rows) and stored.rows.reason != before:
            log.warning("%s What finds no room is computed at every step.", stored.rows.reason)
        return rows

    def _filled(self, stored: StoredOutputs, inputs: Inputs, indices: BatchIndices) -> tuple[Inputs, BatchIndices]:
        """With upcoming samples, as far as the fixed batch has room."""
        room = -sample_count(inputs) % self._forward.size
        more = self._upcoming.take(room, stored) if room and self._upcoming and not stored.rows.reason else None
        if more is None:
            return inputs, indices
        upcoming = each(more[0], lambda tensor: sent(tensor, self.device))
        both = zip(indices, more[1], strict=True)
        return _joined(inputs, upcoming), BatchIndices(*(torch.cat(pair) for pair in both))

    def _on_device(self, outputs: Outputs) -> Outputs:
        features = {role: feature.to(self.device) for role, feature in outputs.features.items()}
        return Outputs(outputs.logits.to(self.device), features)


def _joined(inputs: Inputs, others: Inputs) -> Inputs:
    if isinstance(inputs, Tensor):
        assert isinstance(others, Tensor)
        return torch.cat([inputs, others])
    assert not isinstance(others, Tensor)
    return {name: torch.cat([tensor, others[name]]) for name, tensor in inputs.items()}
