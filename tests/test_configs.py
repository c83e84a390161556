"""Every file under conf/ and sweeps/: it composes, what it names can be made, and the commands in its head work."""

import inspect
import re
import shlex
from pathlib import Path

import pytest
import yaml
from hydra.utils import get_object
from omegaconf import OmegaConf

from kdlab import __main__
from kdlab.config.compose import checked_overrides, compose_config
from kdlab.config.folders import CONF, ROOT
from kdlab.sweeps.cli import run
from kdlab.sweeps.question import asked_sweep

OPTIONS = sorted(
    path.relative_to(CONF).with_suffix("").as_posix()
    for path in CONF.rglob("*.yaml")
    if path.parent != CONF and not path.stem.startswith("_") and path.parts[len(CONF.parts)] != "network"
    if path.parent.name != "base"
)
SWEEPS = sorted(path.stem for path in (ROOT / "sweeps").glob("*.yaml"))
NEEDED = {"data=image_folder": ["data.root=photos"]}  # what has no default
LATER = {"params", "optimizer", "total_steps"}  # what a `_partial_` gets when it is used


def composed(*overrides):
    needed = [more for override in overrides for more in NEEDED.get(override, [])]
    return compose_config([*overrides, *needed])


def targets(node, path=""):
    """Every node with a `_target_`, by its place in the config."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield path, node
        for name, child in node.items():
            yield from targets(child, f"{path}.{name}".lstrip("."))


def bind(settings):
    signature = inspect.signature(get_object(settings["_target_"]))
    given = {name: value for name, value in settings.items() if name not in ("_target_", "_partial_")}
    later = LATER & set(signature.parameters) - set(given) if settings.get("_partial_") else set()
    signature.bind(**given, **dict.fromkeys(later))


def commands(text):
    """What the comments of a file say to type, without what comes after a wide gap."""
    return [re.split(r"\s{3,}", line)[0] for line in re.findall(r"#.*?(python -m kdlab\..*)", text)]


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_composes_and_its_targets_take_their_arguments(option):
    group, _, name = option.rpartition("/")
    cfg = composed(f"{group}={name}")
    plain = OmegaConf.to_container(cfg, resolve=False)
    found = {path: node for path, node in targets(plain) if not path.startswith(("plan", "loss.terms"))}
    assert {"optimizer", "scheduler", "data", "loss", "model.teacher.train.optimizer"} <= set(found)
    for node in found.values():
        bind(node)
    assert callable(get_object(cfg.plan._target_))


@pytest.mark.parametrize("sweep", SWEEPS)
def test_every_sweep_composes_and_asks_a_question(sweep):
    first_line = (ROOT / "sweeps" / f"{sweep}.yaml").read_text().splitlines()[0]
    checked = checked_overrides([f"+sweeps={sweep}"])
    asked = asked_sweep(checked.multirun, checked.config)
    assert asked.name == sweep
    assert first_line.endswith("?")
    assert first_line == f"# {asked.question}"


def test_hydra_takes_a_sweeps_file_that_adds_keys(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cells = []
    assert run(lambda cfg: cells.append(OmegaConf.to_container(cfg.plan)), ["+sweeps=cascade_vs_direct"]) == 0
    assert [cell["_target_"].rpartition(".")[2] for cell in cells] == ["single", "assistant", "progressive"]
    assert {cell["last"] for cell in cells} == {"student"}


@pytest.mark.parametrize("path", [*CONF.rglob("*.yaml"), *(ROOT / "sweeps").glob("*.yaml")], ids=lambda path: path.stem)
def test_the_commands_in_the_head_of_a_file_compose(path):
    for line in commands(path.read_text()):
        module, *arguments = shlex.split(line.removeprefix("python -m kdlab."))
        assert module in __main__.COMMANDS
        overrides = [argument for argument in arguments if argument != "-m"]
        checked_overrides(overrides, multirun="-m" in arguments)


@pytest.mark.parametrize("path", [*CONF.rglob("*.yaml"), *(ROOT / "sweeps").glob("*.yaml")], ids=lambda path: path.stem)
def test_every_file_opens_with_the_command_that_runs_it(path):
    """But for presets and networks, of which the name says all, and for files that others are made of."""
    text = path.read_text()
    is_part = path.stem.startswith("_") or path.parent.name in ("base", "network", "teacher", "student")
    is_preset = set(yaml.safe_load(text) or {}) == {"defaults"}
    if not is_part and not is_preset:
        assert commands("\n".join(text.splitlines()[:6])), path


def test_options_are_all_found():
    assert {"model/teacher/resnet56", "model/resnet56_resnet8", "data/digits", "loss/response"} <= set(OPTIONS)
    assert len(OPTIONS) == len(set(OPTIONS)) > 40
    assert Path(CONF, "train.yaml").is_file()
