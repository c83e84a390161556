"""What makes two stages the same: a hash over what they are made of, and nothing else."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

LENGTH = 16  # hexadecimal digits: 64 bits
SHORT = 8  # of them in names that people read
BESIDE = ("paths", "logger", "tags")  # parts of a run's config that change nothing in its result


def fingerprint(parts: Mapping[str, Any]) -> str:
    """A hash of nested plain values in which key order does not matter and `4` equals `4.0`."""
    text = json.dumps(_canonical(parts), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def config_fingerprint(config: Mapping[str, Any]) -> str:
    """A hash of a run's resolved config, which it has before it has a plan, and also when it gets none."""
    return fingerprint({key: value for key, value in config.items() if key not in BESIDE})


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
