import io
import json

import pytest

from kdlab.benchmarking import rounds
from kdlab.benchmarking.rounds import Rounds
from kdlab.errors import StoppedEarly

REQUESTS = '{"untimed": 1, "timed": 3}\n{"untimed": 0, "timed": 2}\n'


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only where a test changes it."""
    now = [0.0]
    monkeypatch.setattr(rounds.time, "perf_counter", lambda: now[0])
    return now


def test_only_the_timed_steps_of_a_round_count(clock):
    replies = io.StringIO()
    training = Rounds(io.StringIO(REQUESTS), replies)
    for step in range(6):
        clock[0] += 10**step
        training.step_done()
    clock[0] += 10**6
    with pytest.raises(StoppedEarly):
        training.step_done()
    seconds = [json.loads(line)["seconds"] for line in replies.getvalue().splitlines()]
    # The first step; of the next four not the first; then two.
    assert seconds == [1, 100 + 1000 + 10_000, 100_000 + 1_000_000]


def test_memory_is_the_peak(tmp_path, monkeypatch):
    (tmp_path / "status").write_text("Name:\tpython\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n")
    monkeypatch.setattr(rounds, "STATUS", tmp_path / "status")
    assert rounds.peak_memory() == 2048 * 1024


def test_memory_is_known_without_that_file(tmp_path, monkeypatch):
    monkeypatch.setattr(rounds, "STATUS", tmp_path / "absent")
    assert rounds.peak_memory() > 10e6
