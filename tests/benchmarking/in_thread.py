"""A worker of the benchmark that is a thread: it need not import everything again."""

import os
import threading
from types import SimpleNamespace

from kdlab.benchmarking import case, crew, growth, measure
from kdlab.benchmarking.worker import work


class InThread(crew.Worker):
    def _started(self):
        (read_asks, write_asks), (read_answers, write_answers) = os.pipe(), os.pipe()

        def run():
            with os.fdopen(read_asks) as asks, os.fdopen(write_answers, "w") as answers:
                work(asks, answers)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        ends = {"stdin": os.fdopen(write_asks, "w"), "stdout": os.fdopen(read_answers)}
        return SimpleNamespace(**ends, wait=thread.join)


def use_threads(monkeypatch):
    """Has the benchmark measure in threads, which are not timed truly, and grow to small sizes."""
    for module in (crew, measure):
        monkeypatch.setattr(module, "Worker", InThread)
    monkeypatch.setattr(crew, "SETTLING_SECONDS", 0)
    monkeypatch.setattr(case, "LOADERS", 0)
    monkeypatch.setattr(growth, "SIZES", {"batch_size": (2,)})
    monkeypatch.setattr(growth, "CELLS", (1, 2))
    monkeypatch.setattr(growth, "CELL_STEPS", 2)
