"""Where data and outputs are, and whether they can be written."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from kdlab.diagnosis.property import Property
from kdlab.reporting.render.magnitude import scaled
from kdlab.store.store import RESULT

LEAST_FREE = 1e9  # bytes: checkpoints and caches fill less in minutes
DATA_VARIABLE = "KDLAB_DATA"
MOST = 6  # names of data sets that are shown


def folders(paths: Mapping[str, str]) -> list[Property]:
    """The folders of a run.

    Args:
        paths: `outputs`, `store` and `data`, the settings below `paths`.
    """
    outputs, store, data = (Path(paths[name]).absolute() for name in ("outputs", "store", "data"))
    wrong = _unusable(outputs, "paths.outputs")
    wrong_store = "" if wrong and store.is_relative_to(outputs) else _unusable(store, "paths.store")
    return [
        Property("paths.outputs", str(outputs), _room(outputs), wrong),
        Property("paths.store", str(store), f"{_content(store)}{_room(store)}", wrong_store),
        Property("paths.data", str(data), _data(data)),
    ]


def _room(folder: Path) -> str:
    there = "" if folder.is_dir() else "a run makes it; "
    return f"{there}{scaled(shutil.disk_usage(_existing(folder)).free)}B free"


def _content(store: Path) -> str:
    if not store.is_dir():
        return ""
    jobs, size = sum(1 for _ in store.glob(f"*/{RESULT}")), sum(map(_size, store.rglob("*")))
    return f"{jobs} finished jobs, {scaled(size)}B; "


def _size(path: Path) -> int:
    try:
        return 0 if path.is_dir() else path.lstat().st_size
    except FileNotFoundError:
        return 0  # removed meanwhile by a run


def _data(folder: Path) -> str:
    chosen = f"from {DATA_VARIABLE}; " if os.environ.get(DATA_VARIABLE) else ""
    if not folder.is_dir():
        return f"{chosen}not there; digits need none, data.download=true fetches other data"
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    return f"{chosen}holds {', '.join(names[:MOST]) or 'nothing'}{' …' if len(names) > MOST else ''}"


def _unusable(folder: Path, setting: str) -> str:
    """Why a run could not write there, without leaving anything behind."""
    existing = _existing(folder)
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        return f"{setting} must be a folder that can be written, got {folder} ({error.strerror}): choose {setting}=…"
    free = shutil.disk_usage(existing).free
    if free < LEAST_FREE:
        return f"{scaled(free)}B are free at {existing}, too little for a run: delete something, or choose {setting}=…"
    return ""


def _existing(folder: Path) -> Path:
    """The folder, or the closest one above that is there."""
    return next(path for path in (folder, *folder.parents) if os.path.exists(path))
