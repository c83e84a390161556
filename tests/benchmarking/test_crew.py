import pytest

from kdlab.benchmarking import crew
from kdlab.benchmarking.crew import Turn, Worker, in_turns
from kdlab.errors import TrainingFailed

NETWORK = {"source": "cifar", "name": "resnet8", "num_classes": 2, "kwargs": {"widths": [2, 2, 4, 4]}}
DATA = {"samples": 8, "classes": 2, "image_size": 8, "batch_size": 4, "padding": 1, "mean": [0.5] * 3, "std": [1.0] * 3}
JOB = {
    "loop": "plain",
    "threads": 1,
    "data": DATA,
    "workers": 0,
    "student": NETWORK,
    "teacher": NETWORK,
    "optimizer": {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.1},
}


def test_a_process_trains_in_turns_and_ends_when_it_is_told_to(tmp_path):
    worker = Worker(JOB, tmp_path / "plain.log")
    turn = worker.turn(2)
    assert worker.start_seconds > turn.seconds > 0
    assert turn.memory_bytes >= worker.first.memory_bytes > 10e6
    assert "step 0: loss" in (tmp_path / "plain.log").read_text()
    worker.end()
    assert worker._process.returncode == 0


def test_one_that_fails_says_why_in_one_line(tmp_path):
    with pytest.raises(TrainingFailed, match=r"^kdlab, warm ended: KeyError: 'nosuch'$"):
        Worker({"loop": "nosuch", "threads": 1}, tmp_path / "kdlab, warm.log")


def test_each_round_begins_with_another_worker(monkeypatch):
    monkeypatch.setattr(crew, "SETTLING_SECONDS", 0)
    heard = []

    class Silent:
        def __init__(self, name):
            self.name = name

        def turn(self, timed):
            heard.append((self.name, timed))
            return Turn(len(heard), 0)

    turns = in_turns({name: Silent(name) for name in "abc"}, repeats=4, steps=5)
    assert "".join(name for name, _ in heard) == "abcbcacababc"
    assert {timed for _, timed in heard} == {5}
    assert [turn.seconds for turn in turns["b"]] == [2, 4, 9, 11]
