"""Reads back what an offline W&B run wrote: `run-<id>.wandb`, protobuf records in LevelDB's log framing."""

import json
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import ArtifactRecord, Record, RunRecord

FILE_HEADER = b":W&B" + struct.pack("<HB", 0xBEE1, 0)
RECORD_HEADER = struct.Struct("<IHB")  # crc of type and payload, length, type
BLOCK = 32 * 1024
FULL, LAST = 1, 4


@dataclass
class OfflineRun:
    """One `.wandb` file. `exit_code` is None where the run was never closed."""

    run: RunRecord = field(default_factory=RunRecord)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    step_metrics: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, ArtifactRecord] = field(default_factory=dict)
    folder: Path | None = None

    def table(self, name: str) -> dict[str, Any]:
        """A table that was logged: its `columns` and `data`."""
        assert self.folder
        table: dict[str, Any] = json.loads((self.folder / "files" / self.summary[f"{name}.path"]).read_text())
        return table

    exit_code: int | None = None


def offline_runs(directory: Path, patience: float = 5.0) -> list[OfflineRun]:
    """Every offline run below a directory, oldest first.

    wandb writes the last records some milliseconds after `finish` has returned, so this waits for the runs to
    be closed, `patience` seconds at most.
    """
    deadline = time.monotonic() + patience
    runs = _read_all(directory)
    while any(run.exit_code is None for run in runs) and time.monotonic() < deadline:
        time.sleep(0.01)
        runs = _read_all(directory)
    return sorted(runs, key=lambda run: run.run.start_time.ToNanoseconds())


def _read_all(directory: Path) -> list[OfflineRun]:
    return [read_run(path) for path in directory.glob("wandb/offline-run-*/run-*.wandb")]


def read_run(path: Path) -> OfflineRun:
    """Replays the records of one file."""
    run = OfflineRun(folder=path.parent)
    for record in records(path.read_bytes()):
        _apply(run, record)
    return run


def records(data: bytes) -> Iterator[Record]:
    """Joins fragments and checks each one's checksum; a file that ends within a record ends the iteration."""
    assert FILE_HEADER.startswith(data[:7]), f"not a .wandb file: it starts with {data[:7]!r}"
    payload, at = b"", len(FILE_HEADER)
    while at + RECORD_HEADER.size <= len(data):
        if BLOCK - at % BLOCK < RECORD_HEADER.size:
            at += BLOCK - at % BLOCK
            continue
        checksum, length, kind = RECORD_HEADER.unpack_from(data, at)
        at += RECORD_HEADER.size
        if at + length > len(data):
            return
        fragment = data[at : at + length]
        assert zlib.crc32(bytes([kind]) + fragment) == checksum, f"checksum differs at byte {at}"
        payload, at = payload + fragment, at + length
        if kind in (FULL, LAST):
            yield Record.FromString(payload)
            payload = b""


def _apply(run: OfflineRun, record: Record) -> None:
    kind = record.WhichOneof("record_type")
    if kind == "run":
        run.run = record.run
        run.config |= _values(record.run.config.update)
    elif kind == "history":
        run.history.append(_values(record.history.item))
    elif kind == "summary":
        run.summary |= _values(record.summary.update)
    elif kind == "metric":
        run.step_metrics[record.metric.glob_name or record.metric.name] = record.metric.step_metric
    elif kind == "artifact":
        run.artifacts[record.artifact.name] = record.artifact
    elif kind == "exit":
        run.exit_code = record.exit.exit_code


def _values(items: Any) -> dict[str, Any]:
    named = {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}
    return {name: value for name, value in named.items() if not name.startswith("_")}
