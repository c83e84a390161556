"""The pages in `docs/`: their Python runs, their commands are known, what they name is there."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from kdlab.__main__ import COMMANDS
from tests.small import TINY

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
TEXTS = {page.relative_to(DOCS).as_posix(): page.read_text() for page in sorted(DOCS.rglob("*.md"))}


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def test_the_readmes_python_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = (code for code in blocks((ROOT / "README.md").read_text(), "python") if "kdlab.plan" in code)
    small = code.replace('"model=resnet50_mbv3"', ", ".join(map(repr, TINY)))
    assert small != code
    names = {}
    exec(small, names)
    assert names["result"]["status"] == "finished"
    assert not names["student"].training


def test_the_job_of_the_page_runs_and_is_reused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = blocks(TEXTS["development.md"], "python")
    (tmp_path / "page.py").write_text(code)
    for _ in range(2):
        exec(compile(code, "page.py", "exec"), {"__name__": "page"})
    said = capsys.readouterr().out
    assert said.count("Progress(") == 3
    assert said.count("reused=False") == said.count("reused=True") == 1


@pytest.mark.parametrize("name", TEXTS)
def test_folders_links_and_commands_of_a_page_are_there(name):
    text = TEXTS[name]
    for path in re.findall(r"^\| `([\w/]+/)`", text, flags=re.MULTILINE):
        assert (ROOT / path).is_dir(), path
    for path in re.findall(r"\]\(([\w./-]+)\)", text):
        assert (DOCS / name).parent.joinpath(path).exists(), path
    for line in "".join(blocks(text, "bash")).splitlines():
        if line.startswith("make "):
            subprocess.run(["make", "--dry-run", *line.split()[1:]], cwd=ROOT, check=True, capture_output=True)
        else:
            module = line.removeprefix("python -m ").split()[0]
            assert module in ("pytest", "tests.recorded") or module.removeprefix("kdlab.") in COMMANDS


def test_the_places_for_new_things_are_in_folders_that_layers_know():
    contracts = (ROOT / "pyproject.toml").read_text()
    for path in re.findall(r"^\| [^|]+ \| `kdlab/([\w/<>.]+)`", TEXTS["development.md"], flags=re.MULTILINE):
        assert re.search(rf"\b{path.split('/')[0]}\b", contracts), path


def test_a_config_names_no_module_that_moved():
    targets = {
        value
        for path in (ROOT / "conf").rglob("*.yaml")
        for value in re.findall(r"_target_: *(kdlab[\w.]+)", path.read_text())
    }
    from kdlab.settings.targets import find

    assert targets
    assert all(find(target, "conf") for target in targets)
    assert yaml.safe_load((ROOT / "conf" / "train.yaml").read_text())
