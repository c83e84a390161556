"""What one measuring process does, with an engine that notes what happens to it."""

import gc
import io
import json
import sys
import time
import weakref

import numpy as np
import pytest

from kdlab.inference import machine, process
from kdlab.inference.engines import ENGINES
from tests.inference.tiny import IMAGES, LABELS, write_inputs


class Opened:
    """An artifact in the engine, and the inputs of its calls."""

    def __init__(self, engine, path, threads, batch):
        self.named = (path, threads, batch)
        self.inputs = []
        self.others = [one for one in engine.alive if one() is not None]
        engine.alive.append(weakref.ref(self))
        engine.opened.append((self.named, self.inputs, self.others))

    def __call__(self, inputs):
        self.inputs.append(inputs)
        (array,) = inputs.values()
        return array.astype(np.float32).mean((2, 3))


class Engine:
    def __init__(self):
        self.alive, self.opened = [], []

    def __call__(self, path, threads, batch):
        return Opened(self, path, threads, batch)


@pytest.fixture
def engine(monkeypatch):
    noted = Engine()
    monkeypatch.setitem(ENGINES, "noting", noted)
    return noted


@pytest.fixture
def job(tmp_path):
    own = {"artifact": "a.onnx", "bare": "bare.onnx", "engine": "noting", "threads": 3, "batch": 2}
    counts = {"warmup": 5, "calls": 7, "energy": []}
    return {**own, **counts, **write_inputs(tmp_path), "started": time.monotonic() - 100}


def test_calls_are_counted_and_the_bare_network_is_run_in_the_same_way(engine, job):
    figures = process.measured(job)
    (whole, calls, _), (bare, bare_calls, _) = engine.opened
    assert whole == ("a.onnx", 3, 2) and bare == ("bare.onnx", 3, 2)
    assert len(calls) == 1 + 5 + 7 and len(bare_calls) == 5 + 7
    assert figures["calls"] == 7
    assert 100 < figures["cold_start"] < 110
    assert 0 < figures["p50"] <= figures["p95"] <= figures["p99"]
    assert figures["bare_p50"] > 0 and figures["joules"] is None


def test_the_first_engine_is_closed_before_the_bare_network_is_opened(engine, job):
    gc.disable()
    try:
        process.measured(job)
    finally:
        gc.enable()
    assert [others for *_, others in engine.opened] == [[], []]


@pytest.mark.parametrize("size", [1, 2, 4, 9])
def test_a_batch_has_the_first_images_and_repeats_them_where_there_are_fewer(size, job):
    batch = process._batch(np, job["inputs"], size)["images"]
    assert np.array_equal(batch, np.concatenate([IMAGES] * 3)[:size])


def test_a_small_batch_does_not_keep_the_other_images_in_memory(job):
    batch = process._batch(np, job["inputs"], 1)["images"]
    assert batch.base is None or batch.base.nbytes == batch.nbytes


def test_the_share_of_labels_that_are_the_students_is_found(engine, job):
    wrong = [(LABELS[0] + 1) % 3, *LABELS[1:]]
    assert process.measured({**job, "labels": LABELS})["agreement"] == 100
    assert process.measured({**job, "labels": wrong, "batch": 4})["agreement"] == 75
    assert "agreement" not in process.measured(job)


def test_joules_are_of_all_processors_also_where_a_counter_begins_again(tmp_path, monkeypatch):
    for name, limit in (("intel-rapl:0", 1000), ("intel-rapl:1", 5000), ("intel-rapl:0:0", 9)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "energy_uj").write_text("990" if limit == 1000 else "100")
        (tmp_path / name / "max_energy_range_uj").write_text(str(limit))
    monkeypatch.setattr(machine, "COUNTERS", tmp_path)
    counters, _ = machine.energy_counters()
    assert [one.parent.name for one in counters] == ["intel-rapl:0", "intel-rapl:1"]
    before = machine.microjoules(list(map(str, counters)))
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("40")  # 50 more, by way of 1000
    (tmp_path / "intel-rapl:1" / "energy_uj").write_text("700")
    assert machine.joules(before, machine.microjoules(list(before))) == pytest.approx(650e-6)


def test_energy_is_null_with_its_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "COUNTERS", tmp_path)
    assert machine.energy_counters() == ([], f"this machine has no energy counter in {tmp_path}")
    assert machine.machine()["energy"] == f"this machine has no energy counter in {tmp_path}"


def test_peak_memory_is_that_of_the_process_and_falls_back_where_the_system_does_not_say(tmp_path, monkeypatch):
    status = tmp_path / "status"
    status.write_text("VmPeak: 9 kB\nVmHWM:     2048 kB\n")
    monkeypatch.setattr(process, "STATUS", status)
    assert process._peak_memory() == 2048 * 1024
    status.write_text("Name: python\n")
    assert process._peak_memory() > 10e6


def test_an_engine_that_fails_is_one_line_of_the_reply(engine, job, monkeypatch):
    def fail(path, threads, batch):
        raise ValueError("bad model\nand a graph of many lines")

    monkeypatch.setitem(ENGINES, "noting", fail)
    reply = io.StringIO()
    monkeypatch.setattr(process.os, "fdopen", lambda descriptor, mode: reply)
    monkeypatch.setattr(process.os, "dup2", lambda *descriptors: None)
    monkeypatch.setattr(process.signal, "signal", lambda *handler: None)
    monkeypatch.setattr(reply, "close", lambda: None)
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(job)))
    process.main()
    assert json.loads(reply.getvalue()) == {"error": "ValueError: bad model"}
