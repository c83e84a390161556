"""The stand-in takes what the installed packages say the real API takes, and refuses all else."""

import json

import pytest
import requests
import wandb_workspaces.reports.v2 as wr
from wandb_workspaces.reports.v2 import gql

from tests.tracking.wandb_api import Refused, check_chart, check_report, check_request, operations
from tests.tracking.wandb_server import KEY, wandb_server

VIEW = {"entityName": "someone", "projectName": "p", "type": "runs", "name": "n", "displayName": "t", "description": ""}


def specification():
    grid = wr.PanelGrid(runsets=[wr.Runset(name="all")], panels=[wr.ScatterPlot(x="a", y="b")])
    blocks = [wr.H1("Answer"), grid]
    model = wr.Report(entity="", project="", title="t", blocks=blocks)._to_model()
    return json.loads(model.spec.model_dump_json(by_alias=True, exclude_none=True))


def panels(content):
    (grid,) = [block for block in content["blocks"] if block["type"] == "panel-grid"]
    return grid["metadata"]["panelBankSectionConfig"]["panels"]


def test_the_operations_of_the_compiled_part_and_of_the_python_parts_are_known():
    assert "JSONString" in [found.get("config") for found in operations()["UpsertBucket"]]  # of the compiled part
    assert {"id": "ID", **dict.fromkeys(VIEW, "String"), "spec": "String!"} in operations()["upsertView"]
    assert {"project": "String!", "entity": "String!", "name": "String!"} in operations()["Run"]


@pytest.mark.parametrize(
    ("query", "variables", "text"),
    [
        ("mutation createReport($spec: String!) { x }", {"spec": "{}"}, "createReport .* is none that wandb sends"),
        ("mutation upsertView($spec: JSON!) { x }", {"spec": "{}"}, "upsertView .* is none that wandb sends"),
        ("print(1)", {}, "no GraphQL operation"),
        (gql.upsert_view, VIEW, "upsertView.spec is String! and must be given"),
        (gql.upsert_view, {**VIEW, "spec": {}}, "upsertView.spec must be String, got {}"),
        (gql.upsert_view, {**VIEW, "spec": "{}", "colour": "red"}, "upsertView has no variables .*colour"),
    ],
)
def test_an_operation_or_a_variable_that_wandb_does_not_have_is_refused(query, variables, text):
    with pytest.raises(Refused, match=text):
        check_request(query, variables)


def test_json_and_lists_are_checked_too():
    declared = next(found for found in operations()["UpsertBucket"] if {"config", "tags", "debug"} <= set(found))
    query = f"mutation UpsertBucket ({', '.join(f'${name}: {kind}' for name, kind in declared.items())}) {{"
    assert check_request(query, {"config": "{}", "tags": ["a"]}) == "UpsertBucket"
    for wrong in ({"config": "{"}, {"config": {}}, {"tags": "a"}, {"tags": [1]}, {"debug": "yes"}):
        with pytest.raises(Refused, match=f"UpsertBucket.{next(iter(wrong))} must be"):
            check_request(query, wrong)


def test_a_report_that_the_package_writes_is_taken():
    content = specification()
    assert check_report(json.dumps(content)) == content


def test_a_field_a_panel_or_a_block_that_the_package_does_not_know_is_refused():
    for break_it, text in {
        lambda content: content.update(colour="red"): r"spec has no fields \['colour'\]",
        lambda content: content["blocks"][1].update(colour="red"): r"blocks\[1\] has no fields \['colour'\]",
        lambda content: panels(content)[0]["config"].update(zAxiss="c"): "has no fields .*zAxiss",
        lambda content: panels(content)[0].update(viewType="Heat Map"): "no known type: .*UnknownPanel",
        lambda content: content["blocks"].append({"type": "poem"}): "specification of a report",
        lambda content: panels(content)[0]["config"].update(legendFields="all"): "no known type|has no fields",
    }.items():
        content = specification()
        break_it(content)
        with pytest.raises(Refused, match=text):
            check_report(json.dumps(content))
    with pytest.raises(Refused, match="specification of a report"):
        check_report("{")


def test_a_chart_takes_the_data_of_wandb_and_draws_something():
    chart = {"$schema": "https://vega.github.io/schema/vega-lite/v5.json", "data": {"name": "wandb"}, "mark": "rect"}
    check_chart(json.dumps(chart))
    for key, value in {"$schema": "", "data": {"values": []}, "mark": None}.items():
        wrong = {**chart, key: value} if value is not None else {name: chart[name] for name in ("$schema", "data")}
        with pytest.raises(Refused, match="a chart"):
            check_chart(json.dumps(wrong))


def test_the_server_refuses_another_key_and_says_why_it_refuses():
    content = specification()
    request = {"query": gql.upsert_view, "variables": {**VIEW, "spec": json.dumps(content)}}
    with wandb_server() as server:
        address = f"{server.url}/graphql"
        assert requests.post(address, json=request, auth=("api", "x" * 40), timeout=10).status_code == 401
        answer = requests.post(address, json=request, auth=("api", KEY), timeout=10)
    assert (answer.status_code, server.refusals) == (400, ["run set all is of no project"])
    assert answer.json()["errors"] == [{"message": "run set all is of no project"}]
