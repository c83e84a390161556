"""The evidence as files for other programs and for people: `cells.csv` and `report.md`."""

import csv
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kdlab.reporting.analyse.formatting import OVER, SMALLER, brief, is_doubtful, percent, points
from kdlab.reporting.analyse.ranking import chosen_role
from kdlab.reporting.analyse.settings import seed
from kdlab.reporting.analyse.summary import differences
from kdlab.reporting.evidence import Evidence, Gain, Interval, Run, Setting
from kdlab.reporting.render.comparison_lines import QUESTION, sentences
from kdlab.reporting.render.comparison_lines import answer as comparison_answer
from kdlab.reporting.render.comparison_tables import comparison_rows, costs, figures, ratios
from kdlab.reporting.render.magnitude import duration
from kdlab.runtime.export_summary import shipped
from kdlab.store.atomic import write_text_atomically
from kdlab.tasks.description import Metric

ROLES = ("teacher", "student", "baseline", "control")
COSTS = ("params", "flops", "seconds")


def run_rows(evidence: Evidence, folder: Path) -> list[dict[str, Any]]:
    """A row for each run, in the order of the settings.

    Args:
        evidence: with the settings.
        folder: that `path`, the run directory, is relative to.
    """
    return [_row(run, setting, folder) for setting in evidence.settings for run in setting.runs]


def write_cells(evidence: Evidence, folder: Path) -> Path:
    """Writes `cells.csv`, a row for each run in the order of the settings; missing figures are left empty."""
    rows, text = run_rows(evidence, folder), io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path = folder / "cells.csv"
    write_text_atomically(path, text.getvalue())
    return path


def write_markdown(evidence: Evidence, folder: Path) -> Path:
    """Writes `report.md`: question, answer, remarks and tables."""
    path = folder / "report.md"
    write_text_atomically(path, "\n\n".join(_sections(evidence, folder)) + "\n")
    return path


def setting_cells(setting: Setting, role: str = "student") -> dict[str, str]:
    """A row of the table of settings: figures as text by column, `–` where there is none.

    Args:
        setting: of the row.
        role: that settings are ranked by, whose validation figure is shown.
    """
    metric, gain = setting.task.headline, setting.gain
    return {
        "setting": setting.label,
        "seeds": str(len(setting.runs)),
        "validation": _shown(setting.validated(role), metric),
        metric.heading("test"): _shown(setting.reached(), metric),
        "without teacher": _shown(setting.reached("baseline"), metric),
        "gain": _gain(gain, metric),
        "over test samples": "{:+.1f} to {:+.1f}".format(*gain.bootstrap) if gain and gain.bootstrap else "–",
        "p (Holm)": f"{gain.p_holm:.2g}" if gain and gain.p_holm is not None else "–",
        "over control": points(setting.gain_over_control, metric) if setting.gain_over_control else "–",
        "agreement": percent(agreement) if (agreement := setting.figures.get("agreement")) else "–",
        "latency": latency(setting) or "–",
    }


def latency(setting: Setting) -> str:
    """Of the artifact to ship, such as `0.312 ms`, and whether it is over budget; empty without one."""
    figure = setting.figures.get("export/p50")
    if figure is None:
        return ""
    over = any(run.export.get("within_budget") is False for run in setting.runs)
    return f"{1e3 * figure.mean:.3g} ms" + (f" ({OVER})" if over else "")


def shipped_rows(evidence: Evidence) -> list[dict[str, str]]:
    """Rows of the table of what can be shipped: text by column, without columns that are empty."""
    metric = evidence.task.headline
    rows = [
        {
            "setting": row.label or "this run",
            "artifact": ", ".join(row.artifacts) or "–",
            "engine": ", ".join(row.engines) or "–",
            "latency (ms)": _digits(row.latency_ms),
            "size (MB)": _digits(row.size_mb),
            f"its {metric.heading('test')}": _reached(row.reached, metric),
            "within budget": _within(row.within),
            "refused or over budget": "; ".join(row.against) or "–",
        }
        for row in evidence.shipped
    ]
    return _without_empty(rows)


def _reached(figure: Interval | None, metric: Metric) -> str:
    if figure is None:
        return "–"
    return metric.show(figure.mean) + ("" if figure.half is None else f" ± {figure.half:.{metric.decimals}f}")


def _digits(figure: Interval | None) -> str:
    if figure is None:
        return "–"
    return f"{figure.mean:.3g}" + ("" if figure.half is None else f" ± {figure.half:.2g}")


def _within(counts: tuple[int, int] | None) -> str:
    if counts is None:
        return "–"
    met, every = counts
    return {0: "no", every: "yes"}.get(met, f"{met} of {every}")


def setting_rows(evidence: Evidence, most: int | None = None) -> list[dict[str, str]]:
    """Rows of the table of settings, then those of the references, without columns that are empty.

    Args:
        evidence: with the settings.
        most: how many settings; None is all.
    """
    role, metric = chosen_role(evidence.varied), evidence.task.headline
    rows = [setting_cells(setting, role) for setting in evidence.settings[:most]]
    rows += [
        {"setting": one.label, metric.heading("test"): metric.brief(one.reached)} for one in evidence.references if rows
    ]
    return _without_empty(rows)


def _without_empty(rows: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Rows with the same columns, of which each has a cell that is not empty."""
    filled = {name for row in rows for name, cell in row.items() if cell != "–"}
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if name in filled]
    return [{name: row.get(name, "–") for name in names} for row in rows]


def _row(run: Run, setting: Setting, folder: Path) -> dict[str, Any]:
    result = run.result
    roles = {role: result.get(role) or {} for role in ROLES}
    student, baseline = roles["student"], roles["baseline"]
    task, name = run.task, run.task.headline.name
    return {
        **setting.values,
        "seed": seed(run),
        f"val_{name}": student.get(task.objective),
        f"test_{name}": student.get(task.outcome),
        f"teacher_test_{name}": roles["teacher"].get(task.outcome),
        f"baseline_val_{name}": baseline.get(task.objective),
        f"baseline_test_{name}": baseline.get(task.outcome),
        "gain": _difference(run, "baseline"),
        "gain_over_control": _difference(run, "control"),
        "agreement": result.get("agreement"),
        "kl_to_teacher": result.get("kl_to_teacher"),
        **{metric.name: student.get(f"test/{metric.name}") for metric in task.metrics[1:]},
        **{name: student.get(name) for name in COSTS},
        "best_minus_last": (result.get("best_minus_last") or {}).get("value"),
        **_exported(run),
        "path": os.path.relpath(run.path, folder),
    }


def _exported(run: Run) -> dict[str, Any]:
    """The artifact to ship, of a run with an export; where none meets the budgets, the fastest."""
    if not run.export:
        return {}
    found = shipped(run.export) or {}
    p50, size = found.get("p50"), found.get("size_bytes")
    return {
        "artifact": found.get("artifact"),
        "engine": found.get("engine"),
        "latency_ms": None if p50 is None else 1e3 * p50,
        "size_mb": None if size is None else size / 1e6,
        f"artifact_test_{run.task.headline.name}": found.get(run.task.outcome),
        "within_budget": run.export.get("within_budget"),
    }


def _difference(run: Run, other: str) -> float | None:
    return next(iter(differences([run], [run], "student", other).values()), None)


def _sections(evidence: Evidence, folder: Path) -> Iterator[str]:
    yield f"# {_inert(evidence.question)}"
    yield f"**{_inert(evidence.answer)}**"
    if evidence.remarks:
        yield "\n".join(f"- {_inert(remark)}" for remark in evidence.remarks)
    if evidence.settings:
        yield _settings(evidence)
    if evidence.shipped:
        sentences = "\n\n".join(map(_inert, evidence.shipping))
        yield f"## What can be shipped\n\n{sentences}\n\n{table(shipped_rows(evidence))}"
    yield from (comparison_markdown(content) for _, content in evidence.comparisons)
    if evidence.failures:
        rows = [{"cell": failure.label, "error": failure.error} for failure in evidence.failures]
        yield f"## Without a result\n\n{table(rows)}"
    if evidence.settings:
        yield f"## What reuse saved\n\n{saved(evidence)}"
    if evidence.published:
        yield f"## Published figures\n\n{_published(evidence.published)}"
    if evidence.sweep and evidence.sweep.get("command"):
        yield f"## The command\n\n```\n{evidence.sweep['command']}\n```"


def comparison_markdown(content: Mapping[str, Any]) -> str:
    """A comparison: its answer, its tables, and what qualifies them."""
    tables = [table(comparison_rows(content, of)) for of in (figures, ratios, costs)]
    notes = "\n".join(f"- {_inert(line)}" for line in (*sentences(content), *content["assumptions"]))
    return "\n\n".join([f"## {QUESTION}", _inert(comparison_answer(content)), *tables, notes])


def _settings(evidence: Evidence) -> str:
    metric = evidence.task.headline
    ranked = f"Best first, by validation {metric.label}."
    order = ranked if evidence.best else "In the order of the values; nothing is ranked."
    note = (
        f"{order} Intervals are Student's t over seeds at 95 %; gains are paired by seed, in "
        f"{metric.gain_text('test')}; "
        "`over test samples` is a paired bootstrap, 95 %."
    )
    return f"## Settings\n\n{table(setting_rows(evidence))}\n\n{note}"


def saved(evidence: Evidence) -> str:
    """One sentence about stages that were reused, and what that saved."""
    savings = evidence.savings
    trained, without_reuse = savings.seconds, savings.seconds_without_reuse
    share = f", {1 - trained / without_reuse:.0%} less" if without_reuse > trained else ""
    runs = "1 run is" if savings.cells == 1 else f"{savings.cells} runs are"
    text = (
        f"{runs} made of {savings.stages} distinct stages; without reuse, {savings.uses} would have been trained. "
        f"Training took {duration(trained)} instead of {duration(without_reuse)}{share}."
    )
    if hits := savings.cache_hits:
        outputs = savings.teacher_outputs
        text += f" Of {outputs:,} outputs of teachers, {hits / outputs:.0%} were read from the cache."
    return text


def _published(rows: Sequence[Mapping[str, Any]]) -> str:
    shown = [
        {
            "method": row["method"],
            "teacher": _figure(row["teacher"]),
            "student without a teacher": _figure(row["student_alone"]),
            "student": _figure(row["student"]),
            "here": percent(row["here"]) if row.get("here") else "–",
            "note": row["note"],
            "source": row["source"],
        }
        for row in rows
    ]
    return table(shown)


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows as a table of Markdown, a column for each key of the first."""
    heads = list(rows[0])
    lines = [heads, ["---"] * len(heads), *([_inert(row[head]) or " " for head in heads] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _gain(gain: Gain | None, metric: Metric) -> str:
    if gain is None:
        return "–"
    return points(gain.points, metric) + (f" ({SMALLER})" if is_doubtful(gain.points) else "")


def _shown(figure: Interval | None, metric: Metric) -> str:
    return brief(figure, metric) if figure else "–"


def _figure(number: float | None) -> str:
    return "–" if number is None else f"{number:g}"


def _inert(text: str) -> str:
    """Text that Markdown takes as it is: one line, no cell borders, no tags."""
    line = " ".join(text.split())
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", line.replace("&", "&amp;")).replace("|", "\\|").replace("*", "\\*")
