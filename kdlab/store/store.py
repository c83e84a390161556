"""Finished and half-finished stages on disk, by fingerprint, each trained by one process at a time."""

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from kdlab.jobs.training.identity import stage_fingerprint
from kdlab.jobs.training.stage import Stage
from kdlab.store.atomic import check_writable, write_text_atomically


class Store:
    """A folder of stages, `<fingerprint>/` each.

    In it are `config.yaml`, `last.ckpt`, `student.safetensors`, `predictions.safetensors`, `metrics.csv` and, once the
    stage is finished, `result.json`.

    Args:
        root: made when it is absent.

    Raises:
        BadInput: it cannot be written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        check_writable(root, "paths.store")

    @classmethod
    def at(cls, path: str) -> "Store":
        """The store in the folder that `paths.store` names."""
        return cls(Path(path))

    def folder(self, stage: Stage) -> Path:
        """Where a stage is or will be."""
        return self.root / stage_fingerprint(stage)

    def finished(self, stage: Stage) -> bool:
        """Whether the stage's results are all there; they are written last."""
        return (self.folder(stage) / "result.json").is_file()

    def result(self, stage: Stage) -> dict[str, Any]:
        """The figures of a finished stage."""
        result: dict[str, Any] = json.loads((self.folder(stage) / "result.json").read_text())
        return result

    @contextmanager
    def claimed(self, stage: Stage, on_wait: Callable[[str], None]) -> Iterator[Path]:
        """The stage's folder, for this process alone.

        The lock is the operating system's: it ends with its owner, however that ends.

        Args:
            stage: whose folder.
            on_wait: called once, with who holds it, when another process does.
        """
        folder = self.folder(stage)
        folder.mkdir(parents=True, exist_ok=True)
        owner = self.root / f"{folder.name}.owner"
        lock = FileLock(self.root / f"{folder.name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            on_wait(owner.read_text() if owner.is_file() else "another process")
            lock.acquire()
        try:
            write_text_atomically(owner, f"process {os.getpid()} on {socket.gethostname()}")
            for rest in folder.glob(".*"):
                rest.unlink()  # a temporary file whose writer was killed
            yield folder
        finally:
            owner.unlink(missing_ok=True)
            lock.release()

    def describe(self, stage: Stage) -> None:
        """Writes the stage's `config.yaml`: all that it is made of, readable and resolved."""
        text = yaml.safe_dump({"fingerprint": stage_fingerprint(stage), **frozen(stage, self)}, sort_keys=False)
        write_text_atomically(self.folder(stage) / "config.yaml", text)


def frozen(stage: Stage, store: Store) -> dict[str, Any]:
    """A stage as plain values, with its teachers as their folders' names and weights."""
    fields = asdict(stage)
    fields["teachers"] = [[store.folder(teacher).name, weight] for teacher, weight in stage.teachers]
    return fields
