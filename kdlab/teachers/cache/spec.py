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
    """Cache spec: the stored outputs of one teacher for the training samples of one stage.

    Attributes:
        folder: where they are stored; None for no cache: outputs are computed at every step.
        key: what they depend on.
        samples: length of the training list: `view * samples + index` is the address of a row.
        batch: samples in each forward pass of the teacher.
        dtype: of the stored values, `float32` or `float16`.
        top_k: number of logits stored per sample; None for all.
        max_bytes: upper bound of the folder's size.
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
        BadInput: naming the setting; `top_k` is checked once the number of classes is known.
    """
    enabled, room = settings["enabled"], settings["max_gb"]
    if not isinstance(enabled, bool):
        raise BadInput(f"cache.enabled must be true or false, got {enabled!r}. cache.enabled=true is the default.")
    if not is_number(room) or not 0 < room < math.inf:
        raise BadInput(f"cache.max_gb must be a number of gigabytes above 0, got {room!r}. For example cache.max_gb=8.")
