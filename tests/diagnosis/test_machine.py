import os
import sys
from types import SimpleNamespace

import joblib
import pytest
import torch
from threadpoolctl import threadpool_limits

from kdlab.diagnosis import machine
from kdlab.diagnosis.machine import devices, threads


def shown(properties):
    return {one.name: (one.value, one.about) for one in properties}


@pytest.mark.parametrize(("usable", "about"), [(3, "of the machine's 8"), (8, "all of the machine")])
def test_cores_of_this_process_are_told_from_those_of_the_machine(usable, about, monkeypatch):
    monkeypatch.setattr(joblib, "cpu_count", lambda: usable)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert shown(devices())["CPU"] == (f"{usable} cores", about)


def test_each_gpu_has_its_memory_and_capability(monkeypatch):
    gpu = SimpleNamespace(name="NVIDIA T4", total_memory=15_800_000_000, major=7, minor=5)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: gpu)
    found = shown(devices())
    assert found["CUDA 1"] == ("NVIDIA T4", "15.8 GB, compute capability 7.5")
    assert "CUDA 0" in found and "CUDA" not in found


@pytest.mark.parametrize(
    ("built_for", "driver", "about"),
    [
        ("12.8", True, "torch is built for CUDA 12.8"),
        (None, True, "but there is one: this torch is built without CUDA"),
        (None, False, "torch is built without CUDA"),
    ],
)
def test_no_gpu_has_its_reason(built_for, driver, about, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.version, "cuda", built_for)
    (tmp_path / "version").touch()
    monkeypatch.setattr(machine, "DRIVER", tmp_path / ("version" if driver else "absent"))
    assert shown(devices())["CUDA"] == ("none", about)


def test_a_torch_that_cannot_be_imported_is_a_problem_and_no_traceback(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (problem,) = [one.problem for one in devices() if one.problem]
    assert problem.startswith("torch cannot be imported (") and "--force-reinstall" in problem
    assert "torch" not in shown(threads(None))


def test_threads_are_those_of_torch_the_environment_and_the_loaded_libraries(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with threadpool_limits(1, user_api="blas"):
        found = shown(threads(4))
    assert found["hardware.threads"][0] == "4" and shown(threads(None))["hardware.threads"][0] == "null"
    assert found["torch"][0] == str(torch.get_num_threads())
    assert (found["OMP_NUM_THREADS"][0], found["MKL_NUM_THREADS"][0]) == ("3", "not set")
    assert {found[name][0] for name in ("openblas", "mkl", "blis") if name in found} == {"1"}
