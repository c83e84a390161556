"""The same sweep under every launcher, on real workers: the same stages with the same bits, also when one is killed."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hydra.core.hydra_config import HydraConfig

from kdlab.runtime.sweep_records import read_cells
from kdlab.sweeps.cli import run
from kdlab.train import train
from tests.small import TINY

GRID = ["loss.temperature=2,4"]
OUTPUTS = "paths.outputs=outputs"  # relative: the same folder in every worker
LAUNCHERS = {
    "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    "submitit": ["hydra/launcher=submitit_local"],
    "ray": ["hydra/launcher=ray"],
}
INSTALLED = {
    "joblib": "hydra_plugins.hydra_joblib_launcher",
    "submitit": "hydra_plugins.hydra_submitit_launcher",
    "ray": "hydra_plugins.hydra_ray_launcher",
}


@pytest.fixture(scope="module")
def ray_cluster():
    """Two workers of a cluster on this machine, whose own folder is not that of any test."""
    ray = pytest.importorskip("ray", reason="the extra ray is not installed")
    memory = 80 * 1024**2
    ray.init(num_cpus=2, object_store_memory=memory, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def launcher(request, tmp_path, monkeypatch):
    """The overrides that choose one, typed in a folder of their own."""
    pytest.importorskip(INSTALLED[request.param], reason=f"the launcher {request.param} is not installed")
    if request.param == "ray":
        request.getfixturevalue("ray_cluster")
    monkeypatch.chdir(tmp_path)
    return LAUNCHERS[request.param]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Every stage of the sweep as the basic launcher trains it."""
    folder = tmp_path_factory.mktemp("basic")
    assert run(train, ["-m", *TINY, *GRID, f"paths.outputs={folder}"]) == 0
    return stages(folder)


def stages(outputs: Path) -> dict[str, dict[str, torch.Tensor]]:
    """Weights by fingerprint."""
    files = outputs.glob("store/*/student.safetensors")
    return {path.parent.name: safetensors.torch.load_file(path) for path in files}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for fingerprint, weights in expected.items():
        torch.testing.assert_close(found[fingerprint], weights, rtol=0, atol=0)


def cells(outputs: Path):
    (folder,) = outputs.glob("sweep-*")
    return read_cells(folder)


@pytest.mark.parametrize("launcher", ["submitit"], indirect=True)  # the others: below, with a worker killed
def test_other_processes_train_the_same_bits(launcher, expected, tmp_path):
    assert run(train, ["-m", *launcher, *TINY, *GRID, OUTPUTS]) == 0
    assert_same(stages(tmp_path / "outputs"), expected)
    done = cells(tmp_path / "outputs").values()
    assert [cell.status for cell in done] == ["finished"] * 2
    assert os.getpid() not in {cell.pid for cell in done}


@pytest.mark.parametrize("launcher", ["joblib", "ray"], indirect=True)
def test_a_worker_has_the_folder_the_modules_and_the_threads_of_its_parent_process(launcher, tmp_path, monkeypatch):
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "only_here.py").write_text("ANSWER = 42\n")
    monkeypatch.syspath_prepend(modules)

    def task(cfg):
        from only_here import ANSWER

        seen = [os.getcwd(), ANSWER, torch.get_num_threads(), cfg.loss.terms.ce.weight]
        Path(f"seen-{HydraConfig.get().job.num}.json").write_text(json.dumps(seen))

    before = torch.get_num_threads()
    torch.set_num_threads(before + 3)
    try:
        assert run(task, ["-m", *launcher, OUTPUTS, "loss.alpha=0.25,0.5"]) == 0
    finally:
        torch.set_num_threads(before)
    for number, weight in enumerate((0.75, 0.5)):
        assert json.loads(Path(f"seen-{number}.json").read_text()) == [str(tmp_path), 42, before + 3, weight]


class Killer(threading.Thread):
    """Kills the first worker that has trained the stage that all cells share."""

    def __init__(self, outputs: Path) -> None:
        super().__init__(daemon=True)
        self.outputs, self.killed = outputs, None

    def run(self) -> None:
        while self.killed is None:
            time.sleep(0.005)
            for path in self.outputs.glob("sweep-*/cells/[0-9].json"):
                record = json.loads(path.read_text())
                if record["status"] == "running" and record["pid"] != os.getpid() and self.begun():
                    os.kill(record["pid"], signal.SIGKILL)
                    self.killed = record["pid"]
                    return

    def begun(self) -> bool:
        return any(self.outputs.glob("store/*/result.json"))


@pytest.mark.parametrize("launcher", ["joblib", "ray"], indirect=True)
def test_a_killed_worker_costs_only_time(launcher, expected, tmp_path, capsys):
    killer = Killer(tmp_path / "outputs")
    killer.start()
    assert run(train, ["-m", *launcher, *TINY, *GRID, OUTPUTS]) == 0
    killer.join(timeout=1)
    assert killer.killed
    assert_same(stages(tmp_path / "outputs"), expected)
    done = cells(tmp_path / "outputs").values()
    assert [cell.status for cell in done] == ["finished"] * 2
    by_us = capsys.readouterr().out.count("a worker was lost")
    assert by_us == (1 if "joblib" in launcher[0] else 0)  # Ray starts a lost task again itself


@pytest.mark.parametrize("launcher", ["joblib"], indirect=True)
def test_two_ranks_within_parallel_cells_train_what_they_train_in_one_run(launcher, expected, tmp_path):
    teacher = next(weights for weights in expected.values() if len(weights["fc.weight"][0]) == 8)
    safetensors.torch.save_file(teacher, tmp_path / "teacher.safetensors")
    ranks = ["hardware=ddp", "trainer.devices=2", "trainer.accelerator=cpu"]
    ranks += [
        "hardware.threads=1",
        "epochs=1",
        f"model.teacher.checkpoint={tmp_path}/teacher.safetensors",
        "baseline=false",
    ]
    assert run(train, [*TINY, *ranks, "loss.temperature=2", "paths.outputs=single"]) == 0
    assert run(train, ["-m", *launcher, *TINY, *ranks, *GRID, OUTPUTS]) == 0
    together, single = stages(tmp_path / "outputs"), stages(tmp_path / "single")
    assert len(together) == len(single) + 1
    assert_same({name: together[name] for name in single}, single)
