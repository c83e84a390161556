"""The stored outputs of one teacher: rows on disk, and their encoding."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kdlab.data.batch import BatchIndices
from kdlab.errors import BadInput
from kdlab.models.taps import Outputs
from kdlab.store.atomic import write_text_atomically
from kdlab.teachers.cache.encoding import Encoding
from kdlab.teachers.cache.rows import Rows
from kdlab.teachers.cache.spec import CacheSpec

ABOUT = "about.json"


class StoredOutputs:
    """The folder of a cache spec, once the shapes of the outputs are known.

    `about.json` holds the shapes of the outputs for one sample and what they depend on; `Rows` holds the outputs.

    Args:
        spec: with a folder.
        encoding: of every row.
    """

    def __init__(self, spec: CacheSpec, encoding: Encoding) -> None:
        assert spec.folder is not None
        self.spec, self.encoding = spec, encoding
        self.rows = Rows(spec.folder, row_bytes=encoding.row_bytes, max_bytes=spec.max_bytes)

    @classmethod
    def load(cls, spec: CacheSpec) -> "StoredOutputs | None":
        """Opens the outputs of an earlier run; None where there are none."""
        about = _about(spec)
        if not about.is_file():
            return None
        stored = json.loads(about.read_text())
        features = tuple((role, tuple(shape)) for role, shape in stored["features"])
        return cls(spec, Encoding(tuple(stored["logits"]), features, spec.dtype, stored["top_k"]))

    @classmethod
    def create(cls, spec: CacheSpec, example: Outputs) -> "StoredOutputs":
        """Makes a folder for outputs of the same shapes as the example."""
        encoding = encoding_of(example, spec)
        shapes = {"logits": encoding.logits, "features": encoding.features, "top_k": encoding.top_k}
        content = {**shapes, "depends_on": spec.key}
        _about(spec).parent.mkdir(parents=True, exist_ok=True)
        write_text_atomically(_about(spec), json.dumps(content, indent=2, default=str) + "\n")
        return cls(spec, encoding)

    def addresses(self, indices: BatchIndices) -> NDArray[np.int64]:
        """The row addresses of samples in their views: `(batch,)`."""
        address: NDArray[np.int64] = (indices.view * self.spec.samples + indices.samples).cpu().numpy()
        return address

    def missing(self, visits: BatchIndices) -> NDArray[np.intp]:
        """Positions of the samples whose outputs in their views are not stored: `(missing,)`."""
        return np.flatnonzero(self.rows.missing(self.addresses(visits)))

    def encode(self, outputs: Outputs) -> NDArray[np.uint8]:
        """The outputs as rows: `(batch, row_bytes)`.

        Raises:
            BadInput: their shapes differ from those of the stored outputs.
        """
        if encoding_of(outputs, self.spec) != self.encoding:
            raise BadInput(
                f"cache: a teacher's outputs for a sample must have one shape, {self.encoding.logits} here, got "
                f"{tuple(outputs.logits.shape[1:])}. Pad the inputs to one length, or set cache.enabled=false."
            )
        return self.encoding.encode(outputs)


def encoding_of(outputs: Outputs, spec: CacheSpec) -> Encoding:
    """The encoding for outputs of these shapes."""
    features = tuple((role, tuple(feature.shape[1:])) for role, feature in outputs.features.items())
    top_k = spec.top_k if outputs.logits.numel() else None
    return Encoding(tuple(outputs.logits.shape[1:]), features, spec.dtype, top_k)


def _about(spec: CacheSpec) -> Path:
    assert spec.folder is not None
    return spec.folder / ABOUT
