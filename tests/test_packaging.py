"""An installed wheel works from any folder, with its configs and sweeps inside."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import kdlab

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the wheel unpacked, as `pip install` would leave it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def test_the_version_is_stated_once(site):
    assert f"kdlab-{kdlab.__version__}.dist-info" in {path.name for path in site.iterdir()}
    assert f"\nversion: {kdlab.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert (ROOT / "CHANGELOG.md").read_text().startswith(f"# Changelog\n\n## {kdlab.__version__} ")


def test_the_wheel_holds_every_config_and_sweep(site):
    for group in ("conf", "sweeps"):
        ours = {path.relative_to(ROOT) for path in (ROOT / group).rglob("*.yaml")}
        shipped = site / "kdlab" / "shipped"
        packed = {path.relative_to(shipped) for path in (shipped / group).rglob("*.yaml")}
        assert packed == ours


def test_the_wheel_holds_what_reports_are_made_from(site):
    folder = Path("kdlab", "reporting")
    ours = {path.relative_to(ROOT) for path in (ROOT / folder).rglob("*.*") if path.suffix not in (".py", ".pyc")}
    assert {folder / "render" / "template" / name for name in ("page.html", "page.css", "sort.js")} <= ours
    assert {path for path in ours if not (site / path).is_file()} == set()


def test_it_composes_from_another_folder_also_a_sweep_of_that_folder(site, tmp_path):
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "mine.yaml").write_text("# @package _global_\n# Is it found?\nseed: 77\n")
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [
        sys.executable,
        "-c",
        "import sys, kdlab; print(kdlab.__file__); from kdlab.train import main; sys.exit(main())",
    ]
    for sweep, expected in (("mine", "seed: 77"), ("seeds", "seed: 0")):
        shown = subprocess.run(
            [*command, f"+sweeps={sweep}", "--cfg", "job"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert str(site) in shown.stdout, shown.stderr
        assert expected in shown.stdout
