"""The specification of a report, as the library sends it, and what a server gets of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kdlab.errors import BadInput
from kdlab.report import check_destination
from kdlab.reporting.analyse.calculator import Service
from kdlab.reporting.analyse.comparison import compared
from kdlab.reporting.assemble import collect
from kdlab.reporting.render.comparison_page import write_comparison
from kdlab.store.fingerprint import config_fingerprint
from tests.reporting.lab import Lab
from tests.reporting.made_up_comparison import example
from tests.tracking.wandb_server import wandb_server

REPOSITORY = Path(__file__).resolve().parents[2]
QUESTION = "Does a small student want a softer teacher?"
PUBLISH = """
import sys
from pathlib import Path
from kdlab.reporting.assemble import collect
from kdlab.tracking.report import publish_evidence
folders = [Path(sys.argv[1])]
for project in ("p", "elsewhere"):
    try:
        print(publish_evidence(collect(folders), folders, f"someone/{project}", folders[0] / "report"))
    except Exception as error:
        print(type(error).__name__, error)
"""


@pytest.fixture(scope="module")
def library():
    """The module under test; wandb takes seconds to import."""
    from kdlab.tracking import report as wandb_report

    return wandb_report


@pytest.fixture
def plane(tmp_path):
    """A sweep over temperature and alpha with two seeds, and one cell that failed."""
    lab = Lab(tmp_path)
    cells = []
    for seed in (0, 1):
        for temperature in (2, 8):
            for alpha in (0.5, 0.9):
                settings = {"loss.temperature": temperature, "loss.alpha": alpha}
                run = lab.run(90 + temperature / 4 + seed, 90.0, seed=seed, settings=settings)
                cells.append(([f"loss.temperature={temperature}", f"loss.alpha={alpha}", f"seed={seed}"], run, {}))
    broken = {"status": "failed", "error": "The loss is not finite: term ce", "exit_code": 1}
    cells.append((["loss.temperature=0.1", "loss.alpha=0.5", "seed=0"], None, broken))
    varied = {"loss.temperature": ["2", "8", "0.1"], "loss.alpha": ["0.5", "0.9"], "seed": ["0", "1"]}
    return lab.sweep(varied, cells, name="plane", question=QUESTION)


def specification(library, folder, group="plane-0a1b2c3d"):
    """The report as JSON; it names no project yet."""
    model = library.build_report(collect([folder]), group)._to_model()
    return json.loads(model.model_dump_json(by_alias=True, exclude_none=True))


def text(block):
    return block.get("text") or block.get("content") or "".join(map(text, block.get("children", ())))


def sections(report):
    """Blocks below each heading."""
    found, heading = {}, ""
    for block in report["spec"]["blocks"]:
        if block["type"] == "heading":
            heading = text(block)
        else:
            found.setdefault(heading, []).append(block)
    return found


def grid(blocks):
    """The run set and the panels of the one grid among some blocks."""
    (metadata,) = [block["metadata"] for block in blocks if block["type"] == "panel-grid"]
    (runs,) = metadata["runSets"]
    return runs, metadata["panelBankSectionConfig"]["panels"]


def filters(runs):
    return {one["key"]["name"]: (one["op"], one["value"]) for one in runs["filters"]["filters"]}


def test_the_question_is_the_title_and_the_answer_the_first_paragraph(library, plane):
    report = specification(library, plane)
    evidence = collect([plane])
    assert (report["displayName"], report["project"]) == (QUESTION, {"name": "", "entityName": ""})
    answer, remarks = sections(report)["Answer"]
    assert text(answer) == evidence.answer
    assert [text(item) for item in remarks["children"]] == list(evidence.remarks)


def test_a_comparison_is_a_section_and_a_report_of_its_own(library, monkeypatch, plane, tmp_path):
    content = compared(example(), Service(), [])
    write_comparison(content, plane / "comparison-01234567")
    found = sections(specification(library, plane))["Which network does the same for less?"]
    published = []
    monkeypatch.setattr(library, "publish", lambda file, to: published.append(json.loads(file.read_text())) or to)
    address = library.publish_comparison(content, tmp_path / "comparison-01234567", "team/students")
    (own,) = published
    assert (address, own["description"]) == ("team/students", "comparison-01234567")
    assert own["displayName"] == "Which network does the same for less?"
    for blocks in (found, sections(own)["Which network does the same for less?"]):
        answer, *tables, notes = [block for block in blocks if text(block)]
        assert text(answer).startswith("small (response), small.onnx in onnxruntime is the cheapest of 3 files")
        assert len(tables) == 3 and "| small (response) | small.onnx | onnxruntime | 90.15 ± 13.34 |" in text(tables[0])
        assert content["assumptions"][-1] in [text(item) for item in notes["children"]]


def test_a_question_longer_than_a_title_is_shown_in_full(library, tmp_path):
    lab, question = Lab(tmp_path), "Is it so, " + "or so, " * 20 + "or not?"
    folder = lab.grid("loss.temperature", {2: [(95.0, 90.0, 95.0)], 4: [(96.0, 90.0, 96.0)]}, question=question)
    report = specification(library, folder)
    assert (len(report["displayName"]), report["displayName"][-1]) == (128, "…")
    assert [text(block) for block in sections(report)[""] if text(block)] == [question]


def test_the_runs_are_the_finished_cells_of_the_sweeps_group(library, plane):
    runs, (plot,) = grid(sections(specification(library, plane))["Runs"])
    assert "project" not in runs
    chosen = {"jobType": ("=", "cell"), "group": ("=", "plane-0a1b2c3d"), "state": ("=", "finished")}
    assert filters(runs) == chosen
    assert {one.get("connector", "AND") for one in runs["filters"]["filters"]} == {"AND"}
    assert plot["viewType"] == "Parallel Coordinates Plot"
    assert [(axis["accessor"], axis["displayName"]) for axis in plot["config"]["columns"]] == [
        ("config:loss.value.temperature", "T"),
        ("config:loss.value.alpha", "alpha"),
        ("config:seed.value", "seed"),
        ("summary:student/val/accuracy", "validation accuracy"),
        ("summary:student/test/accuracy", "test accuracy"),
    ]


def test_runs_without_a_sweep_are_picked_by_their_configs(library, tmp_path):
    lab = Lab(tmp_path)
    folders = [lab.run(95.0, 90.0, settings={"loss.temperature": value}) for value in (2, 8)]
    runs, _ = grid(sections(specification(library, tmp_path, None))["Runs"])
    configs = [json.loads((folder / "result.json").read_text())["config"] for folder in folders]
    operator, values = filters(runs)["fingerprint"]
    assert (operator, set(values)) == ("IN", {config_fingerprint(config) for config in configs})
    (fingerprint,) = [one["key"] for one in runs["filters"]["filters"] if one["key"]["name"].startswith("fingerprint")]
    assert fingerprint["section"] == "config"


def test_temperature_and_alpha_are_a_table_and_a_plane(library, plane):
    blocks = sections(specification(library, plane))["T and alpha"]
    assert text(blocks[0]).splitlines()[0] == "| alpha \\ T | 2 | 8 |"
    mean = {2: 91.0, 8: 92.5}  # of seeds that are a point apart
    for row in text(blocks[0]).splitlines()[2:]:
        assert [float(cell.split()[0]) for cell in row.split("|")[2:4]] == [mean[2], mean[8]]
    _, heat_map, scatter, *_ = blocks
    runs, (chart,) = grid([heat_map])
    assert (filters(runs)["jobType"], chart["viewType"]) == (("=", "sweep"), "Vega2")
    assert chart["config"]["fieldSettings"] == {"x": "T", "y": "alpha", "value": "validation accuracy"}
    assert {"name": "summaryTable", "args": [{"name": "tableKey", "value": "heat_map"}], "fields": []} in chart[
        "config"
    ]["userQuery"]["queryFields"][0]["fields"]
    _, (plot,) = grid([scatter])
    axes = {name: plot["config"][name] for name in ("xAxis", "yAxis", "zAxis")}
    assert axes == {
        "xAxis": "config:loss.value.temperature",
        "yAxis": "config:loss.value.alpha",
        "zAxis": "summary:student/val/accuracy",
    }


def test_accuracy_is_drawn_against_each_cost_with_its_front(library, plane):
    _, plots = grid(sections(specification(library, plane))["Accuracy against cost"])
    assert [plot["config"]["xAxis"] for plot in plots] == [
        f"summary:student/{cost}" for cost in ("params", "flops", "seconds")
    ]
    assert {plot["config"]["yAxis"] for plot in plots} == {"summary:student/test/accuracy"}
    assert all(plot["config"]["showMaxYAxisLine"] for plot in plots)


def test_learning_curves_are_a_line_for_each_job_and_setting(library, plane):
    runs, plots = grid(sections(specification(library, plane))["Learning curves"])
    assert filters(runs) == {"jobType": ("=", "stage"), "group": ("=", "plane-0a1b2c3d")}
    assert [key["name"] for key in runs["grouping"]] == ["name.value", "loss.value.temperature", "loss.value.alpha"]
    assert [(plot["viewType"], plot["config"]["xAxis"], plot["config"]["metrics"]) for plot in plots] == [
        ("Run History Line Plot", "step", ["val/accuracy"]),
        ("Run History Line Plot", "step", ["train/loss"]),
    ]


def test_curves_of_loose_runs_are_those_of_their_stages(library, tmp_path):
    Lab(tmp_path).run(95.0, 90.0)
    runs, _ = grid(sections(specification(library, tmp_path, None))["Learning curves"])
    (evidence,) = collect([tmp_path]).settings
    stages = {stage["fingerprint"] for stage in evidence.runs[0].result["stages"]}
    assert set(filters(runs)["fingerprint"][1]) == stages


def test_curves_are_grouped_by_settings_that_stages_have(library, tmp_path):
    lab = Lab(tmp_path)
    cells = [
        ([f"loss={name}"], lab.run(95.0, 90.0, typed=[f"loss={name}"], settings={"loss.kind": name}), {})
        for name in ("dkd", "response")
    ]
    folder = lab.sweep({"loss": ["dkd", "response"]}, cells)
    runs, _ = grid(sections(specification(library, folder))["Learning curves"])
    assert [key["name"] for key in runs["grouping"]] == ["name.value"]


def test_seeds_are_bars_of_each_setting_with_their_error(library, plane):
    runs, bars = grid(sections(specification(library, plane))["Seeds"])
    assert [key["name"] for key in runs["grouping"]] == ["loss.value.temperature", "loss.value.alpha"]
    assert [bar["config"]["metrics"] for bar in bars] == [
        ["summary_metrics.student/test/accuracy"],
        ["summary_metrics.gain"],
    ]
    assert {(bar["config"]["groupAgg"], bar["config"]["groupArea"]) for bar in bars} == {("mean", "stderr")}


def test_failures_are_listed_and_their_runs_shown(library, plane):
    blocks = sections(specification(library, plane))["Without a result"]
    (item,) = blocks[0]["children"]
    assert text(item).endswith(": The loss is not finite: term ce") and text(item).startswith("T 0.1")
    runs, (panel,) = grid(blocks)
    assert (filters(runs)["state"], panel["viewType"]) == (("IN", ["failed", "crashed", "killed"]), "Run Comparer")


def test_one_seed_and_one_number_need_neither_bars_nor_plane(library, tmp_path):
    folder = Lab(tmp_path).grid("loss.temperature", {2: [(95.0, 90.0, 95.0)], 4: [(96.0, 90.0, 96.0)]})
    found = sections(specification(library, folder))
    assert set(found) == {
        "",
        "Answer",
        "Runs",
        "Settings",
        "Accuracy against cost",
        "Learning curves",
        "Without a result",
        "What reuse saved",
    }
    assert "Every cell has a result." in [text(block) for block in found["Without a result"]]


def test_a_group_of_options_is_an_axis_of_its_choices(library, tmp_path):
    lab = Lab(tmp_path)
    cells = [
        ([f"loss={name}"], lab.run(95.0, 90.0, typed=[f"loss={name}"], settings={"loss.kind": name}), {})
        for name in ("dkd", "response")
    ]
    folder = lab.sweep({"loss": ["dkd", "response"]}, cells)
    _, (plot,) = grid(sections(specification(library, folder))["Runs"])
    assert plot["config"]["columns"][0]["accessor"] == "config:choices.value.loss"


def test_nothing_but_failures_is_a_report_too(library, tmp_path):
    folder = Lab(tmp_path).sweep(
        {"loss.temperature": ["-1"]}, [(["loss.temperature=-1"], None, {"status": "failed", "error": "no"})]
    )
    found = sections(specification(library, folder))
    assert "Settings" not in found and len(found["Without a result"]) >= 2


@pytest.mark.parametrize("given", ["outputs", "parent"])
def test_the_group_is_the_sweeps_folder_or_that_of_the_logger(library, plane, given):
    folder = plane if given == "outputs" else plane.parent
    evidence = collect([folder])
    assert library.group_of(evidence, [folder]) == "plane-0a1b2c3d"
    config = evidence.settings[0].runs[0].result["config"]
    config["logger"] = {"group": "night"}
    assert library.group_of(evidence, [folder]) == "night"


def test_loose_runs_have_no_group(library, tmp_path):
    Lab(tmp_path).run(95.0, 90.0)
    assert library.group_of(collect([tmp_path]), [tmp_path]) is None


def test_a_server_gets_the_report_and_an_unknown_project_is_explained(plane):
    with wandb_server() as server:
        environment = {**os.environ, "WANDB_BASE_URL": server.url, "WANDB_API_KEY": "k" * 40}
        command = [sys.executable, "-c", PUBLISH, str(plane)]
        ended = subprocess.run(
            command, check=False, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=90
        )
    address, refused = ended.stdout.splitlines()
    assert address == f"{server.url}/someone/p/reports/Does-a-small-student-want-a-softer-teacher%3F--r1"
    (report,) = server.reports
    assert (report["entityName"], report["projectName"], report["type"]) == ("someone", "p", "runs")
    assert report["displayName"] == QUESTION
    assert "plane-0a1b2c3d" in report["spec"]
    assert refused.startswith("KdlabError --wandb: the report could not be published to someone/elsewhere (Run set ")
    assert "`wandb sync` uploads offline ones" in refused and ended.stderr == ""
    assert server.refusals == ["chart someone/kdlab-heat-map-v1 exists"]


@pytest.mark.parametrize("typed", ["team/", "/kdlab", "team/a/b", "team/a:b", ""])
def test_a_destination_is_an_entity_and_a_project(typed):
    with pytest.raises(BadInput, match="--wandb takes \[ENTITY/\]PROJECT, where the runs are, got"):
        check_destination(typed)


def test_a_report_without_wandb_does_not_import_it():
    code = "import sys, kdlab.report; sys.exit('wandb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 0
