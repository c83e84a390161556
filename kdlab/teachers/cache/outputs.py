"""The stored answers of one teacher: rows on disk, and how they are to be read."""

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
from kdlab.teachers.cache.spec import Place

ABOUT = "about.json"


class Answers:
    """The folder of a place, once something is known of what is in it.

    `about.json` says what an answer looks like and what it depends on; `Rows` holds the rest.

    Args:
        place: with a folder.
        encoding: of every answer.
    """

    def __init__(self, place: Place, encoding: Encoding) -> None:
        assert place.folder is not None
        self.place, self.encoding = place, encoding
        self.rows = Rows(place.folder, row_bytes=encoding.row_bytes, max_bytes=place.max_bytes)

    @classmethod
    def found(cls, place: Place) -> "Answers | None":
        """Those of an earlier run; None where there are none yet."""
        about = _about(place)
        if not about.is_file():
            return None
        said = json.loads(about.read_text())
        features = tuple((role, tuple(shape)) for role, shape in said["features"])
        return cls(place, Encoding(tuple(said["logits"]), features, place.dtype, said["top_k"]))

    @classmethod
    def begun(cls, place: Place, example: Outputs) -> "Answers":
        """A new folder for answers that look like the example."""
        encoding = encoding_of(example, place)
        looks = {"logits": encoding.logits, "features": encoding.features, "top_k": encoding.top_k}
        said = {**looks, "depends_on": place.key}
        _about(place).parent.mkdir(parents=True, exist_ok=True)
        write_text_atomically(_about(place), json.dumps(said, indent=2, default=str) + "\n")
        return cls(place, encoding)

    def addresses(self, indices: BatchIndices) -> NDArray[np.int64]:
        """Of samples in their views: `(batch,)`."""
        address: NDArray[np.int64] = (indices.view * self.place.samples + indices.samples).cpu().numpy()
        return address

    def unknown(self, visits: BatchIndices) -> NDArray[np.intp]:
        """Positions of the samples that have no answer in their views: `(unknown,)`."""
        return np.flatnonzero(self.rows.missing(self.addresses(visits)))

    def encode(self, said: Outputs) -> NDArray[np.uint8]:
        """As rows: `(batch, row_bytes)`.

        Raises:
            BadInput: they look otherwise than the stored ones.
        """
        if encoding_of(said, self.place) != self.encoding:
            raise BadInput(
                f"cache: each answer of a teacher must have one shape, {self.encoding.logits} here, got "
                f"{tuple(said.logits.shape[1:])}. Pad the inputs to one length, or set cache.enabled=false."
            )
        return self.encoding.encode(said)


def encoding_of(said: Outputs, place: Place) -> Encoding:
    """How answers that look like this one are stored."""
    features = tuple((role, tuple(feature.shape[1:])) for role, feature in said.features.items())
    top_k = place.top_k if said.logits.numel() else None
    return Encoding(tuple(said.logits.shape[1:]), features, place.dtype, top_k)


def _about(place: Place) -> Path:
    assert place.folder is not None
    return place.folder / ABOUT
