"""The evidence as a report of Weights & Biases: question, answer, tables, and panels of the runs.

wandb takes a second or more to import, so this module is imported only for such a report.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import wandb_workspaces.reports.v2 as wr
from wandb_workspaces import expr
from wandb_workspaces.reports.v2.interface import BlockTypes, PanelTypes

from kdlab.errors import BadInput, KdlabError, first_line
from kdlab.reporting.analyse.formatting import brief
from kdlab.reporting.analyse.labels import names
from kdlab.reporting.analyse.ranking import chosen_role
from kdlab.reporting.evidence import Evidence, Interval
from kdlab.reporting.render.comparison_lines import QUESTION, sentences
from kdlab.reporting.render.comparison_lines import answer as comparison_answer
from kdlab.reporting.render.comparison_tables import comparison_rows, costs, figures, ratios
from kdlab.reporting.render.tables import saved, setting_rows, table
from kdlab.runtime.sweep_records import ABOUT
from kdlab.store.fingerprint import config_fingerprint
from kdlab.tracking.wandb import has_credentials

LONGEST_TITLE = 128  # characters
COSTS = {"params": "Parameters", "flops": "Operations per sample", "seconds": "Seconds of training"}
PLANE = {"loss.temperature": 0, "loss.alpha": 1}  # first across, second down
FULL_WIDTH = wr.Layout(w=24, h=12)


def publish_evidence(evidence: Evidence, folders: Sequence[Path], destination: str) -> str:
    """Builds and publishes the report of some folders' runs.

    Args:
        evidence: of the runs.
        folders: in which they are.
        destination: `ENTITY/PROJECT`, where they were logged.

    Returns:
        The report's address.
    """
    entity, project = destination.split("/")
    return publish(build_report(evidence, project, entity, group_of(evidence, folders)))


def publish_comparison(content: Mapping[str, Any], name: str, destination: str) -> str:
    """Builds and publishes the report of a comparison.

    Args:
        content: of its `comparison.json`.
        name: of its folder.
        destination: `ENTITY/PROJECT`.

    Returns:
        The report's address.
    """
    entity, project = destination.split("/")
    blocks = list(_comparison(content))
    return publish(wr.Report(entity=entity, project=project, title=QUESTION, description=name, blocks=blocks))


def group_of(evidence: Evidence, folders: Sequence[Path]) -> str | None:
    """The W&B group of the sweep that all runs are cells of: its folder's name, or `logger.group`."""
    if evidence.sweep is None:
        return None
    configs = (run.result["config"] for setting in evidence.settings for run in setting.runs)
    if group := next((config["logger"].get("group") for config in configs if "logger" in config), None):
        return str(group)
    found = (path for folder in folders for parent in ("", "*/") for path in folder.resolve().glob(f"{parent}{ABOUT}"))
    return next((path.parent.name for path in found), None)


def build_report(evidence: Evidence, project: str, entity: str, group: str | None = None) -> wr.Report:
    """The report, not yet published; no server is contacted.

    Args:
        evidence: of the runs.
        project: where they were logged, and where the report will be.
        entity: team or user that the project belongs to.
        group: of the sweep's runs; None picks the finished runs by their configs.
    """
    runs = _Runs(evidence, project, entity, group)
    title = _one_line(evidence.question)
    return wr.Report(
        entity=entity,
        project=project,
        title=title if len(title) <= LONGEST_TITLE else f"{title[: LONGEST_TITLE - 1]}…",
        description=evidence.title,
        blocks=list(_blocks(evidence, runs)),
        width="fluid",
    )


def publish(report: wr.Report) -> str:
    """Puts a report on the server.

    Returns:
        Its address.

    Raises:
        BadInput: there is no API key.
        KdlabError: no network, no such project, no permission.
    """
    if not has_credentials():
        raise BadInput("--wandb needs an API key, found none. Run `wandb login`, or set WANDB_API_KEY.")
    try:
        with redirect_stderr(StringIO()):  # the address that wandb prints breaks at the question mark of a title
            report.save()
        return quote(report.url, safe=":/")
    except Exception as error:  # wandb raises many types
        raise KdlabError(
            f"--wandb: the report could not be published to {report.entity}/{report.project} ({first_line(error)}). "
            "Look at login, permission and network, and that the runs are there (`wandb sync` uploads offline ones)."
        ) from error


class _Runs:
    """The runs of the report, as run sets for its panels."""

    def __init__(self, evidence: Evidence, project: str, entity: str, group: str | None) -> None:
        self.are_a_group = group is not None
        self._entity, self._project = entity, project
        self._which = [expr.Metric("JobType") == "cell", _chosen(evidence, group)]

    def finished(self, name: str, by: Sequence[wr.Config] = ()) -> wr.Runset:
        """Cells that have a result; grouped where `by` names settings."""
        groups = [f"config.{setting.name}" for setting in by]
        return self._set(name, [expr.Metric("State") == "finished"], groupby=groups)

    def failed(self) -> wr.Runset:
        return self._set("Failed", [expr.Metric("State").isin(["failed", "crashed", "killed"])])

    def _set(self, name: str, also: list[expr.FilterExpr], groupby: Sequence[str] = ()) -> wr.Runset:
        return wr.Runset(
            entity=self._entity,
            project=self._project,
            name=name,
            filters=expr.And(*self._which, *also),
            groupby=list(groupby),
        )


def _chosen(evidence: Evidence, group: str | None) -> expr.FilterExpr:
    if group is not None:
        return expr.Metric("Group") == group
    every = [run for setting in evidence.settings for run in setting.runs]
    return expr.Config("fingerprint").isin([config_fingerprint(run.result["config"]) for run in every])


def _blocks(evidence: Evidence, runs: _Runs) -> Iterator[BlockTypes]:
    if len(_one_line(evidence.question)) > LONGEST_TITLE:
        yield wr.P(evidence.question)
    yield wr.H1("Answer")
    yield wr.P(evidence.answer)
    if evidence.remarks:
        yield wr.UnorderedList(items=list(evidence.remarks))
    yield wr.H1("Runs")
    yield _overview(evidence, runs)
    if evidence.settings:
        yield wr.H1("Settings")
        yield wr.MarkdownBlock(table(setting_rows(evidence)))
    for _, content in evidence.comparisons:
        yield from _comparison(content)
    yield from _plane(evidence, runs)
    metric = evidence.task.headline
    best = "highest" if metric.higher_is_better else "lowest"
    yield wr.H1(f"{metric.label.capitalize()} against cost")
    yield wr.P(f"The line is the {best} {metric.label} so far, by rising cost: runs on it are the Pareto front.")
    yield wr.PanelGrid(runsets=[runs.finished("Finished")], panels=_pareto(evidence))
    if len(evidence.seeds) > 1:
        yield from _seeds(evidence, runs)
    yield wr.H1("Without a result")
    yield from _failures(evidence, runs)
    if evidence.settings:
        yield wr.H1("What reuse saved")
        yield wr.P(saved(evidence))


def _comparison(content: Mapping[str, Any]) -> Iterator[BlockTypes]:
    """What `kdlab.compare` found: its answer, its tables, and what qualifies them."""
    yield wr.H1(QUESTION)
    yield wr.P(comparison_answer(content))
    yield from (wr.MarkdownBlock(table(comparison_rows(content, of))) for of in (figures, ratios, costs))
    yield wr.UnorderedList(items=[*sentences(content), *content["assumptions"]])


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _overview(evidence: Evidence, runs: _Runs) -> wr.PanelGrid:
    shown = names(list(evidence.varied))
    columns: list[tuple[wr.Config | wr.SummaryMetric, str]] = [
        (_config(evidence, key), shown[key]) for key in evidence.varied
    ]
    if len(evidence.seeds) > 1:
        columns.append((wr.Config("seed"), "seed"))
    label = evidence.task.headline.label
    columns += [(_validation(evidence), f"validation {label}"), (_outcome(evidence), f"test {label}")]
    axes = [wr.ParallelCoordinatesPlotColumn(metric, display_name=name) for metric, name in columns]
    plot = wr.ParallelCoordinatesPlot(columns=axes, title="Varied settings and their results", layout=FULL_WIDTH)
    return wr.PanelGrid(runsets=[runs.finished("Finished")], panels=[plot])


def _plane(evidence: Evidence, runs: _Runs) -> Iterator[BlockTypes]:
    """Two numbers that vary, against each other; temperature and alpha where these do."""
    numbers = [key for key, values in evidence.varied.items() if len(values) > 1 and all(map(_is_number, values))]
    if len(numbers) < 2:
        return
    across, down = sorted(numbers, key=lambda key: PLANE.get(key, len(PLANE)))[:2]
    shown = names([across, down])
    yield wr.H1(f"{shown[across]} and {shown[down]}")
    if evidence.varied.keys() == {across, down}:
        yield wr.MarkdownBlock(table(_grid(evidence, across, down)))
    plot = wr.ScatterPlot(
        title=f"Validation {evidence.task.headline.label}, by colour",
        x=_config(evidence, across),
        y=_config(evidence, down),
        z=_validation(evidence),
        gradient=[wr.GradientPoint(color="#440154", offset=0), wr.GradientPoint(color="#fde725", offset=100)],
        layout=FULL_WIDTH,
    )
    yield wr.PanelGrid(runsets=[runs.finished("Finished")], panels=[plot])


def _grid(evidence: Evidence, across: str, down: str) -> list[dict[str, str]]:
    """The headline metric on test, a row for each value of one setting and a column for each of the other."""
    shown = names([across, down])
    found = {(one.values[across], one.values[down]): one.reached() for one in evidence.settings}
    corner = f"{shown[down]} \\ {shown[across]}"
    return [
        {
            corner: f"{row:g}",
            **{f"{column:g}": _cell(found.get((column, row)), evidence) for column in evidence.varied[across]},
        }
        for row in evidence.varied[down]
    ]


def _pareto(evidence: Evidence) -> list[PanelTypes]:
    metric = evidence.task.headline
    return [
        wr.ScatterPlot(
            title=f"Test {metric.label} against {name.lower()}",
            x=wr.SummaryMetric(f"student/{cost}"),
            y=_outcome(evidence),
            log_x=True,
            running_ymax=metric.higher_is_better,
            running_ymin=not metric.higher_is_better,
            layout=wr.Layout(x=8 * index, w=8, h=10),
        )
        for index, (cost, name) in enumerate(COSTS.items())
    ]


def _seeds(evidence: Evidence, runs: _Runs) -> Iterator[BlockTypes]:
    by = [_config(evidence, key) for key in evidence.varied]
    yield wr.H1("Seeds")
    yield wr.P(f"Mean and standard error over the seeds {', '.join(map(str, evidence.seeds))}; one bar a setting.")
    bars: list[PanelTypes] = [
        wr.BarPlot(
            title=title,
            metrics=[metric],
            groupby=by[0] if len(by) == 1 else None,
            groupby_aggfunc="mean",
            groupby_rangefunc="stderr",
            aggregate=True,
            layout=wr.Layout(x=12 * index, w=12, h=10),
        )
        for index, (title, metric) in enumerate(
            {f"Test {evidence.task.headline.label}": _outcome(evidence), "Gain": wr.SummaryMetric("gain")}.items()
        )
    ]
    yield wr.PanelGrid(runsets=[runs.finished("Settings", by)], panels=bars)


def _failures(evidence: Evidence, runs: _Runs) -> Iterator[BlockTypes]:
    if not evidence.failures:
        yield wr.P("Every cell has a result.")
        return
    yield wr.UnorderedList(items=[f"{failure.label}: {failure.error}" for failure in evidence.failures])
    if runs.are_a_group:
        yield wr.PanelGrid(runsets=[runs.failed()], panels=[wr.RunComparer(diff_only="split", layout=FULL_WIDTH)])


def _validation(evidence: Evidence) -> wr.SummaryMetric:
    """The figure by which settings are chosen."""
    return wr.SummaryMetric(f"{chosen_role(evidence.varied)}/{evidence.task.objective}")


def _outcome(evidence: Evidence) -> wr.SummaryMetric:
    """The headline metric of the students on test."""
    return wr.SummaryMetric(f"student/{evidence.task.outcome}")


def _config(evidence: Evidence, key: str) -> wr.Config:
    """The key of a setting in the runs' W&B config: its own, or that of the chosen option of a config group."""
    configs = [run.result["config"] for setting in evidence.settings for run in setting.runs]
    return wr.Config(key if any(_is_value(config, key) for config in configs) else f"choices.{key}")


def _is_value(config: Any, key: str) -> bool:
    for part in key.split("."):
        if not isinstance(config, Mapping) or part not in config:
            return False
        config = config[part]
    return not isinstance(config, Mapping)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(figure: Interval | None, evidence: Evidence) -> str:
    return brief(figure, evidence.task.headline) if figure else "–"
