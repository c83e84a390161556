import tomllib
from importlib.metadata import PackageNotFoundError, version

import pytest

from kdlab.diagnosis import packages
from kdlab.diagnosis.packages import absent, declared, extras, versions

PROJECT = tomllib.loads(packages.PROJECT.read_text())["project"]
METADATA = """\
Metadata-Version: 2.4
Name: kdlab
Version: 9
Requires-Python: >=3.11
Provides-Extra: search
Provides-Extra: dev
Requires-Dist: timm<2,>=1.0.20
Requires-Dist: rich<16,>=13.9
Requires-Dist: optuna<6,>=4.5; extra == "search"
Requires-Dist: ruff<1,>=0.12; extra == "dev"
"""


@pytest.fixture
def installed(monkeypatch):
    """Versions that the test chooses; a package that it sets to None is absent."""
    chosen = {}

    def lookup(name):
        found = chosen[name] if name in chosen else version(name)
        if found is None:
            raise PackageNotFoundError(name)
        return found

    monkeypatch.setattr(packages, "version", lookup)
    return chosen


def one(properties, name):
    return next(one for one in properties if one.name == name)


def test_everything_that_is_needed_has_a_line_with_its_version_and_range():
    found = {one.name: (one.value, f"{one.name}{one.about}") for one in versions()[2:]}
    assert [requirement for _, requirement in found.values()] == PROJECT["dependencies"]
    assert {name: value for name, (value, _) in found.items()} == {name: version(name) for name in found}
    assert [one.problem for one in versions()] == [""] * len(versions())


def test_without_a_clone_the_installed_package_declares_the_same(tmp_path, monkeypatch):
    (tmp_path / "kdlab-9.dist-info").mkdir()
    (tmp_path / "kdlab-9.dist-info" / "METADATA").write_text(METADATA)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(packages, "PROJECT", tmp_path / "pyproject.toml")
    found = declared()
    assert (found.python, found.packages) == (">=3.11", ["timm<2,>=1.0.20", "rich<16,>=13.9"])
    assert found.extras == {"search": ["optuna<6,>=4.5"], "dev": ["ruff<1,>=0.12"]}


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ("0.9.16", 'kdlab needs timm>=1.0.20,<2, got 0.9.16: python -m pip install "timm>=1.0.20,<2"'),
        ("2.0.0", "kdlab needs timm>=1.0.20,<2, got 2.0.0: "),
        ("1.0.20.dev0", "got 1.0.20.dev0"),
        (None, "got None"),
        ("1.0.21.dev0", ""),
        ("1.0.20+local", ""),
    ],
)
def test_a_version_outside_the_range_is_a_problem_with_its_fix(found, text, installed):
    installed["timm"] = found
    problem = one(versions(), "timm").problem
    assert text in problem and bool(text) == bool(problem)


def test_a_python_that_is_too_old_is_a_problem(monkeypatch):
    monkeypatch.setattr("platform.python_version", lambda: "3.10.4")
    assert one(versions(), "Python").problem.startswith("Python 3.10.4 is not >=3.11")


def test_a_torchvision_for_another_torch_is_a_problem(installed, monkeypatch):
    needs = {"torchvision": ["numpy", "torch==2.11.0", 'torch==1; extra == "old"']}
    monkeypatch.setattr(packages, "requires", needs.get)
    for torch, text in (("2.12.0", "torchvision needs torch==2.11.0, got 2.12.0: "), ("2.11.0+cpu", "")):
        installed["torch"] = torch
        problem = one(versions(), "torchvision").problem
        assert text in problem and bool(text) == bool(problem)


def test_an_extra_says_what_it_lacks_or_has(installed):
    installed |= {"optuna": "4.6.0", "transformers": None, "ray": "2.50.0", "hydra-ray-launcher": None}
    found = {one.name: (one.value, one.about) for one in extras()}
    assert found["search"] == ("optuna 4.6.0", "")
    assert found["huggingface"] == ("no transformers", 'pip install "kdlab[huggingface]"')
    assert found["ray"] == ("ray 2.50.0, no hydra-ray-launcher", 'pip install "kdlab[ray]"')
    assert set(found) == set(PROJECT["optional-dependencies"]) - {"dev", "docs"}


def test_an_extra_of_another_version_is_a_problem(installed):
    installed["optuna"] = "3.0"
    assert one(extras(), "search").problem == (
        'kdlab needs optuna>=4.5,<6, got 3.0: python -m pip install "optuna>=4.5,<6"'
    )


def test_what_is_absent_is_found_by_its_metadata(installed):
    assert absent() == []
    installed |= {"hydra-core": None, "wandb-workspaces": None}
    assert absent() == ["hydra-core", "wandb-workspaces"]
