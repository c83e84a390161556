"""Several ranks of one stage: fresh processes that start from a frozen stage, never from the command line.

The parent alone plans, locks and reads the store. Rank variables are in the children's environment only, and the
children end with their parent, however it ends.
"""

import json
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdlab.errors import Interrupted, TrainingFailed
from kdlab.jobs.training.hardware import thread_count
from kdlab.jobs.training.loop import train
from kdlab.store.atomic import write_text_atomically
from kdlab.teachers.cache.spec import CacheSpec

if TYPE_CHECKING:
    from kdlab.jobs.training.stage import Stage

POLL_SECONDS = 0.05
FIGURES = "figures.json"  # by which the first rank hands them over


def train_with_ranks(
    stage: "Stage", folder: Path, teachers: Sequence[Path], specs: Sequence[CacheSpec], count: int
) -> dict[str, Any]:
    """Trains a stage with `count` processes on this machine; any that fails ends the others.

    Returns:
        Its figures.

    Raises:
        TrainingFailed: a rank failed; the text is what it said.
        Interrupted: the user asked to stop.
    """
    settled = replace(
        stage, hardware={**stage.hardware, "threads": thread_count(stage)}
    )  # not what a rank would choose
    frozen = pickle.dumps((settled, folder, list(teachers), list(specs)))
    port = free_port()
    processes = [_start(rank, count, port, frozen, folder) for rank in range(count)]
    try:
        _wait(processes, folder)
    except KeyboardInterrupt:
        raise Interrupted("the last whole epoch is saved; the same command continues it") from None
    finally:
        for process in processes:
            process.kill()
            process.wait()
    figures: dict[str, Any] = json.loads((folder / FIGURES).read_text())
    return figures


def _start(rank: int, count: int, port: int, frozen: bytes, folder: Path) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(count),
        "NODE_RANK": "0",
        "LOCAL_RANK": str(rank),
    }
    with (folder / f"rank{rank}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "kdlab.jobs.training.ranks"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    assert process.stdin is not None
    process.stdin.write(len(frozen).to_bytes(8, "big") + frozen)
    process.stdin.flush()
    return process


def _wait(processes: Sequence[subprocess.Popen[bytes]], folder: Path) -> None:
    while any(process.poll() is None for process in processes):
        for rank, process in enumerate(processes):
            if process.poll():
                said = (folder / f"rank{rank}.log").read_text(errors="replace").strip().splitlines()
                why = "".join(said[-1:]).removeprefix("kdlab.errors.TrainingFailed: ")
                raise TrainingFailed(f"Rank {rank} of {len(processes)} failed: {why}")
        time.sleep(POLL_SECONDS)


def free_port() -> int:
    """A port of this machine that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end_with_parent() -> None:
    """The parent holds the other end of stdin: when it is gone, so must this process be."""
    while os.read(sys.stdin.fileno(), 1):  # unbuffered: a buffer's lock, held at exit, is a fatal error
        pass
    os._exit(1)


def main() -> None:
    """One rank; the stage comes through stdin."""
    source = sys.stdin.buffer
    stage, folder, teachers, specs = pickle.loads(source.read(int.from_bytes(source.read(8), "big")))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    figures = train(stage, folder, teachers, specs)
    if figures is not None:
        write_text_atomically(folder / FIGURES, json.dumps(figures))


if __name__ == "__main__":
    main()
