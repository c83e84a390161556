"""Fingerprints: hashes of settings and of files, by which the store identifies a stage."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

LENGTH = 16  # hexadecimal digits: 64 bits
SHORT = 8  # of them in names that people read
NEUTRAL = ("paths", "logger", "tags")  # groups of a run's config that do not change its result
LATER = ("export",)  # groups that earlier versions did not have: null is as if they were absent


def fingerprint(parts: Mapping[str, Any]) -> str:
    """A hash of nested plain values in which key order does not matter and `4` equals `4.0`."""
    text = json.dumps(_canonical(parts), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def config_fingerprint(config: Mapping[str, Any]) -> str:
    """A hash of a run's resolved config; it needs no plan, so a run whose plan fails has one too."""
    absent = {key for key in LATER if config.get(key) is None}
    return fingerprint({key: value for key, value in config.items() if key not in (*NEUTRAL, *absent)})


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content, read again only when its size or modification time changed."""
    status = path.stat()
    return _file_hash(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _file_hash(path: Path, size: int, modified: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
