"""A worker of the benchmark that is a thread: it need not import everything again."""

import os
import threading
from types import SimpleNamespace

from kdlab.benchmarking import case, measure, scaling, workers
from kdlab.benchmarking.worker import work


class InThread(workers.Worker):
    def _start(self):
        (read_requests, write_requests), (read_replies, write_replies) = os.pipe(), os.pipe()

        def run():
            with os.fdopen(read_requests) as requests, os.fdopen(write_replies, "w") as replies:
                work(requests, replies)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        ends = {"stdin": os.fdopen(write_requests, "w"), "stdout": os.fdopen(read_replies)}
        return SimpleNamespace(**ends, wait=thread.join)


def use_threads(monkeypatch):
    """Has the benchmark measure in threads, whose timings mean nothing, and scale over small sizes."""
    for module in (workers, measure):
        monkeypatch.setattr(module, "Worker", InThread)
    monkeypatch.setattr(workers, "SETTLING_SECONDS", 0)
    monkeypatch.setattr(case, "NUM_WORKERS", 0)
    monkeypatch.setattr(scaling, "SIZES", {"batch_size": (2,)})
    monkeypatch.setattr(scaling, "CELLS", (1, 2))
    monkeypatch.setattr(scaling, "CELL_STEPS", 2)
