"""Slots of named GPUs, claimed by real processes; no GPU is needed."""

import multiprocessing
import os
import signal
import threading
import time
from contextlib import ExitStack
from itertools import accumulate

import pytest

from kdlab.jobs.training import gpus, stage
from kdlab.jobs.training.gpus import claimed_slot, on_free_gpu
from kdlab.runtime.executor import run_or_reuse
from kdlab.screen.run import Screen
from kdlab.store.store import Store
from tests.small import tiny_plan

FORK = multiprocessing.get_context("fork")
ONE = FORK.Barrier(1)


def work(folder, names, jobs, seconds, log, *, ready):
    ready.wait()
    with claimed_slot(folder, names, jobs, on_wait=lambda: None) as gpu:
        log.put((time.monotonic(), names[gpu], 1))
        time.sleep(seconds)
        log.put((time.monotonic(), names[gpu], -1))


def started(folder, names, jobs, seconds, log, *, ready=ONE):
    process = FORK.Process(target=work, args=(folder, names, jobs, seconds, log), kwargs={"ready": ready})
    process.start()
    return process


@pytest.mark.parametrize(("names", "jobs"), [(["A"], 1), (["A"], 3), (["A", "B"], 2)])
def test_processes_that_compete_share_every_gpu_and_never_more_than_allowed(names, jobs, tmp_path):
    log, count = FORK.SimpleQueue(), 8
    ready = FORK.Barrier(count)  # on a busy machine the first would end before the last starts
    processes = [started(tmp_path, names, jobs, 0.1, log, ready=ready) for _ in range(count)]
    events = sorted(log.get() for _ in range(2 * count))
    for process in processes:
        process.join()
    for name in names:
        at_once = list(accumulate(change for _, gpu, change in events if gpu == name))
        assert 0 < max(at_once) <= jobs
        assert at_once[-1] == 0


def test_the_emptiest_gpu_comes_first(tmp_path):
    waits = []
    with ExitStack() as claims:
        slots = [claims.enter_context(claimed_slot(tmp_path, "AB", 2, lambda: waits.append(1))) for _ in range(4)]
    assert slots == [0, 1, 0, 1]
    assert waits == []


def test_the_same_gpu_has_one_lock_whatever_its_index_in_a_process(tmp_path):
    with (
        claimed_slot(tmp_path, ["A", "B"], 1, lambda: None),
        claimed_slot(tmp_path, ["B", "A"], 1, lambda: None) as gpu,
    ):
        assert gpu == 0  # B: A is taken


def test_the_slot_of_a_killed_owner_is_free_and_a_wait_is_reported_once(tmp_path):
    log, waits = FORK.SimpleQueue(), []
    owner = started(tmp_path, ["A"], 1, 600, log)
    log.get()

    def kill():
        waits.append("wait")
        os.kill(owner.pid, signal.SIGKILL)

    began = time.monotonic()
    with claimed_slot(tmp_path, ["A"], 1, kill) as gpu:
        assert gpu == 0
    owner.join()
    assert waits == ["wait"]
    assert time.monotonic() - began < 10


def test_a_failure_releases_the_slot(tmp_path):
    with pytest.raises(ZeroDivisionError), claimed_slot(tmp_path, ["A"], 1, lambda: None):
        raise ZeroDivisionError
    with claimed_slot(tmp_path, ["A"], 1, lambda: pytest.fail("it is still taken")):
        pass


def test_a_stage_gets_the_free_gpu_and_keeps_its_fingerprint(tmp_path, monkeypatch):
    stage = tiny_plan("hardware.jobs_per_gpu=1").student
    monkeypatch.setattr(gpus, "accelerator", lambda stage: "cuda")
    monkeypatch.setattr(gpus, "_names", lambda: ["A", "B"])
    with claimed_slot(tmp_path, ["A"], 1, lambda: None), on_free_gpu(stage, tmp_path, lambda: None) as assigned:
        assert assigned.trainer["devices"] == [1]
        assert assigned.fingerprint == stage.fingerprint


def test_a_plan_trains_its_stages_on_the_free_gpu_and_prints_that_it_waits(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpus, "accelerator", lambda stage: "cuda")
    monkeypatch.setattr(gpus, "_names", lambda: ["A", "B"])
    trained = []

    def train(stage, folder, teachers, specs, **options):
        trained.append((stage.name, stage.trainer["devices"]))
        return {"epochs": 1, "seconds": 0, "test/accuracy": 0, "teacher_forwards": 0, "teacher_recalls": 0}

    monkeypatch.setattr(stage, "train", train)
    store, teacher = Store(tmp_path), tiny_plan("hardware.jobs_per_gpu=1").teacher
    first, second = (claimed_slot(tmp_path, [name], 1, lambda: None) for name in "AB")
    with first:
        second.__enter__()
        threading.Timer(0.5, lambda: second.__exit__(None, None, None)).start()
        run_or_reuse(teacher, store, Screen())
    assert trained == [("teacher", [1])]
    assert (
        capsys.readouterr().out.count("teacher    waits for a GPU: each already trains 1 (hardware.jobs_per_gpu)") == 1
    )


@pytest.mark.parametrize("override", ["hardware.jobs_per_gpu=1", "hardware.jobs_per_gpu=null"])
def test_without_cuda_nothing_is_claimed(override, tmp_path):
    stage = tiny_plan(override).student  # hardware=cpu
    with on_free_gpu(stage, tmp_path, lambda: None) as assigned:
        assert assigned is stage
    assert not list(tmp_path.iterdir())
