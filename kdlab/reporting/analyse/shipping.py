"""What can be shipped, and which student to ship: chosen on validation, of those within the budget."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kdlab.reporting.analyse.formatting import brief
from kdlab.reporting.analyse.labels import shown
from kdlab.reporting.analyse.ranking import ranked, validation, why_unranked
from kdlab.reporting.evidence import Evidence, Interval, Run, Setting, Shipped
from kdlab.runtime.export_summary import shipped

BUDGETS = ("export.max_latency_ms", "export.max_size_mb", "export.min_accuracy")
STUDENT = "student"


def shipped_settings(settings: Sequence[Setting]) -> Iterator[Shipped]:
    """A row for each setting that has an export, in their order."""
    for setting in settings:
        if runs := [run for run in setting.runs if run.export]:
            yield _row(setting, runs)


def shipping(evidence: Evidence) -> Iterator[str]:
    """The sentences below that table: which to ship and how it was chosen, and what qualifies its latencies.

    Args:
        evidence: with its settings and `shipped`.
    """
    if not evidence.shipped:
        return
    rows = {row.label: row for row in evidence.shipped}
    settings = [setting for setting in evidence.settings if setting.label in rows]
    runs = [run for setting in settings for run in setting.runs if run.export]
    yield _choice(settings, rows, _budget(runs))
    machines = sorted({str(run.export["cpu"]) for run in runs if run.export.get("cpu")})
    if len(machines) > 1:
        yield f"Latencies of different machines ({', '.join(machines)}) do not compare."
    if (evidence.sweep or {}).get("is_parallel"):
        yield (
            "Other cells ran at the same time as the measurements, which makes latencies longer and noisy: measure "
            "with hydra/launcher=basic."
        )


def with_budget(evidence: Evidence, said: str) -> tuple[str, tuple[str, ...]]:
    """The answer to a report's question and, where the best setting of all is over a budget, a remark about it.

    Args:
        evidence: with `shipping`.
        said: the answer without a budget.
    """
    best = [row for row in evidence.shipped if evidence.best and row.label == evidence.best.label]
    if len(evidence.settings) < 2 or not best or not best[0].within or best[0].can_be:
        return said, ()
    return evidence.shipping[0], (f"Without the budget: {said}",)


def _row(setting: Setting, runs: Sequence[Run]) -> Shipped:
    found = [artifact for run in runs if (artifact := shipped(run.export))]
    budgeted = [run.export["within_budget"] for run in runs if run.export.get("within_budget") is not None]
    return Shipped(
        label=setting.label,
        artifacts=_unique(one["artifact"] for one in found),
        engines=_unique(one["engine"] for one in found),
        latency_ms=_scaled(setting.figures.get("export/p50"), 1e3),
        size_mb=_scaled(setting.figures.get("export/size_bytes"), 1e-6),
        reached=setting.figures.get(f"export/{setting.task.outcome}"),
        within=(sum(budgeted), len(runs)) if budgeted else None,
        against=_unique(line for run in runs for line in _against(run.export)),
    )


def _against(summary: Mapping[str, Any]) -> Iterator[str]:
    """What is refused and why, and what the shown artifact misses where none is within the budgets."""
    if summary.get("error"):
        yield str(summary["error"])
    for name, reasons in (summary.get("refused") or {}).items():
        yield f"{name} is refused: {'; '.join(reasons)}"
    fastest = shipped(summary)
    if fastest and not summary["recommended"]:
        yield "; ".join(summary["over_budget"].get(f"{fastest['artifact']} in {fastest['engine']}", ()))


def _choice(settings: Sequence[Setting], rows: Mapping[str, Shipped], budget: str) -> str:
    within = [setting for setting in settings if rows[setting.label].can_be]
    if not within:
        return _none([row for row in rows.values() if row.latency_ms], budget)
    best, where = within[0], f"within {budget}" if budget else "that can be shipped"
    if len(within) == 1:
        only = "" if len(settings) == 1 else f"{best.label} is the only student {where}: "
        ends = f" That is within {budget}." if budget and not only else ""
        return f"{only}{_what(best, rows[best.label])}.{ends}"
    if unranked := why_unranked(within, STUDENT):
        return f"{unranked}, so none of the {len(within)} students {where} is chosen."
    best = ranked(within, STUDENT)[0]
    metric, chosen = best.task.headline, brief(validation(best, STUDENT), best.task.headline)
    return (
        f"Of {len(within)} students {where}, {best.label} is best by validation {metric.label} ({chosen}), by which it "
        f"is chosen: {_what(best, rows[best.label])}."
    )


def _none(measured: Sequence[Shipped], budget: str) -> str:
    if not measured:
        return "Nothing can be shipped: every artifact is refused."
    fastest = min(measured, key=lambda row: row.latency_ms.mean if row.latency_ms else 0)
    assert fastest.latency_ms
    name = f"{fastest.label}, {fastest.artifacts[0]}," if fastest.label else fastest.artifacts[0]
    return f"No student is within {budget or 'the budget'}; the fastest, {name} takes {fastest.latency_ms.mean:.3g} ms."


def _what(setting: Setting, row: Shipped) -> str:
    """Such as `resnet20-int8.onnx in onnxruntime takes 0.31 ms, has 0.32 MB and reaches 91.8 % of test accuracy`."""
    name = f"{' or '.join(row.artifacts)} in {' or '.join(row.engines)}"
    if not (row.latency_ms and row.size_mb and row.reached):
        return name
    metric = setting.task.headline
    reached = f"reaches {brief(row.reached, metric)} of test {metric.label}"
    return f"{name} takes {row.latency_ms.mean:.3g} ms, has {row.size_mb.mean:.3g} MB and {reached}"


def _budget(runs: Sequence[Run]) -> str:
    """The budgets of all runs, such as `the budget (export.max_latency_ms=1)`; `its budget` where they differ."""
    if all(run.export.get("within_budget") is None for run in runs):
        return ""
    given = {key: {run.values.get(key) for run in runs} for key in BUDGETS}
    if any(len(values) > 1 for values in given.values()):
        return "its budget"
    named = [f"{key}={shown(value)}" for key, values in given.items() for value in values if value is not None]
    return f"the budget ({' '.join(named)})" if named else "the budget"


def _scaled(figure: Interval | None, factor: float) -> Interval | None:
    if figure is None:
        return None
    return Interval(factor * figure.mean, None if figure.half is None else factor * figure.half, figure.count)


def _unique(texts: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text))
