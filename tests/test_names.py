"""Who knows an option of `loss=` can guess its class or function, its module and its test; old names keep working."""

import re
from pathlib import Path

import pytest
import yaml
from hydra import compose
from hydra.utils import get_object

from kdlab.config.compose import hydra_app
from kdlab.config.folders import CONF
from kdlab.config.help import help_page
from kdlab.settings.old_names import OLD_NAMES

FILES = {path.stem: path for path in sorted((CONF / "loss").glob("*.yaml"))}
LOSSES = [name for name in FILES if name not in OLD_NAMES["loss"]]
ALIASES = [(group, old, new) for group, names in OLD_NAMES.items() for old, new in names.items()]
TESTS = [path.stem for folder in ("losses", "methods") for path in (Path(__file__).parent / folder).glob("test_*.py")]


def objects(option):
    """The class of the method and what its terms compute, each with what stands before its name."""
    settings = yaml.safe_load(FILES[option].read_text())
    yield get_object(settings["_target_"]), ""
    for name, term in settings["terms"].items():
        yield get_object(term.get("_target_", f"kdlab.losses.{name}")), "self_" * (term.get("source") == "self")
    for other in settings.get("defaults", []):
        if isinstance(other, str) and other != "_self_":
            yield from objects(other)


def modules_named(name, option):
    """The modules of a class or function whose own name, or whose module's, is or begins with `name`."""
    for thing, before in objects(option):
        module = thing.__module__.rpartition(".")[2]
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", thing.__name__).lower()
        if any(f"{before}{known}_".startswith(f"{name}_") for known in (words, module)):
            yield module


@pytest.mark.parametrize("option", LOSSES)
def test_an_option_is_named_after_what_it_runs_and_that_has_a_test_of_its_name(option):
    modules = list(modules_named(option.removesuffix("_distillation"), option))
    assert modules, f"neither a class or function of conf/loss/{option}.yaml nor its module is named after the option"
    assert [module for module in modules if f"test_{module}" not in TESTS] == []


@pytest.mark.parametrize("old", ["fitnet", "logit_standard"])  # self_attention has another meaning in this field
def test_the_old_names_break_the_rule(old):
    assert list(modules_named(old, OLD_NAMES["loss"][old])) == []


@pytest.mark.parametrize(("group", "old", "new"), ALIASES)
def test_an_old_name_composes_to_the_settings_of_the_new_one_and_says_so_in_its_file(group, old, new):
    assert (CONF / group / f"{old}.yaml").read_text().startswith(f"# Old name of {group}={new}.\n")
    with hydra_app():
        assert compose(f"{group}/{old}") == compose(f"{group}/{new}")


def test_every_file_that_is_an_old_name_is_listed():
    files = [path for path in CONF.rglob("*.yaml") if path.read_text().startswith("# Old name of ")]
    assert {(path.parent.relative_to(CONF).as_posix(), path.stem) for path in files} == {
        (group, old) for group, old, _ in ALIASES
    }


def test_the_help_page_has_new_names_only():
    words = help_page().replace(",", " ").split()
    assert [old for _, old, _ in ALIASES if old in words] == []
    assert [new for _, _, new in ALIASES if new not in words] == []
