"""Which code is the user's own, and what of it is hashed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kdlab.store.source import _is_installed, _records, own_code, own_file

DEEP = "x = " + " + ".join(["1"] * 900) + "\n"  # each + is one level of the syntax tree


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Two modules of the user's; `main` imports `helper`."""
    folder = make_package(tmp_path, "userpkg")
    (folder / "main.py").write_text("from userpkg import helper\nimport torch\n\ndef f(x):\n    return helper.g(x)\n")
    (folder / "helper.py").write_text("def g(x):\n    return x + 1\n")
    add_to_path(monkeypatch, tmp_path)
    return folder


@pytest.fixture(autouse=True)
def cleared_caches():
    """Each test has its own packages under the same names."""
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] in ("userpkg", "theirpkg")]:
        del sys.modules[name]
    for cached in (own_file, _is_installed, _records):
        cached.cache_clear()


def make_package(root, name, recorded=False):
    """A package with a deep source; with `recorded` a RECORD of a package manager lists it."""
    (root / name).mkdir(parents=True)
    (root / name / "__init__.py").write_text("from . import deep\n")
    (root / name / "deep.py").write_text(DEEP)
    if recorded:
        info = root / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "RECORD").write_text(f"{name}/__init__.py,,\n{name}/deep.py,,\n{name}-1.0.dist-info/RECORD,,\n")
    return root / name


def add_to_path(monkeypatch, folder):
    monkeypatch.syspath_prepend(folder)
    for cached in (own_file, _is_installed, _records):
        cached.cache_clear()


def digest(*modules):
    return own_code(modules).digest


def test_comments_docstrings_and_layout_change_nothing(package):
    before = digest("userpkg.main")
    (package / "helper.py").write_text(
        '"""Adds."""\n\n\ndef g(x):\n    "One more."\n    # plus one\n    return (x\n            + 1)\n'
    )
    assert digest("userpkg.main") == before


@pytest.mark.parametrize(
    "body",
    [
        "return x + 2",
        "return 1 + x",
        "return x - 1",
        "return x + 1.0",
        "return x + '1'",
        "return [x + 1]",
        "return x + 1, ''",
        "return\n    x + 1",
        "yield x + 1",
    ],
)
def test_a_changed_line_in_an_imported_module_counts(package, body):
    before = digest("userpkg.main")
    (package / "helper.py").write_text(f"def g(x):\n    {body}\n")
    assert digest("userpkg.main") != before


def test_a_string_is_not_mistaken_for_a_name(package):
    (package / "helper.py").write_text("g = [a, b]\n")
    names = digest("userpkg.main")
    (package / "helper.py").write_text("g = ['a', 'b']\n")
    assert digest("userpkg.main") != names


def test_a_module_that_is_not_imported_does_not_count(package):
    before = digest("userpkg.main")
    (package / "other.py").write_text("y = 3\n")
    assert digest("userpkg.main") == before


def test_own_code_may_be_as_deep_as_python_allows(package):
    shallow = digest("userpkg.helper")
    (package / "helper.py").write_text(DEEP)
    deep = digest("userpkg.helper")
    (package / "helper.py").write_text(f"# a comment\n{DEEP}")
    assert digest("userpkg.helper") == deep != shallow


def test_own_code_that_cannot_be_parsed_is_hashed_as_text(package):
    (package / "main.py").write_text("try:\n    from userpkg import helper\nexcept SyntaxError:\n    pass\n")
    (package / "helper.py").write_text("print 'of another age'\n")
    before = digest("userpkg.main")
    (package / "helper.py").write_text("print 'of another time'\n")
    assert digest("userpkg.main") != before


@pytest.mark.parametrize("module", ["torch", "numpy.linalg", "json", "kdlab.losses.response", "no.such.module"])
def test_installed_packages_python_and_kdlab_are_not_hashed(module):
    assert digest(module) is None


@pytest.mark.parametrize(
    ("line", "components"),
    [
        ("from kdlab.losses import response_kd", {"losses.response"}),
        ("from kdlab.losses.dkd import dkd as mine", {"losses.dkd"}),
        ("from kdlab.methods import Progressive", {"methods.progressive", "methods.teacher_student"}),
        ("from kdlab.data import InMemory", {"views"}),
        ("import kdlab.models.vgg", {"models.vgg"}),
        ("from kdlab import models", {"models.vgg", "models.resnet"}),
        ("from kdlab.errors import BadInput", set()),
        ("from kdlab.gone import something", set()),
    ],
)
def test_what_own_code_imports_of_kdlab_counts_by_its_version(package, line, components):
    (package / "helper.py").write_text(f"{line}\n")
    assert own_code(["userpkg.main"]).components >= components
    assert bool(own_code(["userpkg.main"]).components) == bool(components)


def second_site(root: Path, link: Path) -> Path:
    """A folder of installed packages whose name does not show that."""
    make_package(root / "libraries", "theirpkg", recorded=True)
    return root / "libraries"


def linked_site(root: Path, link: Path) -> Path:
    """A link to such a folder."""
    link.symlink_to(second_site(root, link))
    return link


def linked_package(root: Path, link: Path) -> Path:
    """A folder for installed packages, in which one is a link to where its files are kept."""
    make_package(root / "cache", "theirpkg")
    (root / "site-packages").mkdir()
    (root / "site-packages" / "theirpkg").symlink_to(root / "cache" / "theirpkg")
    return root / "site-packages"


def link_into_a_site(root: Path, link: Path) -> Path:
    """A link, elsewhere, to a package in a folder for installed ones."""
    make_package(root / "site-packages", "theirpkg")
    link.mkdir()
    (link / "theirpkg").symlink_to(root / "site-packages" / "theirpkg")
    return link


@pytest.mark.parametrize("installed", [second_site, linked_site, linked_package, link_into_a_site])
def test_a_package_outside_the_interpreters_own_folder_is_installed_as_well(installed, package, tmp_path, monkeypatch):
    before = digest("userpkg.main")
    add_to_path(monkeypatch, installed(tmp_path / "elsewhere", tmp_path / "link"))
    assert digest("theirpkg", "theirpkg.deep") is None
    assert digest("userpkg.main", "theirpkg") == before
    (package / "helper.py").write_text("import theirpkg.deep\nfrom theirpkg.deep import x\n\ndef g(y):\n    return y\n")
    digest("userpkg.main")
    assert "theirpkg.deep" not in sys.modules  # no module inside was looked up


def test_a_single_module_may_be_installed_too(tmp_path, monkeypatch):
    second_site(tmp_path, tmp_path)
    info = tmp_path / "libraries" / "theirpkg-1.0.dist-info"
    (tmp_path / "libraries" / "theirs.py").write_text("x = 1\n")
    (tmp_path / "libraries" / "ours.py").write_text("x = 1\n")
    info.joinpath("RECORD").write_text("theirs.py,,\ntheirpkg-1.0.dist-info/RECORD,,\n")
    add_to_path(monkeypatch, tmp_path / "libraries")
    assert digest("theirs") is None
    assert digest("ours") is not None  # of the user's own, beside what was installed there


def test_an_editable_project_is_own_code_though_it_is_installed(package, tmp_path, monkeypatch):
    before = digest("userpkg.main")
    info = tmp_path / "site-packages" / "userpkg-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "RECORD").write_text("__editable__.userpkg-1.0.pth,,\nuserpkg-1.0.dist-info/RECORD,,\n")
    (tmp_path / "userpkg.egg-info").mkdir()  # what setuptools leaves beside the sources
    (tmp_path / "userpkg.egg-info" / "top_level.txt").write_text("userpkg\n")
    add_to_path(monkeypatch, tmp_path / "site-packages")
    assert digest("userpkg.main") == before
    (package / "helper.py").write_text("def g(x):\n    return x + 2\n")
    assert digest("userpkg.main") not in (before, None)


def test_a_script_is_own_code_as_well(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("from kdlab.store.source import own_code\nprint(own_code(['__main__']).digest)\n")
    run = [sys.executable, str(script)]
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    first = subprocess.run(run, capture_output=True, text=True, check=True, env=here).stdout
    script.write_text(script.read_text() + "y = 1\n")
    second = subprocess.run(run, capture_output=True, text=True, check=True, env=here).stdout
    assert "None" not in (first.strip(), second.strip()) and first != second
