"""Which artifacts may be shipped, and which one is recommended."""

from collections.abc import Mapping, Sequence
from typing import Any

from kdlab.inference.summary import Span, speedup
from kdlab.jobs.export.settings import ExportSettings
from kdlab.tasks.description import Description

ROUNDING = 0.02  # of the largest logit: what single steps of INT8, rounded up or down, may add up to
WORTHWHILE = 1.05  # how much faster than float32 INT8 must be, to be recommended

Figures = Mapping[str, Any]


def refusals(proof: Figures, precision: str, settings: ExportSettings, task: Description) -> list[str]:
    """The reasons why an artifact is refused in an engine; none if it may be shipped.

    Args:
        proof: figures of its proof.
        precision: `float32` or `int8`.
        settings: limits.
        task: of the student.
    """
    if "error" in proof:
        return [proof["error"]]
    reasons = []
    if proof["drop"] > settings.max_drop:
        unit = task.headline.gain_unit
        fall = f"{task.headline.label} falls by {proof['drop']:.2f} {unit}"
        reasons.append(f"{fall}, more than export.max_drop={settings.max_drop:g}")
    if precision == "int8" and proof["agreement"] < settings.min_agreement:
        reasons.append(
            f"it predicts as the student does on {proof['agreement']:.2f} % of the test {task.unit}s, less than "
            f"export.min_agreement={settings.min_agreement:g}"
        )
    share = proof["largest_difference"] / max(proof["largest_logit"], 1e-30)
    if precision == "float32" and share > settings.max_difference:
        reasons.append(
            f"its logits differ from the student's by up to {share:.1e} of the largest logit, more than "
            f"export.max_difference={settings.max_difference:g}"
        )
    return reasons


def check_failures(check: Figures, precision: str, settings: ExportSettings) -> list[str]:
    """The reasons why the reference implementation speaks against an artifact; none if both engines agree.

    Engines round INT8 differently: they may differ by as much as the artifact differs from the student, and by
    `ROUNDING`.

    Args:
        check: figures of the check.
        precision: `float32` or `int8`.
        settings: limits.
    """
    if "error" in check:
        return [check["error"]]
    limit = settings.max_difference * check["largest_logit"]
    if precision == "int8":
        limit = max(ROUNDING * check["largest_logit"], check["largest_of_artifact"])
    if check["largest_difference"] <= limit:
        return []
    found = f"{check['largest_difference']:.2g} in a logit, more than {limit:.2g}"
    return [f"{check['beside']} and the reference implementation of ONNX differ by up to {found}"]


def choice(
    artifacts: Sequence[Figures],
    pairs: Sequence[Figures],
    measured: Figures,
    settings: ExportSettings,
    task: Description,
) -> dict[str, Any]:
    """The artifact to ship and the engine to run it in, of those that were measured.

    INT8 only where it is faster than float32 in every round and by `WORTHWHILE` in the median: elsewhere float32, which
    is exact.

    Args:
        artifacts: figures of all.
        pairs: figures of each artifact in each engine.
        measured: figures of the measurement.
        settings: budgets, and the batch and threads that decide.
        task: of the student.

    Returns:
        `recommended`, None where nothing was measured or nothing meets the budgets; `budgets`, what each candidate
        misses, by its name and engine, where there are budgets.
    """
    candidates = _candidates(artifacts, pairs, measured, settings)
    missed = {f"{one['artifact']} in {one['engine']}": _missed(one, settings, task) for one in candidates}
    meeting = [one for one in candidates if not missed[f"{one['artifact']} in {one['engine']}"]]
    budgets = {"budgets": missed} if _has_budget(settings) else {}
    return {"recommended": _best(meeting, measured["rows"], settings), **budgets}


def _candidates(
    artifacts: Sequence[Figures], pairs: Sequence[Figures], measured: Figures, settings: ExportSettings
) -> list[dict[str, Any]]:
    by_name, deciding = {one["artifact"]: one for one in artifacts}, settings.measurement.deciding
    proofs = {(one["artifact"], one["engine"]): one for one in pairs}
    return [
        {**by_name[row["name"]], **proofs[row["name"], row["engine"]], "p50": row["p50"]}
        for row in measured["summaries"]
        if deciding.items() <= row.items() and "p50" in row and (row["name"], row["engine"]) in proofs
    ]


def _has_budget(settings: ExportSettings) -> bool:
    return any(one is not None for one in (settings.max_latency_ms, settings.max_size_mb, settings.min_accuracy))


def _missed(candidate: Figures, settings: ExportSettings, task: Description) -> list[str]:
    """The budgets that a candidate does not meet."""
    limits = (
        ("max_latency_ms", settings.max_latency_ms, 1000 * candidate["p50"], "ms"),
        ("max_size_mb", settings.max_size_mb, candidate["size_bytes"] / 1e6, "MB"),
    )
    missed = [
        f"{value:.3g} {unit} against export.{name}={limit:g}"
        for name, limit, value, unit in limits
        if limit is not None and value > limit
    ]
    least, reached = settings.min_accuracy, candidate[task.outcome]
    if least is not None and task.headline.merit(reached) < task.headline.merit(least):
        missed.append(f"{task.headline.show(reached)} against export.min_accuracy={least:g}")
    return missed


def _best(candidates: Sequence[Figures], rows: Sequence[Any], settings: ExportSettings) -> dict[str, Any] | None:
    exact, rounded = (
        min((one for one in candidates if one["precision"] == precision), key=lambda one: one["p50"], default=None)
        for precision in ("float32", "int8")
    )
    if exact is None or rounded is None:
        only = exact or rounded
        return _recommended(only, None, settings) if only else None
    key, other = ((one["artifact"], one["engine"], *settings.measurement.deciding.values()) for one in (rounded, exact))
    ratio = speedup(rows, key, other)
    better = ratio is not None and ratio.least > 1 and ratio.median >= WORTHWHILE
    return _recommended(rounded if better else exact, ratio, settings)


def _recommended(candidate: Figures, ratio: Span | None, settings: ExportSettings) -> dict[str, Any]:
    kept = {
        name: candidate[name] for name in ("artifact", "engine", "precision", "p50", "size_bytes", "drop", "agreement")
    }
    return {**kept, **settings.measurement.deciding, "int8_over_float32": ratio._asdict() if ratio else None}
