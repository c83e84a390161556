"""Every file under conf/ and sweeps/: it composes, its targets can be built, and the commands in its head work."""

import inspect
import re
import shlex
from pathlib import Path

import pytest
import yaml
from hydra.types import RunMode
from hydra.utils import get_object
from omegaconf import OmegaConf

from kdlab import __main__
from kdlab.config.compose import checked_overrides, compose_config, hydra_app
from kdlab.config.folders import CONF, ROOT
from kdlab.errors import BadInput
from kdlab.settings.old_names import OLD_NAMES
from kdlab.sweeps.cli import run
from kdlab.sweeps.question import sweep_of
from kdlab.sweeps.search.conclusion import shared_settings
from kdlab.sweeps.search.sweeper import use_sweeper

NETWORKS = sorted(path.stem for path in (CONF / "network").glob("*.yaml"))
SIDES = ("model/teacher", "model/student")
FILES = {
    path.relative_to(CONF).with_suffix("").as_posix()
    for path in CONF.rglob("*.yaml")
    if path.parent != CONF and not path.stem.startswith("_") and path.parts[len(CONF.parts)] != "network"
    if path.parent.name not in ("base", "details")
}
OLD = {f"{group}/{name}" for group, names in OLD_NAMES.items() for name in names}
OPTIONS = sorted(FILES - OLD | {f"{side}/{name}" for side in SIDES for name in NETWORKS})
SWEEPS = sorted(path.stem for path in (ROOT / "sweeps").glob("*.yaml"))
NEEDED = {"data=image_folder": ["data.root=photos"], "data=npz": ["data.file=mine.npz"]}  # what has no default
LATER = {"params", "optimizer", "total_steps"}  # what a `_partial_` gets when it is used


def composed(*overrides):
    needed = [more for override in overrides for more in NEEDED.get(override, [])]
    return compose_config([*overrides, *needed])


def targets(node, path=""):
    """Every node with a `_target_`, by its key in the config."""
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
    """The commands in the comments of a file, without what comes after a wide gap."""
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
def test_every_sweep_composes_and_has_a_question(sweep):
    first_line = (ROOT / "sweeps" / f"{sweep}.yaml").read_text().splitlines()[0]
    use_sweeper()
    checked = checked_overrides([f"+sweeps={sweep}"])
    composed_sweep = sweep_of(checked.multirun, checked.config)
    assert composed_sweep.name == sweep
    assert first_line.endswith("?")
    assert first_line == f"# {composed_sweep.question}"


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
        overrides = [argument for argument in arguments if "=" in argument]  # not -m, and no run directory
        checked_overrides(overrides, multirun="-m" in arguments)


@pytest.mark.parametrize("path", [*CONF.rglob("*.yaml"), *(ROOT / "sweeps").glob("*.yaml")], ids=lambda path: path.stem)
def test_every_file_opens_with_the_command_that_runs_it(path):
    """Except presets and networks, which their names describe, and files that others are made of."""
    text = path.read_text()
    is_part = path.stem.startswith("_") or path.parent.name in ("base", "network", "details", "teacher", "student")
    if not is_part and set(yaml.safe_load(text)) != {"defaults"}:  # a preset has nothing else
        assert commands("\n".join(text.splitlines()[:6])), path


def test_options_are_all_found():
    assert {"model/teacher/resnet56", "model/resnet56_resnet8", "data/digits", "loss/response"} <= set(OPTIONS)
    assert len(OPTIONS) == len(set(OPTIONS)) > 40
    assert Path(CONF, "train.yaml").is_file()


def test_a_pair_brings_the_rate_at_which_its_student_learns():
    """SmallCNN on 64-pixel CIFAR-10: not finite in the sixth epoch at 0.1, unsteady at 0.05, steady at 0.02."""
    cfg = composed("model=resnet18_smallcnn")
    assert (cfg.optimizer.lr, cfg.scheduler.max_lr) == (0.02, 0.02)
    assert cfg.model.teacher.train.optimizer.lr == 0.1
    assert composed("model=resnet18_smallcnn", "optimizer.lr=0.05").optimizer.lr == 0.05
    assert composed("model=resnet18_smallcnn", "optimizer=adamw").optimizer.lr == 0.001


def test_there_are_few_files():
    assert len(list(CONF.rglob("*.yaml"))) <= 130


def options(group, folder=None):
    with hydra_app(folder) as app:
        return app.config_loader.get_group_options(group)


@pytest.mark.parametrize("side", SIDES)
def test_every_network_is_an_option_of_either_side(side):
    assert [name for name in options(side) if not name.startswith("_")] == NETWORKS


@pytest.mark.parametrize("side", SIDES)
def test_a_file_for_one_side_has_more_than_its_network(side):
    for path in (CONF / side).glob("*.yaml"):
        assert set(yaml.safe_load(path.read_text())) - {"defaults"}, path


@pytest.fixture
def own_folder(tmp_path):
    """A folder for `--config-dir` with a new network, and another one by the name of kdlab's own."""
    (tmp_path / "network").mkdir()
    for name, width in (("mine", 3), ("resnet20", 5)):
        text = f"source: cifar\nname: resnet8\nkwargs: {{widths: [{width}, 4, 4, 4]}}\ntaps: {{}}\n"
        (tmp_path / "network" / f"{name}.yaml").write_text(text)
    return tmp_path


def test_a_network_of_the_users_own_is_an_option_of_either_side_and_of_further_teachers(own_folder):
    lines = ["model/teacher=mine", "model/student=resnet20", "model/teacher@model.teachers.second=mine"]
    model = compose_config(lines, str(own_folder)).model
    networks = (model.teacher, model.student, model.teachers.second)
    assert [network.kwargs.widths[0] for network in networks] == [3, 5, 3]
    assert ("train" in model.teacher, model.teachers.second.weight, "train" in model.student) == (True, 1, False)
    with pytest.raises(BadInput, match=r"model/student has no option 'mne'. Did you mean model/student=mine\?$"):
        compose_config(["model/student=mne"], str(own_folder))


def test_a_whole_side_of_the_users_own_goes_before_a_network_of_that_name(own_folder):
    (own_folder / "model" / "student").mkdir(parents=True)
    text = "defaults: [_student, {/network@_here_: vgg8}, _self_]\nimage_size: 48\n"
    (own_folder / "model" / "student" / "mine.yaml").write_text(text)
    student = compose_config(["model/student=mine"], str(own_folder)).model.student
    assert (student.name, student.image_size) == ("vgg8", 48)


def test_a_recipe_that_suits_one_teacher_goes_with_it():
    recipes = {name: compose_config([f"model/teacher={name}"]).model.teacher.train for name in NETWORKS}
    usual = (30, 0.1)
    assert {
        name: (recipe.epochs, recipe.optimizer.lr)
        for name, recipe in recipes.items()
        if (recipe.epochs, recipe.optimizer.lr) != usual
    } == {"resnet14_slim": (24, 0.2), "resnet50": (20, 0.03)}


def test_networks_are_completed_in_a_shell(own_folder, monkeypatch, capsys):
    monkeypatch.setenv("COMP_LINE", "train model/student=m")
    assert run(lambda cfg: None, ["--config-dir", str(own_folder), "-sc", "query=bash"]) == 0
    assert capsys.readouterr().out.split() == [
        f"model/student={name}" for name in ("mine", "mobilenetv2_half", "mobilenetv3_small")
    ]


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_every_cell_of_a_sweep_finds_its_network_whatever_process_it_is_in(launcher, own_folder, tmp_path):
    def task(cfg):
        (tmp_path / f"{cfg.model.student.name}-{cfg.model.student.kwargs.widths[0]}").touch()

    lines = ["-m", "model/student=mine,resnet8_slim", f"hydra/launcher={launcher}", f"paths.outputs={tmp_path / 'out'}"]
    assert run(task, ["--config-dir", str(own_folder), *lines]) == 0
    assert {path.name for path in tmp_path.glob("resnet8-*")} == {"resnet8-3", "resnet8-4"}


@pytest.mark.parametrize(
    "path", sorted((CONF / "experiment" / "details").glob("[!_]*.yaml")), ids=lambda path: path.stem
)
def test_cases_are_about_options_that_there_are_and_each_changes_something(path):
    groups = {"teacher": "model/teacher", "student": "model/student", "pair": "model", "loss": "loss"}
    known = {key: options(group) for key, group in groups.items()}
    for case in yaml.safe_load(path.read_text()):
        when = case.pop("when")
        assert case
        for key, names in when.items():
            assert set(names) <= set(known[key]), names


def test_a_command_that_repeats_a_run_leaves_details_to_the_experiment(tmp_path, monkeypatch):
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "mine.yaml").write_text("defaults: [override /loss: dkd]\nseed: 3\n")
    monkeypatch.chdir(tmp_path)
    with hydra_app() as app:
        fixed = ["experiment=cifar100_benchmark", "+sweeps=mine"]
        config = app.config_loader.load_configuration("train", fixed, RunMode.RUN)
        lines = shared_settings(config, fixed, app.config_loader)
    assert lines == ["experiment=cifar100_benchmark", "loss=dkd", "seed=3"]


def details(folder, text):
    """What an experiment of the user's own adds for resnet8_slim and the loss dkd."""
    (folder / "experiment" / "details").mkdir(parents=True)
    (folder / "experiment" / "mine.yaml").write_text("# @package _global_\nepochs: 7\n")
    choices = "{mine: '_student=${model/student},loss=${loss}'}"
    (folder / "experiment" / "details" / "_mine.yaml").write_text(f"# @package _global_\ndefaults: [{choices}]\n")
    (folder / "experiment" / "details" / "mine.yaml").write_text(f"# @package _global_\n{text}")
    return compose_config(["experiment=mine", "loss=dkd", "model/student=resnet8_slim"], str(folder))


def test_the_cases_that_fit_are_merged_and_the_last_one_wins(tmp_path):
    cfg = details(
        tmp_path,
        "- {when: {loss: [nst, dkd]}, seed: 1, tags: [a, b]}\n"
        "- {when: {loss: [dkd], student: [resnet8_slim]}, seed: 2}\n"
        "- {when: {loss: [dkd], student: [resnet8]}, seed: 3}\n"
        "- {when: {loss: [nst]}, epochs: 4}\n",
    )
    assert (cfg.seed, cfg.tags, cfg.epochs) == (2, ["a", "b"], 7)


def test_a_case_about_something_else_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"experiment/details/mine: `when` must name student, loss, got 'data'\.$"):
        details(tmp_path, "- {when: {data: [digits]}, seed: 1}\n")
