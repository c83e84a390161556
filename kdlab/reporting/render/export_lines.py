"""What an export says, for the screen and for the page: its table row by row, and its sentences."""

from collections.abc import Iterator, Mapping
from typing import Any

from kdlab.tasks.description import Description

Content = Mapping[str, Any]
Figures = Mapping[str, Any]


def sentences(export: Content) -> list[str]:
    """How it was measured, what is refused or over budget, and what to ship.

    Args:
        export: the fields of its `result.json`.
    """
    return [*_notes(export), *refusal_lines(export), *budget_lines(export), *recommendation(export)]


def rows(export: Content) -> Iterator[tuple[tuple[str, str], str, list[str]]]:
    """Name and engine of each row, its label, and its figures: the metric on test, agreement, and megabytes."""
    task = Description.of(export)
    sizes = {one["artifact"]: one["size_bytes"] for one in export["artifacts"]}
    for role, one in [*(("teacher", teacher) for teacher in export["teachers"][:1]), ("student", export["student"])]:
        figures = [task.headline.show(one[task.outcome]), "", megabytes(one["size_bytes"])]
        yield (f"{role} {one['network']}", "pytorch"), f"{role} {one['network']} in pytorch", figures
    for one in export["pairs"]:
        mark = " (refused)" if one["refused_for"] or one["artifact"] in export["refused"] else ""
        label, size = f"{one['artifact']} in {one['engine']}{mark}", megabytes(sizes[one["artifact"]])
        shown = ["–", "–"] if "error" in one else [task.headline.show(one[task.outcome]), f"{one['agreement']:.2f} %"]
        yield (one["artifact"], one["engine"]), label, [*shown, size]


def milliseconds(found: Figures | None) -> str:
    """The latency of a row of `latency`; empty where there is none."""
    if found is None:
        return ""
    return "fails" if "error" in found else f"{1e3 * found['p50']:.2f} ms"


def megabytes(size: float) -> str:
    """A size in bytes."""
    return f"{size / 1e6:.2f}"


def _notes(export: Content) -> list[str]:
    if not export["latency"]:
        return []
    threads = sorted({one["threads"] for one in export["latency"]})
    processes = max(one.get("processes", 0) for one in export["latency"])
    noise = max(one.get("noise", 0) for one in export["latency"])
    counted = f"{' and '.join(map(str, threads))} thread{'s' if threads[-1] > 1 else ''}"
    where = f"From raw images to labels, on {export['machine']['cpu']} with {counted}"
    return [f"{where}: medians of {processes} processes, which differ by up to {100 * noise:.0f} %."]


def refusal_lines(export: Content) -> list[str]:
    """What is refused, for which reasons, which layers lose most, and what to try."""
    lines = []
    for name, reasons in export["refused"].items():
        lines.append(f"refused: {name}: {'; '.join(reasons)}.")
        if layers := export["layers"].get(name):
            named = ", ".join(f"{one['node']} ({one['decibels']:.0f} dB)" for one in layers)
            kept = ",".join(one["node"] for one in layers)
            lines += [
                f"  Layers with the lowest signal over rounding noise: {named}.",
                f"  Leave them in float32, export.keep_float=[{kept}], or take another quantiser, export=openvino.",
            ]
    return lines


def budget_lines(export: Content) -> list[str]:
    """Which candidates meet the budgets, and what the others miss."""
    budgets = export.get("budgets", {})
    lines = [f"over budget: {name}: {'; '.join(missed)}." for name, missed in budgets.items() if missed]
    lines += [f"within budget: {name}." for name, missed in budgets.items() if not missed]
    if budgets and all(budgets.values()):
        lines.append("No artifact meets the budgets: raise one of them, or distil a smaller student: +sweeps=budget.")
    return lines


def recommendation(export: Content) -> list[str]:
    """The artifact to ship, and why."""
    best = export["recommended"]
    if not best:
        return []
    ratio = best["int8_over_float32"]
    head = f"Ship {best['artifact']} with {best['engine']}: "
    if best["precision"] == "int8" and ratio:
        reason = f"{_times(ratio)} as fast as the fastest float32"
    elif ratio:
        reason = f"the fastest INT8 is {_times(ratio)} as fast here, not clearly faster"
    else:
        reason = "the fastest that passes"
    return [f"{head}{reason}; {_loss(best, export)}.", *_beside_teacher(best, export)]


def _loss(best: Figures, export: Content) -> str:
    task = Description.of(export)
    unit = task.headline.gain_unit
    if best["drop"] <= 0:
        return f"it loses no test {task.headline.label}"
    return f"it loses {best['drop']:.2f} {unit} of test {task.headline.label}"


def _beside_teacher(best: Figures, export: Content) -> list[str]:
    teachers = export["teachers"]
    if not teachers:
        return []
    teacher, task = teachers[0], Description.of(export)
    own = [best["artifact"], best["engine"]], [f"teacher {teacher['network']}", "pytorch"]
    at = best["batch"], best["threads"]
    found = [one for one in export["speedups"] if (one["of"], one["over"], one["batch"], one["threads"]) == (*own, *at)]
    faster = f"{_times(found[0])} as fast and " if found else ""
    accuracy = next(one[task.outcome] for one in export["pairs"] if [one["artifact"], one["engine"]] == own[0])
    change = -task.headline.gain(teacher[task.outcome], accuracy)
    points = f"{change:+.2f} {task.headline.gain_unit} of" if round(change, 2) else "the same"
    size = _smaller(teacher["size_bytes"] / best["size_bytes"])
    reached = f"{points} test {task.headline.label}"
    return [f"Beside the teacher {teacher['network']} in PyTorch it is {faster}{size}, at {reached}."]


def _smaller(ratio: float) -> str:
    return f"{ratio:.1f}× smaller" if ratio >= 1 else f"{1 / ratio:.1f}× larger"


def _times(ratio: Mapping[str, float]) -> str:
    return f"{ratio['median']:.2f}× ({ratio['least']:.2f} to {ratio['most']:.2f})"
