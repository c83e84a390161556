"""The README and the pages in `docs/`: their Python runs, their tables and links are whole."""

import re
import tomllib

import pytest
import yaml
from markdown_it import MarkdownIt

import kdlab.losses
from kdlab.runtime.export_directory import CODE
from kdlab.settings.old_names import without_old_names
from tests.pages import PAGES, ROOT, blocks
from tests.small import TINY


@pytest.mark.parametrize(
    ("code", "large"),
    [
        pytest.param(blocks(PAGES["README.md"], "python")[-1], '"model=resnet50_mbv3"', id="README.md"),
        pytest.param("".join(blocks(PAGES["docs/python.md"], "python")), '"epochs=20"', id="python.md"),
    ],
)
def test_the_python_of_a_page_runs(code, large, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert code.count(large) == 1
    names = {}
    exec(code.replace(large, ", ".join(map(repr, TINY))), names)
    assert names["result"]["status"] == "finished"
    assert not names["student"].training
    if "runs" in names:
        assert list(names["runs"]["gain"]) == [names["result"]["gain"]]
        assert "✓ student" in capsys.readouterr().out


def test_the_job_of_the_page_runs_and_is_reused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = blocks(PAGES["docs/development.md"], "python")
    (tmp_path / "page.py").write_text(code)
    for _ in range(2):
        exec(compile(code, "page.py", "exec"), {"__name__": "page"})
    said = capsys.readouterr().out
    assert said.count("Progress(") == 3
    assert said.count("reused=False") == said.count("reused=True") == 1


@pytest.mark.parametrize("name", PAGES)
def test_what_a_page_links_to_is_there(name):
    for path in re.findall(r"\]\(([\w./-]+)\)", PAGES[name]):
        assert (ROOT / name).parent.joinpath(path).exists(), path
    for path in re.findall(r"^\| `([\w/]+/)`", PAGES[name], flags=re.MULTILINE):
        assert (ROOT / path).is_dir(), path


def test_every_page_is_reached_from_the_readme():
    reached, waiting = set(), ["README.md"]
    while waiting:
        name = waiting.pop()
        reached.add(name)
        links = re.findall(r"\]\(([\w./-]+\.md)\)", PAGES[name])
        found = {(ROOT / name).parent.joinpath(link).resolve().relative_to(ROOT).as_posix() for link in links}
        waiting += found - reached
    assert reached == set(PAGES)


def rows(line):
    """The cells of a row, as GitHub splits them."""
    return re.split(r"(?<!\\)\|", line.strip().strip("|"))


@pytest.mark.parametrize("name", PAGES)
def test_every_table_is_one_for_a_parser_of_github_flavoured_markdown(name):
    lines = PAGES[name].splitlines()
    parsed = MarkdownIt("commonmark").enable("table").parse(PAGES[name])
    within = set()
    for table in (token for token in parsed if token.type == "table_open"):
        first, last = table.map
        within |= set(range(first, last))
        assert len({len(rows(line)) for line in lines[first:last]}) == 1, lines[first]
    code = {line for token in parsed if token.type == "fence" for line in range(*token.map)}
    left = [line for number, line in enumerate(lines) if line.startswith("|") and number not in within | code]
    assert left == []


def test_the_readme_is_short_and_names_what_is_there():
    assert len(PAGES["README.md"].splitlines()) <= 200
    (pairs,) = re.findall(r"\| `model=` \| a pair: (.*) \|", PAGES["docs/reference.md"])
    presets = {path.stem for path in (ROOT / "conf/model").glob("*.yaml")}
    assert {name.strip("` ") for name in pairs.split(",")} == presets


def first_cells(text, heading):
    """What the first column of the table after a heading names in backticks."""
    lines = text.partition(heading)[2].partition("\n## ")[0].splitlines()
    return [name for line in lines if line.startswith("| `") for name in re.findall(r"`([\w.]+)`", line.split("|")[1])]


def test_the_page_has_every_key_of_an_export_with_its_default():
    keys = yaml.safe_load((ROOT / "conf/export/onnx.yaml").read_text())
    keys |= {f"measure.{key}": value for key, value in keys.pop("measure").items()}
    text = PAGES["docs/deploy.md"].partition("## Keys of")[2].partition("\n## ")[0]
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| `")]
    shown = {}
    for _, first, second, *_ in rows:
        names, values = re.findall(r"`([\w.]+)`", first), re.findall(r"`([^`]+)`", second)
        shown |= zip(names, values * len(names) if len(values) == 1 else values, strict=True)
    assert {name: yaml.safe_load(value) for name, value in shown.items()} == keys


def test_the_example_of_the_page_is_the_one_that_is_written():
    (code,) = blocks(PAGES["docs/deploy.md"], "python")
    assert code == CODE.format(example="example.py", artifact="resnet20-int8.onnx", images="images.npy")


def test_every_extra_has_a_row():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = set(project["optional-dependencies"]) - {"dev", "docs"}
    assert set(first_cells(PAGES["docs/reference.md"], "## Extras")) == extras


def test_every_sweep_has_a_row():
    listed = first_cells(PAGES["docs/sweeps.md"], "# Sweeps and clusters")
    assert set(listed) == {path.stem for path in (ROOT / "sweeps").glob("*.yaml")}


def test_every_loss_has_a_row():
    table = PAGES["docs/methods.md"].partition("## Temperature")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    options = without_old_names("loss", (path.stem for path in (ROOT / "conf/loss").glob("*.yaml")))
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(options)


def test_the_reference_has_every_loss_from_where_it_is():
    """By its module: griffe takes `kdlab.losses.dkd` for the module, not for the function."""
    listed = re.findall(r"^::: (.+)$", (ROOT / "docs/api/losses.md").read_text(), flags=re.MULTILINE)
    exported = [getattr(kdlab.losses, name) for name in sorted(kdlab.losses.__all__)]
    assert listed == [f"{loss.__module__}.{loss.__name__}" for loss in exported]


def test_the_places_for_new_things_are_in_folders_that_layers_know():
    contracts = (ROOT / "pyproject.toml").read_text()
    for path in re.findall(r"^\| [^|]+ \| `kdlab/([\w/<>.]+)`", PAGES["docs/development.md"], flags=re.MULTILINE):
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
