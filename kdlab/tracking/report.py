"""The evidence as a report of Weights & Biases: question, answer, tables, and panels of the runs.

wandb takes a second or more to import, so this module is imported only for such a report.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import wandb_workspaces.reports.v2 as wr
from wandb_workspaces import expr
from wandb_workspaces.reports.v2.interface import BlockTypes, PanelTypes

from kdlab.reporting.analyse.formatting import brief
from kdlab.reporting.analyse.labels import names
from kdlab.reporting.analyse.ranking import chosen_role
from kdlab.reporting.evidence import Evidence, Interval
from kdlab.reporting.render.comparison_lines import QUESTION, sentences
from kdlab.reporting.render.comparison_lines import answer as comparison_answer
from kdlab.reporting.render.comparison_tables import comparison_rows, costs, figures, ratios
from kdlab.reporting.render.tables import saved, setting_rows, table
from kdlab.store.fingerprint import config_fingerprint
from kdlab.tracking.heat_map import HEAT_MAP
from kdlab.tracking.specification import publish, write_specification
from kdlab.tracking.sweep import HEAT_MAP_TABLE, SWEEP, group_of, heat_map_columns, plane

LONGEST_TITLE = 128  # characters
COSTS = {"params": "Parameters", "flops": "Operations per sample", "seconds": "Seconds of training"}
OF_STAGES = ("data", "epochs", "loss", "optimizer", "scheduler")  # settings that are in a stage's own config
ANYWHERE: dict[str, Any] = {"entity": "", "project": ""}  # until it is published
FULL_WIDTH = wr.Layout(w=24, h=12)


def publish_evidence(evidence: Evidence, folders: Sequence[Path], destination: str, out: Path) -> str:
    """Publishes the report of some folders' runs.

    Args:
        evidence: of the runs.
        folders: in which they are.
        destination: `ENTITY/PROJECT` or `PROJECT`, where they were logged.
        out: the folder of kdlab's own report, where the specification is written.

    Returns:
        The report's address.
    """
    return publish(write_specification(build_report(evidence, group_of(evidence, folders)), out), destination)


def publish_comparison(content: Mapping[str, Any], folder: Path, destination: str) -> str:
    """Publishes the report of a comparison.

    Args:
        content: of its `comparison.json`.
        folder: of the comparison, where the specification is written.
        destination: `ENTITY/PROJECT` or `PROJECT`.

    Returns:
        The report's address.
    """
    report = wr.Report(title=QUESTION, description=folder.name, blocks=list(_comparison(content)), **ANYWHERE)
    return publish(write_specification(report, folder), destination)


def build_report(evidence: Evidence, group: str | None = None) -> wr.Report:
    """The report, which names no project yet; no server is contacted.

    Args:
        evidence: of the runs.
        group: of the sweep's runs; None picks the finished runs and their stages by their fingerprints.
    """
    title = _one_line(evidence.question)
    return wr.Report(
        title=title if len(title) <= LONGEST_TITLE else f"{title[: LONGEST_TITLE - 1]}…",
        description=evidence.title,
        blocks=list(_blocks(evidence, _Runs(evidence, group))),
        width="fluid",
        **ANYWHERE,
    )


class _Runs:
    """The runs of the report, as run sets for its panels."""

    def __init__(self, evidence: Evidence, group: str | None) -> None:
        self.are_a_group = group is not None
        every = [run.result for setting in evidence.settings for run in setting.runs]
        self._cells = _chosen(group, [config_fingerprint(result["config"]) for result in every])
        self._stages = _chosen(group, [stage["fingerprint"] for result in every for stage in result["stages"]])

    def finished(self, name: str, by: Sequence[wr.Config] = ()) -> wr.Runset:
        """Cells that have a result; grouped where `by` names settings."""
        return _set(name, by, expr.Metric("JobType") == "cell", self._cells, expr.Metric("State") == "finished")

    def failed(self) -> wr.Runset:
        """Cells without a result."""
        states = expr.Metric("State").isin(["failed", "crashed", "killed"])
        return _set("Failed", (), expr.Metric("JobType") == "cell", self._cells, states)

    def stages(self, by: Sequence[wr.Config]) -> wr.Runset:
        """Stages that were trained."""
        return _set("Stages", by, expr.Metric("JobType") == "stage", self._stages)

    def sweep(self) -> wr.Runset:
        """The sweep's own run, with its tables."""
        return _set("Sweep", (), expr.Metric("JobType") == SWEEP, self._cells)


def _set(name: str, by: Sequence[wr.Config], *filters: expr.FilterExpr) -> wr.Runset:
    return wr.Runset(name=name, filters=expr.And(*filters), groupby=[f"config.{setting.name}" for setting in by])


def _chosen(group: str | None, fingerprints: Sequence[str]) -> expr.FilterExpr:
    if group is not None:
        return expr.Metric("Group") == group
    return expr.Config("fingerprint").isin(sorted(set(fingerprints)))


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
    if evidence.settings:
        yield from _curves(evidence, runs)
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
    """Two numbers that vary, against each other: a table and a heat map of settings, and each run by its colour."""
    if (axes := plane(evidence)) is None:
        return
    across, down = axes
    shown = names([across, down])
    yield wr.H1(f"{shown[across]} and {shown[down]}")
    if evidence.varied.keys() == {across, down}:
        yield wr.MarkdownBlock(table(_grid(evidence, across, down)))
    if runs.are_a_group:
        yield wr.PanelGrid(runsets=[runs.sweep()], panels=[_heat_map(evidence, across, down)])
    plot = wr.ScatterPlot(
        title=f"Validation {evidence.task.headline.label} of each run, by colour",
        x=_config(evidence, across),
        y=_config(evidence, down),
        z=_validation(evidence),
        gradient=[wr.GradientPoint(color="#440154", offset=0), wr.GradientPoint(color="#fde725", offset=100)],
        layout=FULL_WIDTH,
    )
    yield wr.PanelGrid(runsets=[runs.finished("Finished")], panels=[plot])


def _heat_map(evidence: Evidence, across: str, down: str) -> wr.CustomChart:
    """Shows the table of the sweep's own run; the name of its chart is completed when the report is published."""
    *_, value = heat_map_columns(evidence)
    labels = dict(zip(("x", "y"), names([across, down]).values(), strict=True)) | {"value": value}
    return wr.CustomChart(
        query={"summaryTable": {"tableKey": HEAT_MAP_TABLE}},
        chart_name=HEAT_MAP,
        chart_fields=labels,
        chart_strings={**labels, "title": f"{value}, mean over seeds"},
        layout=FULL_WIDTH,
    )


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


def _curves(evidence: Evidence, runs: _Runs) -> Iterator[BlockTypes]:
    """The history of every stage: a line for each job and setting, the mean over its runs."""
    by = [wr.Config("name"), *(wr.Config(key) for key in evidence.varied if _is_of_stages(evidence, key))]
    metric = evidence.task.headline
    yield wr.H1("Learning curves")
    yield wr.P("Every stage that was trained, by optimizer step: mean and range over the runs of each job and setting.")
    shown = {f"Validation {metric.label}": evidence.task.objective, "Training loss": "train/loss"}
    plots: list[PanelTypes] = [
        wr.LinePlot(
            title=title,
            x="step",
            y=[name],
            title_x="optimizer step",
            groupby_aggfunc="mean",
            groupby_rangefunc="minmax",
            aggregate=True,
            layout=wr.Layout(x=12 * index, w=12, h=12),
        )
        for index, (title, name) in enumerate(shown.items())
    ]
    yield wr.PanelGrid(runsets=[runs.stages(by)], panels=plots)


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


def _is_of_stages(evidence: Evidence, key: str) -> bool:
    return key.partition(".")[0] in OF_STAGES and _config(evidence, key).name == key


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


def _cell(figure: Interval | None, evidence: Evidence) -> str:
    return brief(figure, evidence.task.headline) if figure else "–"
