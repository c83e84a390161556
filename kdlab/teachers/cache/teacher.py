"""A teacher that computes its outputs once for each sample in each view, and later reads them from the cache."""

import logging
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kdlab.data.batch import Batch, BatchIndices, Inputs, each, moved, sample_count
from kdlab.models.network import Network
from kdlab.models.taps import Outputs
from kdlab.teachers.cache.fixed_batch import FixedBatch
from kdlab.teachers.cache.outputs import StoredOutputs, encoding_of
from kdlab.teachers.cache.spec import CacheSpec
from kdlab.teachers.cache.upcoming import Upcoming
from kdlab.teachers.frozen import FrozenTeacher

log = logging.getLogger(__name__)


class CachedTeacher:
    """Reads outputs from the cache; on a miss it computes, stores and decodes them.

    A step always trains on the decoded value, so that a hit equals a miss: the fill of the cache, and the batches in
    which outputs are computed, change no bit.

    Args:
        teacher: computes outputs on a miss; it loads its network for its first batch.
        spec: where the outputs are stored, and how.
    """

    def __init__(self, teacher: FrozenTeacher, spec: CacheSpec) -> None:
        self.teacher, self.spec, self.weight = teacher, spec, teacher.weight
        self.forwards = self.hits = 0
        self.device = torch.device("cpu")
        self._forward = FixedBatch(teacher, spec.batch)
        self._outputs = StoredOutputs.load(spec) if spec.folder else None
        self._is_storing = spec.folder is not None
        self._upcoming: Upcoming | None = None

    def to(self, device: torch.device) -> None:
        """Moves the teacher, and returns outputs on that device from now on."""
        self.device = device
        self.teacher.to(device)

    def set_data(self, data: Any) -> None:
        """Sets the data module, so that outputs of upcoming samples can be computed early.

        Args:
            data: the data module.
        """
        self._upcoming = Upcoming.of(data)

    def update(self, student: Network) -> None:
        """Nothing to do: its weights are frozen."""

    def outputs(self, batch: Batch) -> Outputs:
        """Logits and vectors of features: float32, on the device of the student."""
        stored = None if batch.indices is None else self._open_stored(batch.inputs)
        if stored is None or batch.indices is None:
            computed = self._forward(batch.inputs)
            self.forwards += len(computed.logits)
            encoding = encoding_of(computed, self.spec)
            return self._on_device(encoding.decode(encoding.encode(computed)))  # as if read from the cache
        rows, found = stored.rows.read(stored.addresses(batch.indices))
        missing = np.flatnonzero(~found)
        self.hits += len(rows)
        if len(missing):
            at = torch.from_numpy(missing)
            inputs = each(batch.inputs, lambda tensor: tensor[at])
            rows[missing] = self._compute_and_store(stored, inputs, batch.indices.select(at))[: len(missing)]
        return self._on_device(stored.encoding.decode(rows))

    def close(self) -> None:
        """Closes the files; no outputs can be read any more."""
        if self._outputs is not None:
            self._outputs.rows.close()

    @property
    def stored(self) -> tuple[int, int]:
        """Number of rows on disk, and their size in bytes."""
        return (self._outputs.rows.stored, self._outputs.rows.bytes) if self._outputs else (0, 0)

    def missing(self, visits: BatchIndices) -> Tensor:
        """Positions of those samples whose outputs are not stored yet: `(missing,)`, int64."""
        if self._outputs is None:
            return torch.arange(len(visits.samples))
        return torch.from_numpy(self._outputs.missing(visits))

    def fill(self, inputs: Inputs, indices: BatchIndices) -> bool:
        """Computes and stores the outputs of samples that have none; False where no more can be stored."""
        stored = self._open_stored(inputs)
        if stored is not None:
            self._compute_and_store(stored, inputs, indices)
        return stored is not None and stored.rows.reason is None

    def _open_stored(self, inputs: Inputs) -> StoredOutputs | None:
        """The stored outputs; None where nothing can be stored."""
        if self._is_storing and self._outputs is None:
            self._outputs = self._create_stored(inputs)
            self._is_storing = self._outputs is not None
        return self._outputs if self._is_storing else None

    def _create_stored(self, inputs: Inputs) -> StoredOutputs | None:
        if self._forward.depends_on_position(inputs):
            log.warning(
                "On this machine the last bits of a teacher's outputs depend on a sample's position in the batch: they "
                "are computed at every step and not stored. Another data.batch_size may help."
            )
            return None
        return StoredOutputs.create(self.spec, self._forward(inputs))

    def _compute_and_store(self, stored: StoredOutputs, inputs: Inputs, indices: BatchIndices) -> NDArray[np.uint8]:
        """Computes and stores the rows of some samples, followed by those of upcoming ones."""
        inputs, indices = self._extended(stored, inputs, indices)
        rows = stored.encode(self._forward(inputs))
        self.forwards += len(rows)
        self.hits -= len(rows)
        before = stored.rows.reason
        if not stored.rows.write(stored.addresses(indices), rows) and stored.rows.reason != before:
            log.warning("%s Outputs that are not stored are computed at every step.", stored.rows.reason)
        return rows

    def _extended(self, stored: StoredOutputs, inputs: Inputs, indices: BatchIndices) -> tuple[Inputs, BatchIndices]:
        """Fills the fixed batch with upcoming samples in place of padding."""
        room = -sample_count(inputs) % self._forward.size
        more = self._upcoming.take(room, stored) if room and self._upcoming and not stored.rows.reason else None
        if more is None:
            return inputs, indices
        upcoming = each(more[0], lambda tensor: moved(tensor, self.device))
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
