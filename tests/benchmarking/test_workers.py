import pytest

from kdlab.benchmarking import workers
from kdlab.benchmarking.workers import Round, Worker, in_rounds
from kdlab.errors import TrainingFailed

NETWORK = {"source": "cifar", "name": "resnet8", "num_classes": 2, "kwargs": {"widths": [2, 2, 4, 4]}}
DATA = {"samples": 8, "classes": 2, "image_size": 8, "batch_size": 4, "padding": 1, "mean": [0.5] * 3, "std": [1.0] * 3}
JOB = {
    "loop": "plain",
    "threads": 1,
    "data": DATA,
    "num_workers": 0,
    "student": NETWORK,
    "teacher": NETWORK,
    "optimizer": {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.1},
}


def test_a_process_trains_in_rounds_and_ends_with_the_requests(tmp_path):
    worker = Worker(JOB, tmp_path / "plain.log")
    measured = worker.run_round(2)
    assert worker.start_seconds > measured.seconds > 0
    assert measured.memory_bytes >= worker.first.memory_bytes > 10e6
    assert "step 0: loss" in (tmp_path / "plain.log").read_text()
    worker.end()
    assert worker._process.returncode == 0


def test_the_error_of_a_failed_worker_is_one_line(tmp_path):
    with pytest.raises(TrainingFailed, match=r"^kdlab, warm ended: KeyError: 'nosuch'$"):
        Worker({"loop": "nosuch", "threads": 1}, tmp_path / "kdlab, warm.log")


def test_each_repeat_begins_with_another_worker(monkeypatch):
    monkeypatch.setattr(workers, "SETTLING_SECONDS", 0)
    calls = []

    class Fake:
        def __init__(self, name):
            self.name = name

        def run_round(self, timed):
            calls.append((self.name, timed))
            return Round(len(calls), 0)

    rounds = in_rounds({name: Fake(name) for name in "abc"}, repeats=4, steps=5)
    assert "".join(name for name, _ in calls) == "abcbcacababc"
    assert {timed for _, timed in calls} == {5}
    assert [one.seconds for one in rounds["b"]] == [2, 4, 9, 11]
