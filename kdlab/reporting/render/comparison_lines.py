"""What a comparison says in sentences: the answer, what was refused or beaten, and how it was measured."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from kdlab.reporting.analyse.comparison import as_cheap, at, candidates, title, within
from kdlab.reporting.analyse.formatting import EQUAL
from kdlab.tasks.description import Description

Content = Mapping[str, Any]
Row = Mapping[str, Any]
QUESTION = "Which network does the same for less?"


def answer(content: Content) -> str:
    """`answers` as one paragraph."""
    return " ".join(answers(content))


def answers(content: Content) -> list[str]:
    """The cheapest row within the limit; then what it gains, and how sure that is."""
    rows, able = candidates(content), within(content)
    metric, limit = Description.of(content).headline, content["service"]["max_drop"]
    allowed = f"{limit:g} {_units(limit, metric.gain_unit)} of test {metric.label}"
    if not rows:
        return ["Nothing can be chosen: every file is refused or was not measured."]
    if not able:
        best = min(rows, key=lambda row: float(row["drop"]["mean"]))
        return [f"No file is within {allowed} of the teacher; {title(best)} comes closest: {_lost(best, content)}."]
    chosen, *alike = as_cheap(content)
    which = "the only file that loses" if len(able) == 1 else f"the cheapest of {len(able)} files that lose"
    head = f"{title(chosen)} is {which} at most {allowed} to the teacher: {_lost(chosen, content)}."
    also = [f"Not clearly slower or faster, and no more accurate: {'; '.join(map(title, alike))}."] if alike else []
    return [head, *_gained(chosen, content), _certainty(chosen, content), *also]


def sentences(content: Content) -> list[str]:
    """What qualifies the answer: remarks, refusals, rows that others beat, and how latency was measured."""
    return [*content["remarks"], *_cascades(content), *_refusals(content), *_beaten(content), *_measured(content)]


def _cascades(content: Content) -> Iterator[str]:
    """What cascades are, and what each defers and reaches on test."""
    if every := content.get("cascades", []):
        yield (
            "“Then the teacher, at 0.99”: the student leaves the samples that it is least sure of to the teacher, "
            "below a threshold with which 99 % of validation are predicted as by the teacher. Milliseconds are the "
            "mean of a sample."
        )
    for one in every:
        learned = one["learned"]
        yield (
            f"{one['label']}, {one['file']} in {one['engine']}: defers {100 * learned['deferred']:.1f} % of test "
            f"(threshold {learned['threshold']:.4f}), and predicts {learned['agreement']:.2f} % as the teacher does."
            f"{_doubt(one)}"
        )


def _doubt(cascade: Content) -> str:
    if not cascade["knows_validation"]:
        return ""
    return (
        " The student is far better on validation than on test, so it has probably seen these samples, and the "
        "threshold is too low."
    )


def _lost(row: Row, content: Content) -> str:
    """Such as `it loses 0.68 ± 0.20 points`."""
    metric, drop = Description.of(content).headline, row["drop"]
    around = "" if drop["half"] is None else f" ± {drop['half']:.2f}"
    if not around and abs(drop["mean"]) < EQUAL:
        return "it loses nothing"
    return f"it {'gains' if drop['mean'] < 0 else 'loses'} {abs(drop['mean']):.2f}{around} {metric.gain_unit}"


def _gained(row: Row, content: Content) -> Iterator[str]:
    """What it saves beside the teacher in the same engine: size, time, and what the service takes."""
    beside = row["beside"].get("engine")
    if not beside:
        return
    parts = [smaller(beside["compression"])] if beside["compression"] else []
    if span := at(beside["speedups"], content["deciding"]):
        parts.append(f"{times(span)} as fast at batch {span['batch']}")
    if parts:
        yield f"Beside {beside['name']} it is {' and '.join(parts)}."
    if like := _teacher_cost(row, content):
        own, service = row["cost"]["best"], content["service"]
        saved = like["per_month"] - own["per_month"]
        cost = f"{abs(saved):.0f} a month {'less' if saved > 0 else 'more'}" if saved else "for the same price"
        where = f" at {service['price_per_core_hour']:g} a core and hour" if saved else ""
        rate = f"{service['requests_per_second']:g} samples a second"
        yield f"{rate} take {_cores(own['cores'])} instead of {like['cores']}, {cost}{where}."


def _teacher_cost(row: Row, content: Content) -> Row | None:
    beside = row["beside"].get("engine")
    teachers = [one for one in content["rows"] if beside and f"{one['file']} in {one['engine']}" == beside["name"]]
    costs = [one["cost"]["best"] for one in teachers if one["is_teacher"] and one["cost"]]
    return costs[0] if costs else None


def _certainty(row: Row, content: Content) -> str:
    """Whether other seeds may put it beyond the limit."""
    drop, limit = row["drop"], content["service"]["max_drop"]
    if drop["half"] is None:
        return "The teacher has one seed: no interval." if row["is_teacher"] else "One seed: no interval over seeds."
    worst = drop["mean"] + drop["half"]
    if worst <= limit:
        return "All of its 95 % interval is within the limit."
    unit = Description.of(content).headline.gain_unit
    return f"Its 95 % interval reaches a loss of {worst:.2f} {unit}, beyond the limit: more seeds would tell."


def _refusals(content: Content) -> Iterator[str]:
    for row in content["rows"]:
        if row["refused"]:
            yield f"refused: {title(row)}: {row['refused'].rstrip('.')}."


def _beaten(content: Content) -> Iterator[str]:
    """Rows that are on neither Pareto front, by the rows that beat them."""
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for row in content["rows"]:
        if row["beaten_by"] and all(row["beaten_by"].values()):
            groups[tuple(dict.fromkeys(row["beaten_by"].values()))].append(title(row))
    for by, beaten in groups.items():
        yield f"beaten in accuracy against latency and size by {' or by '.join(by)}: {'; '.join(beaten)}."
    if groups and any(row["reached"] and row["reached"]["half"] for row in content["rows"]):
        yield "Fronts are of means: where intervals overlap, other seeds may order rows otherwise."


def _measured(content: Content) -> Iterator[str]:
    every = [one for row in content["rows"] for one in row["latency"]]
    if every:
        noise, processes = max(one["noise"] for one in every), max(one["processes"] for one in every)
        yield (
            f"All in the same {processes} rounds of fresh processes on {content['machine']['cpu']}, from raw samples "
            f"to labels; processes of a file differ by up to {100 * noise:.0f} %."
        )


def times(span: Mapping[str, Any]) -> str:
    """A ratio with its range over rounds, such as `8.20× (7.90 to 8.50)`."""
    return f"{span['median']:.2f}× ({span['least']:.2f} to {span['most']:.2f})"


def smaller(ratio: float) -> str:
    """Such as `10.8× smaller`."""
    return f"{ratio:.1f}× smaller" if ratio >= 1 else f"{1 / ratio:.1f}× larger"


def _cores(count: int) -> str:
    return f"{count} core" + ("" if count == 1 else "s")


def _units(number: float, unit: str) -> str:
    return unit.removesuffix("s") if number == 1 else unit
