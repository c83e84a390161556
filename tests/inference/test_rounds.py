"""Rounds of processes: what each is given, in which order, and what becomes of those that fail."""

import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from kdlab.inference import rounds
from kdlab.inference.rounds import Variant, calls, key_of, measure
from kdlab.inference.row_log import RowLog
from kdlab.inference.summary import summaries
from tests.inference.tiny import LABELS, write_inputs, write_tiny

VARIANTS = [Variant(name, f"{name}.onnx", "onnxruntime", batch, 2) for name in ("a", "b", "c") for batch in (1, 8)]
INPUTS = {"inputs": "images.npz", "bare_inputs": None}


class Processes:
    """In place of `subprocess.run`: notes each job, and ends as told."""

    def __init__(self):
        self.jobs, self.environments, self.ends = [], [], {}

    def __call__(self, command, input, env, **options):
        job = json.loads(input)
        self.jobs.append(job)
        self.environments.append(env)
        ends = self.ends.get(job["name"], [])
        code, errors = ends.pop(0) if ends else (0, "")
        return subprocess.CompletedProcess(command, code, json.dumps({"p50": 1.0}), errors)


@pytest.fixture
def processes(monkeypatch):
    fake = Processes()
    monkeypatch.setattr(rounds.subprocess, "run", fake)
    return fake


def test_real_processes_measure_a_real_file_in_onnx_runtime(tmp_path):
    artifact, bare = write_tiny(tmp_path / "tiny.onnx"), write_tiny(tmp_path / "bare.onnx", prepares=False)
    variants = [
        Variant("tiny", artifact, "onnxruntime", 4, 1, bare),
        Variant("absent", str(tmp_path / "absent.onnx"), "onnxruntime", 1, 1),
    ]
    rows = measure(variants, 1, {**write_inputs(tmp_path), "labels": LABELS})
    absent, tiny = summaries(rows)
    assert "NoSuchFile" in absent["error"] and "\n" not in absent["error"]
    assert 0 < tiny["bare_p50"] < 0.1 and 0 < tiny["p50"] < 0.1
    assert 20e6 < tiny["memory_bytes"] < 500e6 and 0.05 < tiny["cold_start"] < 60
    assert [row["agreement"] for row in rows if "agreement" in row] == [100]


def test_each_variant_runs_once_in_each_round_and_the_order_changes(processes):
    rows = measure(VARIANTS, 3, INPUTS)
    assert Counter(map(key_of, rows)) == {variant.key: 3 for variant in VARIANTS}
    orders = [[key_of(row) for row in rows if row["round"] == number] for number in range(3)]
    assert all(len(set(order)) == len(VARIANTS) for order in orders)
    assert len(set(map(tuple, orders))) == 3


@pytest.mark.parametrize(("batch", "least"), [(1, (50, 300)), (8, (5, 37)), (128, (5, 20))])
def test_warm_up_and_calls_are_as_many_as_promised(batch, least):
    warmup, timed = calls(batch)
    assert warmup >= least[0] and timed >= least[1]


def test_every_library_of_a_process_has_its_number_of_threads(processes, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    measure(VARIANTS[:1], 1, INPUTS)
    (environment,) = processes.environments
    assert {environment[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")} == {"2"}
    assert processes.jobs[0]["threads"] == 2


def test_the_package_is_found_whatever_the_working_directory_is(processes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    measure(VARIANTS[:1], 1, INPUTS)
    (environment,) = processes.environments
    folder, module = environment["PYTHONPATH"], rounds.PROCESS.replace(".", os.sep)
    assert os.path.isfile(os.path.join(folder, f"{module}.py"))


def test_a_process_that_is_killed_is_started_once_more(processes):
    processes.ends = {"a": [(-9, "a warning")], "b": [(-9, ""), (-9, "")]}
    rows = measure([VARIANTS[0], VARIANTS[2]], 1, INPUTS)
    found = {row["name"]: row for row in rows}
    assert found["a"]["p50"] == 1.0
    assert found["b"]["error"] == "the process was killed by SIGKILL"
    assert len(processes.jobs) == 4


def test_a_process_that_fails_has_its_last_words_and_is_not_repeated(processes):
    processes.ends = {"a": [(1, "Traceback\nImportError: no onnxruntime\n")], "b": [(3, "")]}
    rows = measure([VARIANTS[0], VARIANTS[2]], 1, INPUTS)
    found = {row["name"]: row["error"] for row in rows}
    assert found == {"a": "ImportError: no onnxruntime", "b": "the process ended with exit code 3"}
    assert len(processes.jobs) == 2


def test_an_interrupted_measurement_continues_and_measures_again_what_failed(processes, tmp_path):
    class Stop(Exception):
        pass

    log = RowLog(tmp_path / "rounds.jsonl")
    processes.ends = {"a": [(1, "interrupted")]}

    def stop_after_five(row):
        log.add(row)
        if len(processes.jobs) == 5:
            raise Stop

    with pytest.raises(Stop):
        measure(VARIANTS, 2, INPUTS, log.rows, stop_after_five)
    with log.file.open("a") as file:
        file.write('{"round": 0, "name": "a", "p5')  # killed while it wrote
    again = RowLog(log.file)
    assert len(again.rows) == 4
    rows = measure(VARIANTS, 2, INPUTS, again.rows, again.add)
    assert Counter(map(key_of, rows)) == {variant.key: 2 for variant in VARIANTS}
    assert len(processes.jobs) == 5 + 8
    assert sorted(map(str, RowLog(log.file).rows)) == sorted(map(str, rows))


def test_ctrl_c_is_for_the_parent(monkeypatch, tmp_path):
    """A terminal sends it to parent and child alike: a child that it ends would be a failure of its artifact."""
    script = (
        "import os, signal, sys; from kdlab.inference import process;"
        "process.measured = lambda job: (os.kill(os.getpid(), signal.SIGINT), {'done': 1})[1]; process.main()"
    )
    found = subprocess.run([sys.executable, "-c", script], input="{}", capture_output=True, text=True, check=False)
    assert json.loads(found.stdout) == {"done": 1}
