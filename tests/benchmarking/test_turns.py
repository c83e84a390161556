import io
import json

import pytest

from kdlab.benchmarking import turns
from kdlab.benchmarking.turns import Turns
from kdlab.errors import StoppedEarly

ASKED = '{"untimed": 1, "timed": 3}\n{"untimed": 0, "timed": 2}\n'


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only where a test says so."""
    now = [0.0]
    monkeypatch.setattr(turns.time, "perf_counter", lambda: now[0])
    return now


def test_only_the_steps_of_a_turn_that_are_timed_count(clock):
    answers = io.StringIO()
    taken = Turns(io.StringIO(ASKED), answers)
    for step in range(6):
        clock[0] += 10**step
        taken.step_done()
    clock[0] += 10**6
    with pytest.raises(StoppedEarly):
        taken.step_done()
    said = [json.loads(line)["seconds"] for line in answers.getvalue().splitlines()]
    # The first step; of the next four not the first; then two.
    assert said == [1, 100 + 1000 + 10_000, 100_000 + 1_000_000]


def test_memory_is_the_most_that_there_was(tmp_path, monkeypatch):
    (tmp_path / "status").write_text("Name:\tpython\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n")
    monkeypatch.setattr(turns, "STATUS", tmp_path / "status")
    assert turns.peak_memory() == 2048 * 1024


def test_memory_is_known_where_there_is_no_such_file(tmp_path, monkeypatch):
    monkeypatch.setattr(turns, "STATUS", tmp_path / "absent")
    assert turns.peak_memory() > 10e6
