"""A quick start and end for processes that import torch and Lightning."""

import atexit
import gc
import os
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

READER_GONE = 128 + 13  # as shells report SIGPIPE


def load_libraries() -> None:
    """Imports Lightning, and torch with it, without searching a million objects that stay for garbage."""
    if "lightning.pytorch" in sys.modules:
        return
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        import lightning.pytorch  # noqa: F401
    finally:
        if was_enabled:
            gc.enable()


def run_and_leave(command: Callable[[], int | None]) -> NoReturn:
    """Runs a command and ends the process with its exit code; quietly, where the reader of its output has gone."""
    try:
        code = command() or 0
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = READER_GONE
    leave(code)


def leave(code: int) -> NoReturn:
    """Ends the process once its exit handlers have run, without freeing each object: that takes a second or two.

    Where a thread is still at work, or a profiler or debugger has something to write, it ends as usual.
    """
    working = any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread())
    if working or sys.getprofile() or sys.gettrace():
        sys.exit(code)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
