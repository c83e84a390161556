"""Finished and half-finished jobs on disk, by fingerprint, each run by one process at a time."""

import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import yaml
from filelock import FileLock, Timeout

from kdlab.store.atomic import check_writable, write_text_atomically

RESULT = "result.json"
CONFIG = "config.yaml"


class Stored(Protocol):
    """All that a store knows of a job."""

    @property
    def fingerprint(self) -> str:
        """The name of its folder."""


class Store:
    """A folder of jobs, `<fingerprint>/` each.

    In it are `config.yaml`, what the job leaves there and, once the job is finished, `result.json`.

    Args:
        root: made when it is absent.

    Raises:
        BadInput: it cannot be written.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self._results: dict[str, dict[str, Any]] = {}
        check_writable(self.root, "paths.store")

    def folder(self, job: Stored) -> Path:
        """Where a job's results are or will be."""
        return self.root / job.fingerprint

    def finished(self, job: Stored) -> bool:
        """Whether the job's results are all there; `result.json` is written last."""
        return (self.folder(job) / RESULT).is_file()

    def result(self, job: Stored) -> dict[str, Any]:
        """The figures of a finished job; read once, for they do not change any more."""
        if job.fingerprint not in self._results:
            self._results[job.fingerprint] = json.loads((self.folder(job) / RESULT).read_text())
        return self._results[job.fingerprint]

    @contextmanager
    def claimed(self, job: Stored, on_wait: Callable[[str], None]) -> Iterator[Path]:
        """The job's folder, for this process alone.

        The lock is the operating system's: it ends with its owner, however that ends.

        Args:
            job: whose folder.
            on_wait: called once, with who holds it, when another process does.
        """
        folder = self.folder(job)
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

    def describe(self, job: Stored, settings: Mapping[str, Any]) -> None:
        """Writes the job's `config.yaml`: all that it is made of, readable and resolved."""
        text = yaml.safe_dump({"fingerprint": job.fingerprint, **settings}, sort_keys=False)
        write_text_atomically(self.folder(job) / CONFIG, text)

    def forget(self, job: Stored) -> None:
        """Has a finished job run again, from what is in its folder."""
        (self.folder(job) / RESULT).unlink(missing_ok=True)
        self._results.pop(job.fingerprint, None)

    def finish(self, job: Stored, figures: Mapping[str, Any]) -> None:
        """Writes `result.json`, which marks the job as finished."""
        write_text_atomically(self.folder(job) / RESULT, json.dumps(figures, indent=2) + "\n")
