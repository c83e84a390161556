"""The store: folders of finished and interrupted jobs, by fingerprint; one process at a time runs a job."""

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
    """The only property of a job that a store needs."""

    @property
    def fingerprint(self) -> str:
        """The name of its folder."""


class Store:
    """A folder of jobs, `<fingerprint>/` each.

    Each holds `config.yaml`, the files of the job and, once the job is finished, `result.json`.

    Args:
        root: created when it is absent.

    Raises:
        BadInput: the folder cannot be written.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self._results: dict[str, dict[str, Any]] = {}
        check_writable(self.root, "paths.store")

    def folder(self, job: Stored) -> Path:
        """The folder of a job's results, whether they exist yet or not."""
        return self.root / job.fingerprint

    def finished(self, job: Stored) -> bool:
        """Whether the job's results are complete; `result.json` is written last."""
        return (self.folder(job) / RESULT).is_file()

    def result(self, job: Stored) -> dict[str, Any]:
        """The figures of a finished job; read once, since they never change."""
        if job.fingerprint not in self._results:
            self._results[job.fingerprint] = json.loads((self.folder(job) / RESULT).read_text())
        return self._results[job.fingerprint]

    @contextmanager
    def claimed(self, job: Stored, on_wait: Callable[[str], None]) -> Iterator[Path]:
        """Locks the job's folder for this process.

        The operating system holds the lock and releases it when the owner ends, even by SIGKILL.

        Args:
            job: its folder is locked.
            on_wait: called once with the owner's process and host, if another process holds the lock.
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
            for leftover in folder.glob(".*"):
                leftover.unlink()  # a temporary file whose writer was killed
            yield folder
        finally:
            owner.unlink(missing_ok=True)
            lock.release()

    def describe(self, job: Stored, settings: Mapping[str, Any]) -> None:
        """Writes the job's `config.yaml`: its resolved settings and its fingerprint."""
        text = yaml.safe_dump({"fingerprint": job.fingerprint, **settings}, sort_keys=False)
        write_text_atomically(self.folder(job) / CONFIG, text)

    def forget(self, job: Stored) -> None:
        """Removes `result.json`, so that the job runs again from the files in its folder."""
        (self.folder(job) / RESULT).unlink(missing_ok=True)
        self._results.pop(job.fingerprint, None)

    def finish(self, job: Stored, figures: Mapping[str, Any]) -> None:
        """Writes `result.json`, which marks the job as finished."""
        write_text_atomically(self.folder(job) / RESULT, json.dumps(figures, indent=2) + "\n")
