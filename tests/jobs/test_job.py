"""A user's own kind of job, in a few lines: stored, killed, resumed and reused like any other."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

import kdlab
from kdlab.errors import TrainingFailed
from kdlab.jobs.events import Event, Failed, Finished, Progress, Started
from kdlab.jobs.job import Job
from kdlab.store.atomic import write_text_atomically
from kdlab.store.fingerprint import fingerprint


@dataclass(frozen=True)
class Counting(Job):
    upto: int
    name = "counting"

    @property
    def fingerprint(self):
        return fingerprint({"count up to": self.upto})

    def run(self, folder, inputs, emit):
        path = folder / "count"
        start = int(path.read_text()) if path.is_file() else 0
        for number in range(start + 1, self.upto + 1):
            time.sleep(0.02)
            write_text_atomically(path, str(number))
            emit(Progress(self, number, self.upto))
        return {"count": self.upto, "start": start}


@dataclass(frozen=True)
class Doubled(Job):
    of: Job
    name = "doubled"

    @property
    def fingerprint(self):
        return fingerprint({"double": self.of.fingerprint})

    @property
    def needs(self):
        return [self.of]

    def run(self, folder, inputs, emit):
        return {"count": 2 * int((inputs[0] / "count").read_text())}


class Broken(Counting):
    def run(self, folder, inputs, emit):
        super().run(folder, inputs, emit)
        raise ArithmeticError("cannot count any further")


def killed_half_way(job: Job, store: Path) -> int:
    """Runs the job in a process that is killed; returns the count that it reached."""
    program = f"import kdlab; from tests.jobs.test_job import Counting; kdlab.run([{job!r}], store={str(store)!r})"
    process = subprocess.Popen([sys.executable, "-c", program])
    path = store / job.fingerprint / "count"
    while not path.is_file() or int(path.read_text()) < 3:
        assert process.poll() is None, "the process ended early"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return int(path.read_text())


def steps(events: list[Event]) -> list[int]:
    return [event.done for event in events if isinstance(event, Progress)]


def test_a_users_own_job_continues_after_a_kill_and_is_reused(tmp_path):
    job, first, second = Counting(100), [], []
    reached = killed_half_way(job, tmp_path)
    assert 3 <= reached < job.upto
    assert not (tmp_path / job.fingerprint / "result.json").exists()

    resumed = kdlab.run([job], store=tmp_path, on_event=first.append)
    assert steps(first) == list(range(reached + 1, job.upto + 1))
    assert (resumed["stages"][0]["reused"], resumed.folders["counting"]) == (False, tmp_path / job.fingerprint)

    reused = kdlab.run([Counting(100)], store=tmp_path, on_event=second.append)
    assert [type(event) for event in second] == [Finished]
    assert (second[0].reused, second[0].figures) == (True, {"count": 100, "start": reached})
    assert reused["stages"][0]["reused"]


def test_another_fingerprint_is_another_job(tmp_path):
    kdlab.run([Counting(2)], store=tmp_path)
    assert kdlab.run([Counting(3)], store=tmp_path)["stages"][0]["reused"] is False


def test_a_job_reads_the_folders_of_the_jobs_that_it_needs(tmp_path):
    job = Doubled(Counting(4))
    result = kdlab.run([job.of, job], store=tmp_path)
    assert [stage["name"] for stage in result["stages"]] == ["counting", "doubled"]
    events = []
    kdlab.run([job.of, job], store=tmp_path, on_event=events.append)
    assert [event.figures["count"] for event in events] == [4, 8]


def test_a_failure_is_an_event_and_an_error_and_the_job_stays_unfinished(tmp_path):
    job, events = Broken(2), []
    with pytest.raises(ArithmeticError, match="any further"):
        kdlab.run([job], store=tmp_path, on_event=events.append)
    assert [type(event) for event in events] == [Started, Progress, Progress, Failed]
    assert isinstance(events[-1].error, ArithmeticError)
    assert not (tmp_path / job.fingerprint / "result.json").exists()


class Diverging(Counting):
    kind = "count"

    def run(self, folder, inputs, emit):
        raise TrainingFailed("a number is not finite")


def test_the_error_of_a_failed_training_names_its_job(tmp_path):
    with pytest.raises(TrainingFailed, match=r"^Count counting: a number is not finite$"):
        kdlab.run([Diverging(2)], store=tmp_path)
