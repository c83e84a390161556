"""Metrics of several processes."""

import os
import threading

from kdlab.serving.metrics import SHARED, Metrics


def test_a_process_that_is_just_starting_does_not_break_the_metrics_of_all(tmp_path, monkeypatch):
    """prometheus_client makes a file first and gives it a length then."""
    metrics = Metrics()
    monkeypatch.setenv(SHARED, str(tmp_path))
    started = tmp_path / "counter_1.db"
    started.touch()
    writer = threading.Timer(0.005, os.truncate, (started, 4096))
    writer.start()
    content, _ = metrics.exposition()
    writer.join()
    assert content == b""
