import sys

import pytest

from kdlab.store.source import _origin, source_hash


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Two modules of the user's; `main` imports `helper`."""
    (tmp_path / "userpkg").mkdir()
    (tmp_path / "userpkg" / "__init__.py").write_text("")
    (tmp_path / "userpkg" / "main.py").write_text(
        "from userpkg import helper\nimport torch\n\ndef f(x):\n    return helper.g(x)\n"
    )
    (tmp_path / "userpkg" / "helper.py").write_text("def g(x):\n    return x + 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    _origin.cache_clear()
    yield tmp_path / "userpkg"
    for name in [name for name in sys.modules if name.startswith("userpkg")]:
        del sys.modules[name]
    _origin.cache_clear()


def test_comments_docstrings_and_layout_change_nothing(package):
    before = source_hash(["userpkg.main"])
    (package / "helper.py").write_text(
        '"""Adds."""\n\n\ndef g(x):\n    "One more."\n    # plus one\n    return (x\n            + 1)\n'
    )
    assert source_hash(["userpkg.main"]) == before


def test_a_changed_line_in_an_imported_module_counts(package):
    before = source_hash(["userpkg.main"])
    (package / "helper.py").write_text("def g(x):\n    return x + 2\n")
    assert source_hash(["userpkg.main"]) != before


def test_a_module_that_is_not_imported_does_not_count(package):
    before = source_hash(["userpkg.main"])
    (package / "other.py").write_text("y = 3\n")
    assert source_hash(["userpkg.main"]) == before


def test_installed_packages_count_by_nothing():
    assert source_hash(["torch"]) == source_hash([])


def test_a_loss_belongs_to_the_stages_that_name_it_only():
    from kdlab.store.source import _closure

    supervised = _closure(["kdlab.jobs.training.stage", "kdlab.methods.base", "kdlab.losses.labels"])
    assert "kdlab.losses.response" not in supervised
    assert {"kdlab.jobs.training.stage", "kdlab.teachers.frozen", "kdlab.data.batch"} <= supervised
    watching = {
        "kdlab.screen.run",
        "kdlab.tracking.wandb",
        "kdlab.sweeps.cli",
        "kdlab.store.store",
        "kdlab.train",
        "kdlab.runtime.run_directory",
    }
    assert not supervised & watching
