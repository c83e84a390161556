"""The specification of a W&B report: a file that names no project, written with or without a network, and published.

wandb-workspaces writes and reads it, by `_to_model` and `_from_model`: the JSON that the server takes has no other way.
"""

import json
from collections.abc import Iterator
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import wandb_workspaces.reports.v2 as wr
from wandb_workspaces.reports.v2.internal import ReportViewspec

from kdlab.errors import BadInput, KdlabError, first_line
from kdlab.store.atomic import write_text_atomically
from kdlab.tracking.heat_map import HEAT_MAP, heat_map_chart
from kdlab.tracking.wandb import has_credentials

FILE = "wandb.json"


def write_specification(report: wr.Report, folder: Path) -> Path:
    """Writes a report to `wandb.json`, which keeps the address of the one that was published before from the folder.

    Args:
        report: without entity and project, which are given when it is published.
        folder: such as `report/` of a sweep.

    Returns:
        The file's path.
    """
    file = folder / FILE
    model: ReportViewspec = report._to_model()  # type: ignore[no-untyped-call]
    text = model.model_dump_json(by_alias=True, exclude_none=True)
    return _write(file, {**json.loads(text), "published": _published(file)})


def publish(file: Path, destination: str) -> str:
    """Puts the report of a file on the server: a new one, or in place of the one that it published there before.

    Args:
        file: of `write_specification`.
        destination: `ENTITY/PROJECT`, where the runs are; `PROJECT` is one of the account's default entity.

    Returns:
        Its address.

    Raises:
        BadInput: there is no API key, or the file holds no report.
        KdlabError: no network, no such project, no permission, a key that is refused.
    """
    if not has_credentials():
        raise BadInput("--wandb needs an API key, found none. Run `wandb login`, or set WANDB_API_KEY.")
    content = _read(file)
    try:
        with redirect_stderr(StringIO()):  # the address that wandb prints breaks at the question mark of a title
            report = _saved(content, destination)
        _write(file, content)
        return quote(report.url, safe=":/")
    except Exception as error:  # wandb raises many types
        raise KdlabError(
            f"--wandb: the report could not be published to {destination} ({first_line(error)}). "
            "Look at login, permission and network, and that the runs are there (`wandb sync` uploads offline ones)."
        ) from error


def _saved(content: dict[str, Any], destination: str) -> wr.Report:
    """The report on the server; its id is noted in `content`."""
    import wandb

    entity, _, project = destination.rpartition("/")
    entity = entity or str(wandb.Api().default_entity)
    known = content["published"].get(f"{entity}/{project}", "")
    report = _addressed(content, entity, project)
    report.id = known
    try:
        report.save()
    except Exception:
        if not known:
            raise
        report.id = ""  # the one before may have been deleted
        report.save()
    content["published"][f"{entity}/{project}"] = report.id
    return report


def _addressed(content: dict[str, Any], entity: str, project: str) -> wr.Report:
    model = ReportViewspec.model_validate({key: value for key, value in content.items() if key != "published"})
    report: wr.Report = wr.Report._from_model(model)
    report.entity, report.project = entity, project
    report.width = content["spec"]["width"]  # which `_from_model` leaves out
    for runset in _runsets(report):
        runset.entity, runset.project = entity, project
    for chart in _heat_maps(report):
        chart.chart_name = heat_map_chart(entity)
    return report


def _runsets(report: wr.Report) -> Iterator[wr.Runset]:
    for block in report.blocks:
        if isinstance(block, wr.PanelGrid):
            yield from block.runsets


def _heat_maps(report: wr.Report) -> Iterator[wr.CustomChart]:
    panels = (panel for block in report.blocks if isinstance(block, wr.PanelGrid) for panel in block.panels)
    yield from (panel for panel in panels if isinstance(panel, wr.CustomChart) and panel.chart_name == HEAT_MAP)


def _published(file: Path) -> dict[str, str]:
    return dict(_read(file)["published"]) if file.is_file() else {}


def _read(file: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        _ = content["spec"]["blocks"], content["published"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"--wandb reads a report's specification from {file}, which is none ({first_line(error)}). Remove the file."
        ) from error
    return content


def _write(file: Path, content: dict[str, Any]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomically(file, json.dumps(content, indent=1))
    return file
