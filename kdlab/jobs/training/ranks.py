"""Several ranks of one stage: new processes that get a pickled stage, never the command line.

Only the parent plans, locks and reads the store. Rank variables are in the children's environment only, and the
children end with their parent, even by SIGKILL.

Torch's elastic launcher guarantees neither: it writes to the parent's environment and installs signal handlers there
that it never removes, and commands that it starts outlive a SIGKILL of their parent. Functions that it starts import
the parent's `__main__` again, and get a SIGINT that Python does not handle inside a collective.
"""

import gc
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch.distributed as dist
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from kdlab.errors import Interrupted, KdlabError, TrainingFailed
from kdlab.jobs.training.checkpointing import Report, no_report
from kdlab.jobs.training.hardware import thread_count
from kdlab.jobs.training.loop import train
from kdlab.jobs.training.rank_reports import VARIABLE, RankReports, report_to_parent
from kdlab.store.atomic import write_text_atomically
from kdlab.teachers.cache.spec import CacheSpec

if TYPE_CHECKING:
    from kdlab.jobs.training.stage import Stage

POLL_SECONDS = 0.05
FIGURES = "figures.json"  # written by rank 0, read by the parent


def train_with_ranks(
    stage: "Stage",
    folder: Path,
    inputs: Sequence[Path],
    specs: Sequence[CacheSpec],
    count: int,
    *,
    report: Report = no_report,
    address: str = "127.0.0.1",
) -> dict[str, Any]:
    """Trains a stage with `count` processes on this machine; any that fails ends the others.

    Args:
        stage: what to train.
        folder: its folder in the store; `rank0.log`, `rank1.log`, … there hold what the processes print.
        inputs: the folders of `stage.needs`, in order.
        specs: the teachers' cache specs, in order.
        count: number of processes.
        report: is called with the progress of rank 0; an error that it raises ends all ranks.
        address: of this machine, for the rendezvous of the ranks.

    Returns:
        Its figures.

    Raises:
        TrainingFailed: a rank failed; the message is the last line of its log.
        Interrupted: the user asked to stop.
    """
    hardware = {**stage.hardware, "threads": thread_count(stage)}  # a rank's own default would differ
    payload = pickle.dumps((replace(stage, hardware=hardware), folder, list(inputs), list(specs)))
    rendezvous, reports = _rendezvous(address), RankReports(report)
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for rank in range(count):
            environment = _environment(rank, count, rendezvous, reports.writer)
            processes.append(_start(environment, payload, folder / f"rank{rank}.log", reports.writer))
        _wait(processes, folder, reports)
    except (KeyboardInterrupt, Interrupted):
        raise Interrupted("the last whole epoch is saved; the same command continues it") from None
    finally:
        for process in processes:
            process.kill()
            process.wait()
        reports.close()
    figures: dict[str, Any] = json.loads((folder / FIGURES).read_text())
    return figures


def _rendezvous(address: str) -> TCPStore:
    """The store of the rendezvous; the parent holds it, so its port stays taken and it outlives every rank."""
    listening = socket.create_server((address, 0))
    port = listening.getsockname()[1]
    return TCPStore(address, port, is_master=True, wait_for_workers=False, master_listen_fd=listening.detach())


def _environment(rank: int, count: int, rendezvous: TCPStore, pipe: int) -> dict[str, str]:
    return {
        **os.environ,
        "MASTER_ADDR": rendezvous.host,
        "MASTER_PORT": str(rendezvous.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",  # the parent serves the store, not rank 0
        "WORLD_SIZE": str(count),
        "NODE_RANK": "0",
        "LOCAL_RANK": str(rank),
        **({VARIABLE: str(pipe)} if rank == 0 else {}),
    }


def _start(environment: dict[str, str], payload: bytes, log: Path, pipe: int) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "kdlab.jobs.training.rank"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            pass_fds=(pipe,),
            start_new_session=True,
        )
    assert process.stdin is not None
    process.stdin.write(len(payload).to_bytes(8, "big") + payload)
    process.stdin.flush()
    return process


def _wait(processes: Sequence[subprocess.Popen[bytes]], folder: Path, reports: RankReports) -> None:
    codes: list[int | None] = [None]
    while None in codes:
        time.sleep(POLL_SECONDS)
        codes = [process.poll() for process in processes]
        reports.read()
        if any(codes):
            raise TrainingFailed(_first_failure(codes, [folder / f"rank{rank}.log" for rank in range(len(codes))]))


def _first_failure(codes: Sequence[int | None], logs: Sequence[Path]) -> str:
    """The last line of the rank that failed first: the others fail because it is gone, and write later."""
    failed = [rank for rank, code in enumerate(codes) if code]
    rank = min(failed, key=lambda rank: logs[rank].stat().st_mtime_ns)
    message = "".join(logs[rank].read_text(errors="replace").strip().splitlines()[-1:])
    code = codes[rank] or 0
    ending = f" (ended by {signal.Signals(-code).name})" if code < 0 else ""
    return f"Rank {rank} of {len(codes)} failed: {message}{ending}"


def _end_with_parent() -> None:
    """Ends this process when the parent, which holds the other end of stdin, is gone."""
    while os.read(sys.stdin.fileno(), 1):  # unbuffered: a buffer's lock, held at exit, is a fatal error
        pass
    os._exit(1)


def leave_group() -> None:
    """Destroys the process group, and its threads, before the interpreter shuts down.

    A gloo thread that releases a tensor takes the GIL. During shutdown Python ends the thread there, inside a
    `noexcept` function, and the process aborts with `terminate called without an active exception`.
    """
    if dist.is_initialized():
        gc.collect()  # drops other references to the group; the last to go waits for the threads, maybe with the GIL
        dist.destroy_process_group()


def main() -> None:
    """One rank; it reads the stage from stdin, and the last line that it prints is the reason of a failure."""
    source = sys.stdin.buffer
    stage, folder, inputs, specs = pickle.loads(source.read(int.from_bytes(source.read(8), "big")))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        figures = train(stage, folder, inputs, specs, report=report_to_parent())
        if figures is not None:
            write_text_atomically(folder / FIGURES, json.dumps(figures))
    except BaseException as error:
        sys.stdout.flush()
        traceback.print_exc()
        message = str(error) if isinstance(error, KdlabError) else "".join(traceback.format_exception_only(error))
        print(" ".join(message.split()), file=sys.stderr, flush=True)
        os._exit(1)  # at once: destroying the group would wait for collectives that the other ranks wait for too
    leave_group()
