"""The report of a sweep over temperature and alpha: published at its end, after the fact, offline, after a refusal."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.small import TINY
from tests.tracking.wandb_server import KEY, wandb_server

REPOSITORY = Path(__file__).resolve().parents[2]
OWN = [*TINY, "paths.outputs=outputs"]
PLANE = ["-m", "loss.temperature=2,4", "loss.alpha=0.5,0.9", *OWN]
LINE = ["-m", "loss.temperature=2,4", "loss.alpha=0.5", *OWN]  # half of it, from the same store
REPORTED = ["logger=wandb", "logger.report=true", "logger.project=students"]
SECTIONS = ["Answer", "Runs", "Settings", "T and alpha", "Accuracy against cost", "Learning curves"]
PANELS = {
    "Parallel Coordinates Plot",
    "Vega2",
    "Scatter Plot",
    "Run History Line Plot",
}


def environment(server=None, key=KEY):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    kept |= {"PYTHONPATH": str(REPOSITORY), "NETRC": "/nowhere", "WANDB_CONFIG_DIR": "/nowhere/settings"}
    return {**kept, "WANDB_BASE_URL": server.url, "WANDB_API_KEY": key} if server else kept


def ran(command, folder, **env):
    """What a command printed, run as it would be typed."""
    done = subprocess.run(
        command, cwd=folder, env=environment(**env), capture_output=True, text=True, timeout=280, check=False
    )
    return done


def trained(folder, *arguments, **env):
    done = ran([sys.executable, "-W", "ignore", "-m", "kdlab.train", *arguments], folder, **env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder in which the sweep was run without W&B."""
    home = tmp_path_factory.mktemp("home")
    trained(home, *PLANE)
    return home


def copied(finished, folder):
    """Links in a run directory are relative."""
    return Path(shutil.copytree(finished, folder / "home", symlinks=True))


@pytest.fixture
def home(finished, tmp_path):
    return copied(finished, tmp_path)


def stages(home):
    """The history and the test accuracy of every stage in the store, by its fingerprint."""
    found = {}
    for folder in (file.parent for file in (home / "outputs" / "store").glob("*/student.safetensors")):
        with (folder / "metrics.csv").open() as file:
            rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
        found[folder.name] = (rows, json.loads((folder / "result.json").read_text())["test/accuracy"])
    return found


def logged_stages(server):
    found = {}
    for run in server.runs.values():
        if run.about["jobType"] == "stage":
            rows = [{name: value for name, value in row.items() if not name.startswith("_")} for row in run.history]
            found[run.config["fingerprint"]] = (rows, run.summary["test/accuracy"])
    return found


def headings(report):
    blocks = json.loads(report["spec"])["blocks"]
    return ["".join(part["text"] for part in block["children"]) for block in blocks if block["type"] == "heading"]


def panels(report):
    grids = [one["metadata"] for one in json.loads(report["spec"])["blocks"] if one["type"] == "panel-grid"]
    return [panel for grid in grids for panel in grid["panelBankSectionConfig"]["panels"]]


def lines_of_report(screen):
    """What the screen says about W&B, to its end."""
    return screen[screen.index("W&B") :].rstrip().splitlines()


@pytest.fixture(scope="module")
def uploaded(finished, tmp_path_factory):
    """A server to which the same command uploaded the finished sweep, twice; with the folder and the first screen."""
    home = copied(finished, tmp_path_factory.mktemp("uploaded"))
    with wandb_server() as server:
        screen = trained(home, *PLANE, *REPORTED, server=server)
        server.first = [logged_stages(server), list(server.reports)]
        trained(home, *PLANE, *REPORTED, server=server)
    return server, home, screen


def test_after_the_fact_every_cell_and_every_stage_curve_is_uploaded(uploaded):
    server, home, _ = uploaded
    (logged, _), kept = server.first, stages(home)
    assert len(kept) == 6 and logged.keys() == kept.keys()
    for fingerprint, (rows, accuracy) in kept.items():
        assert logged[fingerprint][1] == accuracy
        for row, expected in zip(logged[fingerprint][0], rows, strict=True):
            assert row == pytest.approx(expected)
    assert len(server.named("cell")) == 4 and {run.state for run in server.runs.values()} == {"finished"}
    assert {run.about["groupName"] for run in server.runs.values()} == {
        folder.name for folder in (home / "outputs").glob("sweep-*")
    }
    assert {artifact["state"] for artifact in server.artifacts.values()} == {"COMMITTED"}


def test_what_is_there_is_not_uploaded_again(uploaded):
    server, _, _ = uploaded
    assert logged_stages(server) == server.first[0]


def test_the_report_is_published_and_the_next_one_takes_its_place(uploaded):
    server, _, screen = uploaded
    (report,) = server.first[1]
    assert headings(report)[: len(SECTIONS)] == SECTIONS
    assert {panel["viewType"] for panel in panels(report)} == PANELS
    assert [one["id"] for one in server.reports] == [report["id"]]
    address = f"{server.url}/someone/students/reports/Which-T-and-alpha-are-best%3F--r1"
    assert lines_of_report(screen) == [f"W&B report: {address}"]


def test_the_heat_map_has_the_validation_accuracy_of_every_setting(uploaded):
    server, home, _ = uploaded
    (run,) = server.named("sweep").values()
    tables = [json.loads(content) for name, content in server.files.items() if "heat_map" in name]
    expected = set()
    for file in (home / "outputs").glob("response-*/result.json"):
        result = json.loads(file.read_text())
        loss = result["config"]["loss"]
        expected.add((loss["temperature"], loss["alpha"], result["student"]["val/accuracy"]))
    table = next(one for one in tables if "columns" in one)
    assert table["columns"] == ["T", "alpha", "validation accuracy"]
    assert {tuple(row) for row in table["data"]} == expected
    assert run.summary["cells"] == 4 and run.summary["answer"]
    assert run.config["question"] == "Which T and alpha are best?"


def test_offline_the_two_lines_on_the_screen_upload_and_publish_all(home):
    screen = trained(home, *LINE, *REPORTED)
    assert screen.count("W&B") == 1
    first, sync, publish = lines_of_report(screen)
    (folder,) = re.findall(r"outputs/sweep-\w+", publish)
    assert first == "W&B: recorded offline. With a key (`wandb login`), this uploads the runs and publishes the report:"
    assert sync == "  wandb sync outputs/wandb/offline-run-*"
    assert publish == f"  python -m kdlab.report {folder} --wandb students"
    assert (home / folder / "report" / "wandb.json").is_file()
    first_start = set((home / "outputs" / "wandb").glob("offline-run-*"))
    trained(home, *LINE, *REPORTED)
    both = set((home / "outputs" / "wandb").glob("offline-run-*"))
    assert len(first_start) == len(both) == 4 + 2 + 1  # cells and the sweep replace theirs
    assert len(first_start & both) == 4  # stages are recorded once
    with wandb_server() as server:
        typed(sync, home, server)
        typed(publish, home, server)
    kept, logged = stages(home), logged_stages(server)
    assert len(logged) == 4
    assert {name: len(rows) for name, (rows, _) in logged.items()} == {name: len(kept[name][0]) for name in logged}
    (report,) = server.reports
    assert headings(report)[:3] == SECTIONS[:3] and "Learning curves" in headings(report)
    assert len(server.named("cell")) == 2 and len(server.named("sweep")) == 1


def typed(line, folder, server):
    """Runs a line as a shell does, with the commands of this environment."""
    path = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        line, shell=True, cwd=folder, env={**environment(server), **path}, capture_output=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_key_that_is_refused_at_the_end_loses_nothing_and_the_printed_command_publishes_later(home):
    with wandb_server() as server:
        trained(home, *LINE, "logger=wandb", "logger.project=students", server=server)
        before = stages(home)
        screen = trained(home, *LINE, *REPORTED, server=server, key="x" * 40)
        first, second, command = lines_of_report(screen)
        assert first == "W&B: no report was published, since the sweep's own run could not be recorded."
        assert second.startswith("Nothing is lost: the same training command uploads what W&B lacks, and this publish")
        assert (server.reports, stages(home)) == ([], before)
        typed(command, home, server)
    assert len(server.reports) == 1


def test_a_server_that_is_down_leaves_the_exit_code_and_the_results(home):
    with wandb_server() as server:
        pass
    train = [sys.executable, "-W", "ignore", "-m", "kdlab.train", *LINE, *REPORTED]
    done = ran(["env", "WANDB_INIT_TIMEOUT=0.5", *train], home, server=server)
    assert done.returncode == 0
    *_, command = lines_of_report(done.stdout)
    assert done.stdout.count("W&B:") == 1 and command.startswith("  python -m kdlab.report outputs/sweep-")
    assert "the same command uploads it later" in done.stdout + done.stderr


def test_a_report_of_a_single_run_is_bad_input(tmp_path):
    done = ran(
        [sys.executable, "-W", "ignore", "-m", "kdlab.train", *TINY, *REPORTED, "paths.outputs=outputs"], tmp_path
    )
    assert done.returncode == 2
    assert "logger.report=true publishes the report of a sweep when it ends, got a single run. Leave" in done.stderr
