"""The stored outputs of one teacher: rows on disk, and how they are to be read."""

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
    """The folder of a cache spec, once the shape of what is in it is known.

    `about.json` says what the outputs for one sample look like and what they depend on; `Rows` holds the rest.

    Args:
        spec: with a folder.
        encoding: of every row.
    """

    def __init__(self, spec: CacheSpec, encoding: Encoding) -> None:
        assert spec.folder is not None
        self.spec, self.encoding = spec, encoding
        self.rows = Rows(spec.folder, row_bytes=encoding.row_bytes, max_bytes=spec.max_bytes)

    @classmethod
    def found(cls, spec: CacheSpec) -> "StoredOutputs | None":
        """Those of an earlier run; None where there are none."""
        about = _about(spec)
        if not about.is_file():
            return None
        said = json.loads(about.read_text())
        features = tuple((role, tuple(shape)) for role, shape in said["features"])
        return cls(spec, Encoding(tuple(said["logits"]), features, spec.dtype, said["top_k"]))

    @classmethod
    def begun(cls, spec: CacheSpec, example: Outputs) -> "StoredOutputs":
        """A new folder for outputs that look like the example."""
        encoding = encoding_of(example, spec)
        looks = {"logits": encoding.logits, "features": encoding.features, "top_k": encoding.top_k}
        said = {**looks, "depends_on": spec.key}
        _about(spec).parent.mkdir(parents=True, exist_ok=True)
        write_text_atomically(_about(spec), json.dumps(said, indent=2, default=str) + "\n")
        return cls(spec, encoding)

    def addresses(self, indices: BatchIndices) -> NDArray[np.int64]:
        """Of samples in their views: `(batch,)`."""
        address: NDArray[np.int64] = (indices.view * self.spec.samples + indices.samples).cpu().numpy()
        return address

    def missing(self, visits: BatchIndices) -> NDArray[np.intp]:
        """Positions of the samples whose outputs in their views are not stored: `(missing,)`."""
        return np.flatnonzero(self.rows.missing(self.addresses(visits)))

    def encode(self, outputs: Outputs) -> NDArray[np.uint8]:
        """As rows: `(batch, row_bytes)`.

        Raises:
            BadInput: they look otherwise than the stored ones.
        """
        if encoding_of(outputs, self.spec) != self.encoding:
            raise BadInput(
                f"cache: a teacher's outputs for a sample must have one shape, {self.encoding.logits} here, got "
                f"{tuple(outputs.logits.shape[1:])}. Pad the inputs to one length, or set cache.enabled=false."
            )
        return self.encoding.encode(outputs)


def encoding_of(outputs: Outputs, spec: CacheSpec) -> Encoding:
    """How outputs that look like these are stored."""
    features = tuple((role, tuple(feature.shape[1:])) for role, feature in outputs.features.items())
    top_k = spec.top_k if outputs.logits.numel() else None
    return Encoding(tuple(outputs.logits.shape[1:]), features, spec.dtype, top_k)


def _about(spec: CacheSpec) -> Path:
    assert spec.folder is not None
    return spec.folder / ABOUT
