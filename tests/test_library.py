"""kdlab from Python: in any thread, without Hydra, and nothing of the process changed."""

import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
import safetensors.torch
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

import kdlab
from kdlab.errors import BadInput, Interrupted
from kdlab.jobs.events import Finished, Progress, Started
from tests.commands import finish, start
from tests.small import TINY

SHORT = [*TINY, "model.student.kwargs.dropout=0.3", "baseline=false"]
STAGES = ["teacher", "student"]

IN_A_THREAD = """
import json, sys, threading
import kdlab

def work():
    results.append(kdlab.run(kdlab.plan(config), store=sys.argv[2]))

with open(sys.argv[1]) as file:
    config = json.load(file)["config"]
results = []
thread = threading.Thread(target=work)
thread.start()
thread.join()
assert "hydra" not in sys.modules, sorted(name for name in sys.modules if name.startswith("hydra"))
print(results[0].student)
"""


def weights(folder):
    return (folder / "student.safetensors").read_bytes()


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """The result of an undisturbed run, and its events."""
    store, events = tmp_path_factory.mktemp("first"), []
    return kdlab.run(kdlab.plan(SHORT), store=store, on_event=events.append), events


@pytest.fixture
def store(first, tmp_path):
    """A store that has the teacher."""
    teacher = first[0].teacher
    shutil.copytree(teacher, tmp_path / "store" / teacher.name)
    return tmp_path / "store"


def test_a_thread_without_hydra_ends_with_the_bits_of_the_command_line(tmp_path):
    finish(start(tmp_path, SHORT))
    (result,) = tmp_path.glob("response-*/result.json")
    command = [sys.executable, "-c", IN_A_THREAD, str(result), str(tmp_path / "library")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (student,) = tmp_path.glob(f"library/{(result.parent / 'student').resolve().name}")
    assert done.stdout.split() == [str(student)]
    assert weights(student) == weights(result.parent / "student")


def test_events_come_in_order_for_each_job(first):
    _, events = first
    assert list(dict.fromkeys(event.job.name for event in events)) == STAGES
    for name, epochs in zip(STAGES, (1, 2), strict=True):
        begun, *under_way, ended = [event for event in events if event.job.name == name]
        assert (type(begun), type(ended), ended.reused) == (Started, Finished, False)
        assert {type(event) for event in under_way} == {Progress}
        done = [event.done for event in under_way]
        assert done == sorted(done) and set(done) == set(range(3 * epochs + 1))
        rows = [event.figures for event in under_way if event.figures]
        assert [row["epoch"] for row in rows] == list(range(1, epochs + 1))
        assert ended.figures == json.loads((ended.folder / "result.json").read_text())


def test_a_second_run_reuses_everything_and_trains_nothing(first):
    result, _ = first
    before, events = weights(result.student), []
    written = {path: path.stat().st_mtime_ns for path in result.student.parent.rglob("*")}
    again = kdlab.run(kdlab.plan(SHORT), store=result.student.parent, on_event=events.append)
    assert [(type(event), event.job.name, event.reused) for event in events] == [
        (Finished, name, True) for name in STAGES
    ]
    assert [stage["reused"] for stage in again["stages"]] == [True, True]
    assert (weights(again.student), again["student"]) == (before, result["student"])
    changed = {path for path in result.student.parent.rglob("*") if written.get(path) != path.stat().st_mtime_ns}
    assert changed <= {result.student.parent}


def test_the_student_of_a_result_loads(first):
    result, _ = first
    network = kdlab.load(result.student)
    images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    assert not network.training
    assert network(images).shape == (2, 10)
    stored = safetensors.torch.load_file(result.student / "student.safetensors")
    torch.testing.assert_close(dict(network.module.state_dict()), stored, rtol=0, atol=0)


def process_state():
    root = logging.getLogger()
    return {
        "torch": torch.get_rng_state().tolist(),
        "random": random.getstate(),
        "numpy": [part.tolist() if isinstance(part, np.ndarray) else part for part in np.random.get_state()],
        "threads": torch.get_num_threads(),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "logging": (list(root.handlers), root.level, logging.root.manager.disable),
        "warnings": list(warnings.filters),
        "dtype": torch.get_default_dtype(),
        "algorithms": (torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark),
        "gradients": torch.is_grad_enabled(),
        "excepthooks": (sys.excepthook, threading.excepthook),
    }


ALGORITHMS = ("+trainer.deterministic=true", "+trainer.benchmark=true")


@pytest.mark.parametrize(("interrupted", "overrides"), [(False, ()), (True, ()), (False, ALGORITHMS)])
def test_a_run_leaves_the_process_as_it_was(interrupted, overrides, first, store):
    def listen(event):
        if interrupted and isinstance(event, Progress) and event.done == 4:
            raise Interrupted("enough")

    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 2)  # the stages have one
    try:
        torch.manual_seed(5), random.seed(6), np.random.seed(7)
        before = process_state()
        if interrupted:
            with pytest.raises(Interrupted):
                kdlab.run(kdlab.plan(SHORT), store=store, on_event=listen)
        else:
            kdlab.run(kdlab.plan([*SHORT, *overrides]), store=store, on_event=listen)
        after = process_state()
    finally:
        torch.set_num_threads(threads)
    assert [name for name in before if after[name] != before[name]] == []


@pytest.mark.parametrize("at", [2, 3, 6])  # of 2 epochs of 3 steps: within the first, at its end, at the last step
def test_a_listener_ends_a_run_and_the_same_call_goes_on_to_the_same_bits(at, first, store):
    plan = kdlab.plan(SHORT)

    def listen(event):
        if isinstance(event, Progress) and event.done == at:
            raise Interrupted("enough")

    with pytest.raises(Interrupted, match="enough"):
        kdlab.run(plan, store=store, on_event=listen)
    events = []
    result = kdlab.run(plan, store=store, on_event=events.append)
    assert next(event.done for event in events if isinstance(event, Progress) and not event.figures) == at
    assert [stage["reused"] for stage in result["stages"]] == [True, False]
    assert weights(result.student) == weights(first[0].student)


def test_a_second_run_at_once_is_refused_and_the_first_ends_with_its_bits(first, store, tmp_path):
    under_way, refused, results = threading.Event(), threading.Event(), []

    def wait(event):
        if isinstance(event, Progress):
            under_way.set()
            assert refused.wait(60)

    thread = threading.Thread(
        target=lambda: results.append(kdlab.run(kdlab.plan(SHORT), store=store, on_event=wait)), daemon=True
    )
    thread.start()
    assert under_way.wait(60)
    with pytest.raises(BadInput) as seen:
        kdlab.run(kdlab.plan(["loss=ce", *SHORT]), store=tmp_path / "other")
    refused.set()
    thread.join()
    assert str(seen.value) == (
        "kdlab.run: another thread of this process is running a plan, and both would draw from torch's one generator "
        "and set its one number of threads. Wait for its end, or start a process for each run."
    )
    assert list((tmp_path / "other").iterdir()) == []
    assert weights(results[0].student) == weights(first[0].student)


def test_planning_leaves_a_hydra_of_the_users_own_as_it_was(tmp_path):
    (tmp_path / "mine.yaml").write_text("answer: 42\n")
    with initialize_config_dir(str(tmp_path), version_base="1.2", job_name="mine"):
        hydra = GlobalHydra.instance().hydra
        assert kdlab.plan(SHORT).student.network["name"] == "resnet8"
        with pytest.raises(BadInput, match="Did you mean epochs"):
            kdlab.plan(["epocs=3"])
        assert GlobalHydra.instance().hydra is hydra
        assert compose("mine") == {"answer": 42}
        assert compose("mine", return_hydra_config=True).hydra.job.name == "mine"
    kdlab.plan(SHORT)
    assert not GlobalHydra.instance().is_initialized()


def test_a_plan_is_the_same_from_overrides_and_from_the_config_of_a_result(first):
    assert kdlab.plan(first[0]["config"]).fingerprint == kdlab.plan(SHORT).fingerprint
