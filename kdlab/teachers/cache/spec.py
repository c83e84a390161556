"""Where the outputs of one teacher are stored, and in what form."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdlab.errors import BadInput
from kdlab.settings.numbers import is_number


@dataclass(frozen=True)
class CacheSpec:
    """The stored outputs of one teacher for the images of one stage.

    Attributes:
        folder: where they are; None where nothing is stored, and each is computed when it is needed.
        key: what they depend on.
        samples: of the training list: `view * samples + index` is the address of a row.
        batch: samples in each forward pass of the teacher.
        dtype: `float32` or `float16`, of what is stored.
        top_k: classes that are stored; None for all.
        max_bytes: that the folder may take.
    """

    folder: Path | None
    key: Mapping[str, Any]
    samples: int
    batch: int
    dtype: str
    top_k: int | None
    max_bytes: int


def check_cache(settings: Mapping[str, Any]) -> None:
    """Refuses values of the config node `cache` that are out of their range.

    Raises:
        BadInput: naming the setting; what a number of classes allows is checked when they are known.
    """
    enabled, room = settings["enabled"], settings["max_gb"]
    if not isinstance(enabled, bool):
        raise BadInput(f"cache.enabled must be true or false, got {enabled!r}. cache.enabled=true is the default.")
    if not is_number(room) or not 0 < room < math.inf:
        raise BadInput(f"cache.max_gb must be a number of gigabytes above 0, got {room!r}. For example cache.max_gb=8.")
