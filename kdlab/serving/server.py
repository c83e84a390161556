"""Runs a service: in this process, or in several that share a socket. SIGTERM and Ctrl-C drain it."""

import asyncio
import logging
import os
import signal
import socket
import traceback
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from typing import Any

from kdlab.serving.service import Announce, Service

KEEP_ALIVE_SECONDS = 75  # longer than the 60 s of usual load balancers, which otherwise meet connections that close
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def serve(
    service: Service,
    listener: socket.socket,
    announce: Announce,
    when_ready: Callable[[], None],
    supervisor: int | None = None,
) -> None:
    """Serves until SIGTERM or Ctrl-C, then answers the requests that it has.

    Args:
        service: not loaded yet.
        listener: bound.
        announce: is called with each phase of the start.
        when_ready: is called once every batch size was run.
        supervisor: the process without which it ends; None where it has none.

    Raises:
        KdlabError: the artifact cannot be loaded.
    """
    import uvicorn

    from kdlab.serving.app import make_app
    from kdlab.serving.connection import guarded_protocol

    failures: list[BaseException] = []

    async def load() -> None:
        try:
            await asyncio.to_thread(service.load, announce)
            if service.is_ready:
                when_ready()
        except Exception as error:
            failures.append(error)
            server.should_exit = True

    async def follow() -> None:
        if supervisor is not None and os.getppid() != supervisor:
            server.should_exit = True

    settings = service.settings
    config = uvicorn.Config(
        make_app(service, load),
        http=guarded_protocol(settings.read_timeout_s),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=settings.connections,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        callback_notify=follow,
        timeout_notify=1,
        timeout_graceful_shutdown=int(settings.timeout_s + settings.read_timeout_s) + 1,
    )
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # what clients do wrong is counted, not logged
    server = uvicorn.Server(config)
    with _signals_are_taken():
        server.run(sockets=[listener])
    if failures:
        raise failures[0]


@contextmanager
def _signals_are_taken() -> Any:
    """Once drained, uvicorn raises again the signal that stopped it, which would end the process by it."""
    before = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def supervise(count: int, work: Callable[[int], int], ended: Callable[[int], None]) -> int:
    """Runs a function in several processes, forked from this one; one that a signal ends is started again.

    Args:
        count: number of processes.
        work: takes the number of its process and returns its exit code.
        ended: is called with the id of each that has ended.

    Returns:
        0 where all ended as they were asked to, otherwise the exit code of the first that failed.
    """
    children = {_forked(work, number): number for number in range(count)}
    stopping = False

    def stop(number: int, frame: object) -> None:
        nonlocal stopping
        stopping = True
        _signal_all(children)

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    worst = 0
    while children:
        process, status = os.wait()
        number, code = children.pop(process), os.waitstatus_to_exitcode(status)
        ended(process)
        if code < 0 and not stopping:
            children[_forked(work, number)] = number
        elif code and not stopping:
            worst, stopping = worst or code, True
            _signal_all(children)
    for number, handler in before.items():
        signal.signal(number, handler)
    return worst


def _signal_all(children: Mapping[int, int]) -> None:
    for process in children:
        os.kill(process, signal.SIGTERM)


def _forked(work: Callable[[int], int], number: int) -> int:
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        os.setpgid(0, 0)  # Ctrl-C is for the parent, which passes it on
        for one in SIGNALS:
            signal.signal(one, signal.SIG_DFL)
        code = work(number)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)
