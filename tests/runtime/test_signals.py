"""Ctrl-C and SIGTERM under the train command: the state is saved, whenever they arrive."""

import signal

import pytest

from kdlab.errors import Interrupted
from kdlab.jobs.events import Finished, Progress, Started
from kdlab.runtime.signals import SIGNALS, StopOnSignal
from kdlab.screen.run import Screen
from kdlab.sweeps.cli import run
from kdlab.train import train
from tests.jobs.test_job import Counting
from tests.small import TINY

STUDENT = [*TINY, "loss=ce", "model.student.kwargs.dropout=0.3"]  # 2 epochs of 3 steps
JOB = Counting(1)


@pytest.fixture(autouse=True)
def as_in_a_terminal():
    """Installs Python's own SIGINT handler, which processes that a shell starts in the background do not have."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    assert run(train, [*STUDENT, f"paths.outputs={folder}"]) == 0
    return weights(folder)


def weights(folder):
    (path,) = folder.glob("ce-*/student/student.safetensors")
    return path.read_bytes()


@pytest.fixture
def listening(monkeypatch, tmp_path):
    """A folder for outputs, and a function that registers a listener; it is called before the signal listener."""

    def listen(function):
        monkeypatch.setattr(Screen, "__call__", lambda self, event: function(event))

    return tmp_path, listen


def steps_of(events):
    return [event.done for event in events if isinstance(event, Progress) and event.total and not event.figures]


def in_training(events):
    return steps_of(events)[-1:] == [4]


def in_the_last_step(events):
    return steps_of(events)[-1:] == [6]


def in_evaluation(events):
    return isinstance(events[-1], Progress) and steps_of(events)[-1:] == [6] and events[-1].total is None


@pytest.mark.parametrize(
    ("signals_at", "remaining"),
    [
        (([signal.SIGINT], in_training), [4, 5, 6]),
        (([signal.SIGTERM], in_training), [4, 5, 6]),
        (([signal.SIGINT] * 2, in_training), [3, 4, 5, 6]),  # at once: back to the last epoch
        (([signal.SIGINT], in_the_last_step), []),
        (([signal.SIGINT], in_evaluation), []),
        (([signal.SIGINT] * 2, in_evaluation), []),
    ],
    ids=["Ctrl-C", "SIGTERM", "twice", "in the last step", "in the evaluation", "twice in the evaluation"],
)
def test_the_command_ends_with_130_and_then_continues_to_the_same_bits(
    signals_at, remaining, uninterrupted, listening, capfd
):
    folder, listen = listening
    arguments, events = [*STUDENT, f"paths.outputs={folder}"], []
    signals, moment = list(signals_at[0]), signals_at[1]
    handlers = [signal.getsignal(one) for one in SIGNALS]

    def press(event):
        events.append(event)
        while signals and moment(events):
            signal.raise_signal(signals.pop())

    listen(press)
    assert run(train, arguments) == 130
    printed = capfd.readouterr().err
    assert "the same command continues" in printed
    assert "Traceback" not in printed
    assert [signal.getsignal(one) for one in SIGNALS] == handlers
    assert not any(isinstance(event, Finished) for event in events)

    again = []
    listen(again.append)
    assert run(train, arguments) == 0
    assert steps_of(again) == remaining
    assert weights(folder) == uninterrupted


def test_a_job_that_does_not_report_is_ended_at_once():
    with StopOnSignal() as stop:
        stop(Started(JOB, None))
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_job_that_reports_is_ended_at_its_next_event():
    with StopOnSignal() as stop:
        stop(Progress(JOB, 1))
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Interrupted, match="what was reached is saved; the same command continues it"):
            stop(Progress(JOB, 2))
