"""Every command of the README and of `docs/` is run, on a tiny budget."""

import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import torch
from PIL import Image

from kdlab import benchmark, compare, export, report, serve
from kdlab.benchmarking import measure, scaling
from kdlab.benchmarking.case import VARIANTS
from kdlab.benchmarking.measure import Timing
from kdlab.benchmarking.scaling import Scaling
from kdlab.cache import cache
from kdlab.config.compose import checked_overrides
from kdlab.doctor import doctor
from kdlab.jobs.export import settings
from kdlab.models.cifar import resnet56
from kdlab.reporting.analyse.calculator import Service
from kdlab.serving.settings import serve_settings
from kdlab.sweeps.cli import run
from kdlab.train import train
from tests.pages import PAGES, ROOT, blocks, commands
from tests.test_user_data import DATA, LOSS, MODULE

COMMANDS = list(dict.fromkeys(command for text in PAGES.values() for command in commands(text)))
TRAINING = [command for command in COMMANDS if command.startswith("python -m kdlab.train")]
TINY = ["hardware.threads=1", "debug=fast", "data.batch_size=8", "model.teacher.train.epochs=1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files that the README's reader has: pictures, a module of their own, published weights."""
    folder = tmp_path_factory.mktemp("readme")
    for label in ("cat", "dog"):
        for number in range(30):
            path = folder / "photos" / label / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (70, 70), (number * 8, 100, 100 if label == "cat" else 0)).save(path)
    (folder / "blobs.py").write_text(MODULE)
    for group, text in (("data", DATA), ("loss", LOSS)):
        (folder / "mine" / group).mkdir(parents=True)
        (folder / "mine" / group / "blobs.yaml").write_text(text)
    torch.save(resnet56(10).state_dict(), folder / "resnet56-4bfd9763.th")
    return folder


def test_there_are_commands_and_each_is_of_a_known_kind():
    own = (
        "kdlab.train",
        "kdlab.cache",
        "kdlab.evaluate",
        "kdlab.report",
        "kdlab.benchmark",
        "kdlab.export",
        "kdlab.compare",
        "kdlab.serve",
        "kdlab.doctor",
        "tests.recorded",
        "pytest",
    )
    kinds = (*(f"python -m {name}" for name in own), "make ")
    assert len(TRAINING) >= 10
    assert all(command.startswith(kinds) for command in COMMANDS)


def two_values(argument):
    """Of a list that a multirun varies, its first two values, and of epochs few: all of them compose elsewhere."""
    key, _, values = argument.partition("=")
    varied = re.fullmatch(r"[\w.]+(,[\w.]+)+", values)
    if key.endswith(".epochs"):
        return f"{key}=1,2" if varied else f"{key}=1"
    return f"{key}={','.join(values.split(',')[:2])}" if varied else argument


@pytest.mark.parametrize("command", [command for command in TRAINING if "kdlab.train -m" in command])
def test_a_multirun_composes_in_all_its_cells(command):
    """Those with a launcher run in test_launchers.py."""
    assert checked_overrides(shlex.split(command)[4:], multirun=True).multirun


@pytest.mark.parametrize("command", [command for command in TRAINING if "hydra/launcher" not in command])
def test_a_training_command_runs(command, folder, monkeypatch):
    if "cifar10" in command:
        pytest.skip("needs CIFAR-10, which is not downloaded here: see test_real_data.py and tests/data")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("WANDB_MODE", "offline")
    arguments = [two_values(word) for word in shlex.split(command)[3:] if not word.startswith("epochs=")]
    enough = ["epochs=4"] if "progressive" in command or "assistant" in command else []  # one for each step
    fewer = ["loss=ce"] if "ddp" in command else []  # one stage, in as many processes as there are ranks
    assert run(train, [*arguments, *TINY, *enough, *fewer]) == 0


@pytest.mark.parametrize("command", [command for command in COMMANDS if ".cache" in command])
def test_a_cache_is_filled(command, folder, monkeypatch, capsys):
    if "cifar10" in command:
        pytest.skip("needs CIFAR-10, which is not downloaded here: see test_real_data.py and tests/data")
    monkeypatch.chdir(folder)
    arguments = [argument for argument in shlex.split(command)[3:] if not argument.startswith("epochs=")]
    assert cache([*arguments, *TINY, "data.train_samples=16", "epochs=2"]) == 0
    assert "32 outputs (2.0 a sample)" in capsys.readouterr().out


@pytest.mark.parametrize("command", [command for command in COMMANDS if ".evaluate" in command])
def test_an_evaluation_runs(command, folder, monkeypatch, capsys):
    from kdlab.evaluate import main

    monkeypatch.chdir(folder)
    assert run(train, TINY) == 0
    run_dir = next(folder.glob("outputs/response-*"))
    arguments = re.sub(r"outputs/response-\w+", str(run_dir), command)
    monkeypatch.setattr(sys, "argv", shlex.split(arguments)[2:])
    assert main() == 0
    assert re.search("on 500 test (samples|images)", capsys.readouterr().out)


def test_reports_are_written(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "200")
    assert run(train, ["-m", *TINY, "+sweeps=temperature_alpha", "loss.alpha=0.5", "loss.temperature=2,4"]) == 0
    (sweep,) = folder.glob("outputs/temperature_alpha-*")
    for command in (command for command in COMMANDS if "kdlab.report" in command):
        arguments = re.sub(r"outputs/temperature_alpha-\w+", str(sweep), command)
        monkeypatch.setattr(sys, "argv", shlex.split(arguments)[2:])
        assert report.main() == 0
    assert (sweep / "report" / "index.html").is_file()
    assert (folder / "outputs" / "report" / "cells.csv").is_file()


@pytest.mark.parametrize(
    "command", [one for one in COMMANDS if ".benchmark" in one and not {"--inference", "--serve"} & set(one.split())]
)
def test_a_benchmark_shows_and_keeps_what_it_measured(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(measure, "measure", lambda *args: {one: Timing((0.1, 0.2), 10**8, 3.0) for one in VARIANTS})
    monkeypatch.setattr(scaling, "scaling", lambda *args: [Scaling("classes", (10, 100), "ms", {"x": (1.0, 2.0)})])
    monkeypatch.setattr(sys, "argv", shlex.split(command)[2:])
    assert benchmark.main() == 0
    printed = capsys.readouterr().out
    assert all(f"\n{variant} " in printed for variant in VARIANTS)
    assert [path.is_file() for path in tmp_path.glob("*.json")] == [True] * ("--json" in command)


@pytest.mark.parametrize("command", [one for one in COMMANDS if "kdlab.export" in one or "--inference" in one])
def test_an_export_and_its_measurement_compose(command, monkeypatch):
    """They run in test_export.py and test_benchmark.py; what an option needs may not be installed here."""
    monkeypatch.setattr(settings, "find_spec", lambda name: True)
    module = export if "kdlab.export" in command else benchmark
    args = module._command_line().parse_intermixed_args(shlex.split(command)[3:])
    if module is benchmark:
        benchmark._check(args)
    composed = export.export_settings(args.overrides)
    for given in (one for one in args.overrides if one.startswith("export.")):
        assert composed != export.export_settings([one for one in args.overrides if one != given])


@pytest.mark.parametrize("command", [command for command in COMMANDS if ".compare" in command])
def test_a_comparison_composes(command, monkeypatch):
    """It runs in test_compare.py; every setting that a page names changes something."""
    monkeypatch.setattr(settings, "find_spec", lambda name: True)
    args = compare._command_line().parse_intermixed_args(shlex.split(command)[3:])
    runs, overrides, given = compare.split(args.runs)
    assert all(run.startswith("outputs/") for run in runs)
    found = {**vars(compare.service_of(given)), "cascade": compare.cascade_targets(given.get("cascade", []))}
    assert all(found[key] != {**vars(Service()), "cascade": []}[key] for key in given)
    assert not overrides or export.export_settings(overrides) != export.export_settings([])


@pytest.mark.parametrize("command", [one for one in COMMANDS if "kdlab.serve" in one or "--serve" in one])
def test_a_server_and_its_load_are_understood(command):
    """They run in test_serve.py and in tests/serving."""
    module = serve if "kdlab.serve" in command else benchmark
    args = module._command_line().parse_intermixed_args(shlex.split(command, comments=True)[3:])
    assert serve_settings(args.overrides) if module is serve else args.serve.startswith("http://")


@pytest.mark.parametrize("command", [command for command in COMMANDS if ".doctor" in command])
def test_nothing_would_break_a_run_here(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert doctor(shlex.split(command)[3:]) == 0
    assert "torch" in capsys.readouterr().out


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("make ")])
def test_a_make_target_is_there(command):
    subprocess.run(
        ["make", "--dry-run", *shlex.split(command, comments=True)[1:]], cwd=ROOT, check=True, capture_output=True
    )


def test_a_loss_added_as_the_page_says_passes_every_check(tmp_path):
    (diff,) = blocks(PAGES["docs/own.md"], "diff")
    for folder in ("kdlab", "conf", "sweeps", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for part in diff.split("+++ ")[1:]:
        name, *lines = part.splitlines()
        (tmp_path / name).write_text("".join(f"{line.removeprefix('+')}\n" for line in lines))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    chosen = ["tests/losses/test_logit_l1.py", "tests/test_contract.py", "tests/test_configs.py"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", *chosen, "-k", "logit_l1 and not two_ranks"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 6
