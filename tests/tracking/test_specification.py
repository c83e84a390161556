"""A report's specification: written without a network, published from its file, once and again."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from kdlab.errors import BadInput, KdlabError
from tests.tracking.wandb_server import KEY, wandb_server

REPOSITORY = Path(__file__).resolve().parents[2]
PUBLISH = """
import sys
from pathlib import Path
from kdlab.tracking.specification import publish
for destination in sys.argv[2:]:
    print(publish(Path(sys.argv[1]), destination))
"""


@pytest.fixture(scope="module")
def library():
    """The module under test; wandb takes seconds to import."""
    from kdlab.tracking import specification

    return specification


@pytest.fixture
def file(library, tmp_path):
    return library.write_specification(report("Which?"), tmp_path / "report")


def report(title):
    import wandb_workspaces.reports.v2 as wr

    from kdlab.tracking.heat_map import HEAT_MAP

    chart = wr.CustomChart({"summaryTable": {"tableKey": "heat_map"}}, HEAT_MAP, {"x": "T"}, {"title": "map"})
    runs = wr.Runset(name="Finished", filters="Config('loss.temperature') = 2", groupby=["config.loss.alpha"])
    blocks = [
        wr.H1("Answer"),
        wr.P("Four."),
        wr.PanelGrid(runsets=[runs], panels=[chart, wr.ScatterPlot(x="a", y="b")]),
    ]
    return wr.Report(entity="", project="", title=title, description="of a sweep", blocks=blocks, width="fluid")


def published(server, file, *destinations):
    environment = {**os.environ, "WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY}
    command = [sys.executable, "-W", "ignore", "-c", PUBLISH, str(file), *destinations]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def without_destination(spec):
    """A specification without what only its destination decides."""
    for block in spec["blocks"]:
        for runs in block.get("metadata", {}).get("runSets", ()):
            runs.pop("project", None)
        for panel in block.get("metadata", {}).get("panelBankSectionConfig", {}).get("panels", ()):
            panel["config"].pop("panelDefId", None)
    return spec


def test_the_server_gets_what_the_file_holds_with_the_project_in_every_run_set(file):
    content = json.loads(file.read_text())
    with wandb_server() as server:
        (address,) = published(server, file, "someone/p")
    (view,) = server.reports
    spec = json.loads(view["spec"])
    (grid,) = [block["metadata"] for block in spec["blocks"] if block["type"] == "panel-grid"]
    assert grid["runSets"][0]["project"] == {"name": "p", "entityName": "someone", "id": "1"}
    chart, _ = grid["panelBankSectionConfig"]["panels"]
    assert list(server.charts) == [chart["config"]["panelDefId"]] == ["someone/kdlab-heat-map-v1"]
    assert without_destination(spec) == without_destination(content["spec"])
    assert (view["displayName"], view["description"], server.refusals) == ("Which?", "of a sweep", [])
    assert address == f"{server.url}/someone/p/reports/Which%3F--r1"


def test_a_project_alone_is_one_of_the_accounts_own_entity(file):
    with wandb_server() as server:
        assert published(server, file, "p")[0].startswith(f"{server.url}/someone/p/")


def test_published_again_it_takes_the_place_of_the_one_before_in_each_project(library, file):
    with wandb_server() as server:
        server.projects.append("q")
        published(server, file, "someone/p", "someone/p", "someone/q")
        assert [(view["id"], view["projectName"]) for view in server.reports] == [("r1", "p"), ("r2", "q")]
        library.write_specification(report("What now?"), file.parent)
        published(server, file, "someone/p")
    assert {view["id"]: view["displayName"] for view in server.reports} == {"r1": "What now?", "r2": "Which?"}


def test_where_the_one_before_was_deleted_a_new_one_is_published(file):
    with wandb_server() as server:
        published(server, file, "someone/p")
        server.reports.clear()
        published(server, file, "someone/p")
    assert len(server.reports) == 1
    assert [one for one in server.refusals if "view" in one] == ["view r1 not found"]


def test_without_a_key_no_server_is_contacted(library, monkeypatch, file):
    monkeypatch.setattr(library, "has_credentials", lambda: False)
    with pytest.raises(
        BadInput, match=r"--wandb needs an API key, found none\. Run `wandb login`, or set WANDB_API_KEY"
    ):
        library.publish(file, "team/kdlab")


def test_a_lost_network_is_one_message(library, monkeypatch, file):
    def lost():
        raise ConnectionError("no route to host\nat all")

    monkeypatch.setattr(library, "has_credentials", lambda: True)
    monkeypatch.setattr(library, "_addressed", lambda *_: SimpleNamespace(id="", save=lost))
    with pytest.raises(KdlabError, match=r"could not be published to team/kdlab \(no route to host\)\. Look at login"):
        library.publish(file, "team/kdlab")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"spec": {}, "published": {}}'])
def test_a_file_without_a_report_is_named(library, monkeypatch, tmp_path, text):
    monkeypatch.setattr(library, "has_credentials", lambda: True)
    file = tmp_path / "wandb.json"
    file.write_text(text)
    with pytest.raises(BadInput, match=r"--wandb reads a report's specification from .*wandb\.json, which is none"):
        library.publish(file, "team/kdlab")
