"""A teacher that computes its outputs once for each image in each view: later they are read back."""

import logging
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kdlab.data.batch import Batch, Inputs, each
from kdlab.data.image.base import Request
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
        stored = self._opened(batch)
        if stored is None:
            return self._unstored(batch.inputs)
        rows, found = stored.rows.read(stored.addresses(batch))
        missing = np.flatnonzero(~found)
        self.hits += len(rows)
        if len(missing):
            rows[missing] = self._computed(stored, _chosen(batch, missing))[: len(missing)]
        return self._on_device(stored.encoding.decode(rows))

    def close(self) -> None:
        """Releases the files; no outputs can be had any more."""
        if self._outputs is not None:
            self._outputs.rows.close()

    @property
    def stored(self) -> tuple[int, int]:
        """Rows on disk, and the bytes that they take."""
        return (self._outputs.rows.stored, self._outputs.rows.bytes) if self._outputs else (0, 0)

    def missing(self, visits: Request) -> Tensor:
        """Positions of those samples whose outputs are not stored yet: `(missing,)`, int64."""
        if self._outputs is None:
            return torch.arange(len(visits.samples))
        return torch.from_numpy(self._outputs.missing(visits))

    def fill(self, batch: Batch) -> bool:
        """Stores the outputs for a batch of which none is stored; False where nothing more can be."""
        stored = self._opened(batch)
        if stored is not None:
            self._computed(stored, batch)
        return stored is not None and stored.rows.reason is None

    def _opened(self, batch: Batch) -> StoredOutputs | None:
        """The stored outputs; None where nothing can be stored."""
        if not self._stores or batch.index is None or batch.view is None:
            return None
        if self._outputs is None:
            self._outputs = self._begun(batch.inputs)
            self._stores = self._outputs is not None
        return self._outputs

    def _begun(self, inputs: Inputs) -> StoredOutputs | None:
        if self._forward.depends_on_position(inputs):
            log.warning(
                "On this machine the last bits of a teacher's outputs depend on a sample's position in the batch: they "
                "are computed at every step and not stored. Another data.batch_size may help."
            )
            return None
        return StoredOutputs.begun(self.spec, self._forward(inputs))

    def _computed(self, stored: StoredOutputs, batch: Batch) -> NDArray[np.uint8]:
        """The rows of a batch and of what joined it, computed and stored."""
        batch = self._filled(stored, batch)
        rows = stored.encode(self._forward(batch.inputs))
        self.forwards += len(rows)
        self.hits -= len(rows)
        before = stored.rows.reason
        if not stored.rows.write(stored.addresses(batch), rows) and stored.rows.reason != before:
            log.warning("%s What finds no room is computed at every step.", stored.rows.reason)
        return rows

    def _filled(self, stored: StoredOutputs, batch: Batch) -> Batch:
        """With upcoming samples, as far as the fixed batch has room."""
        room = -len(batch.targets) % self._forward.size
        more = self._upcoming.take(room, stored) if room and self._upcoming and not stored.rows.reason else None
        return batch if more is None else _joined(batch, more.to(self.device))

    def _unstored(self, inputs: Inputs) -> Outputs:
        """What would be read back."""
        outputs = self._forward(inputs)
        self.forwards += len(outputs.logits)
        encoding = encoding_of(outputs, self.spec)
        return self._on_device(encoding.decode(encoding.encode(outputs)))

    def _on_device(self, outputs: Outputs) -> Outputs:
        features = {role: feature.to(self.device) for role, feature in outputs.features.items()}
        return Outputs(outputs.logits.to(self.device), features)


def _chosen(batch: Batch, samples: NDArray[np.intp]) -> Batch:
    at = torch.from_numpy(samples)
    assert batch.index is not None and batch.view is not None
    inputs = each(batch.inputs, lambda tensor: tensor[at])
    return Batch(inputs, batch.targets[at], batch.index[at], batch.view[at])


def _joined(one: Batch, other: Batch) -> Batch:
    """Of images: they alone can be foreseen."""
    pairs: Any = zip(one, other, strict=True)
    return Batch(*(torch.cat([mine, theirs]) for mine, theirs in pairs))
