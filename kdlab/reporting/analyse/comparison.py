"""From the figures of a comparison to its rows: accuracy with intervals, ratios to the teacher, cost, Pareto fronts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from kdlab.inference.summary import Span, speedup
from kdlab.reporting.analyse.calculator import Service, assumptions, compression, cost, reduction, retention
from kdlab.reporting.analyse.pareto import beaten_by
from kdlab.reporting.analyse.statistics import interval
from kdlab.reporting.evidence import Interval
from kdlab.tasks.description import Description, Metric

EAGER = "pytorch"
SHARED = ("params", "flops")
LATENCY = (
    *("batch", "threads", "p50", "p50_least", "p50_most", "p95"),
    *("noise", "memory_bytes", "cold_start", "processes"),
)
Figures = Mapping[str, Any]
Row = dict[str, Any]


def compared(found: Figures, service: Service, remarks: Sequence[str]) -> dict[str, Any]:
    """The content of `comparison.json`.

    Args:
        found: by `kdlab.runtime.comparison.run_comparison`.
        service: what the network is needed for.
        remarks: in what the networks are not equal.
    """
    rows = list(_Rows(found, service).all())
    _mark_fronts(rows, Description.of(found).headline, found["deciding"])
    content = {**found, "service": asdict(service), "rows": rows, "assumptions": assumptions(service)}
    content["remarks"] = [*remarks, *_qualifications(content)]
    chosen = next(iter(as_cheap(content)), None)
    return {**content, "chosen": title(chosen) if chosen else None}


def candidates(content: Figures) -> list[Row]:
    """Rows that may be chosen: neither refused nor without a measurement, and no network in PyTorch."""
    return [row for row in content["rows"] if row["cost"] and row["engine"] != EAGER]


def figure(found: Figures | None) -> Interval | None:
    """A figure with its interval, as JSON has it."""
    return Interval(found["mean"], found["half"], found["count"]) if found else None


def at(every: Sequence[Figures], where: Figures) -> Figures | None:
    """Of latencies, or of ratios, the one at a batch size and number of threads; None if there is none."""
    return next((one for one in every if all(one[name] == where[name] for name in ("batch", "threads"))), None)


class _Rows:
    """Makes the rows.

    Args:
        found: by `run_comparison`.
        service: what the network is needed for.
    """

    def __init__(self, found: Figures, service: Service) -> None:
        self.found, self.service, self.task = found, service, Description.of(found)
        self.teacher = next(one for one in found["networks"] if one["is_teacher"])

    def all(self) -> Iterator[Row]:
        """The teacher in PyTorch first, then the files of each network."""
        own = {"file": self.teacher["network"], "engine": EAGER, "precision": "float32"}
        yield self._row(self.teacher, {**own, **{key: self.teacher[key] for key in ("timed_as", "seeds")}})
        for network in self.found["networks"]:
            yield from (self._row(network, file) for file in network["files"])

    def _row(self, network: Figures, file: Figures) -> Row:
        latency = [] if _refusal(file) else [one for one in self._latency(file) if "p50" in one]
        failed = [f"measuring it failed: {one['error']}" for one in self._latency(file) if "error" in one]
        row = {
            "network": network["label"],
            "is_teacher": network["is_teacher"],
            **{name: file[name] for name in ("file", "engine", "precision", "timed_as")},
            "seeds": [one["seed"] for one in network["seeds"]],
            "refused": _refusal(file) or next(iter(failed), ""),
            **{name: _mean([one.get(name) for one in _by_seed(network, file)]) for name in SHARED},
            "size_bytes": _mean([one.get("size_bytes") for one in file["seeds"]]),
            **_quality(network, file, self.teacher, self.task),
            "latency": [{name: one[name] for name in LATENCY} for one in latency],
            "cost": _costs([cost(self.service, one) for one in latency]),
        }
        eager = {**self.teacher, "file": self.teacher["network"], "engine": EAGER}
        others = {EAGER: eager, "engine": None if file["engine"] == EAGER else self._like(file["engine"])}
        beside = {name: other for name, other in others.items() if other and _key(other) != _key(file)}
        return {**row, "beside": {name: self._ratios(row, other) for name, other in beside.items()}}

    def _latency(self, file: Figures) -> list[Figures]:
        return [one for one in self.found["latency"] if (one["name"], one["engine"]) == _key(file)]

    def _like(self, engine: str) -> Figures | None:
        """The teacher's float32 file in an engine; otherwise in its first one; None if all are refused."""
        exact = [one for one in self.teacher["files"] if one["precision"] == "float32" and not _refusal(one)]
        return next((one for one in exact if one["engine"] == engine), exact[0] if exact else None)

    def _ratios(self, row: Row, other: Figures) -> dict[str, Any]:
        """How a row compares with the teacher, in PyTorch or in an engine."""
        theirs = [one for one in self._latency(other) if "p50" in one]
        spans = []
        for one in row["latency"]:
            where = one["batch"], one["threads"]
            span = speedup(self.found["rounds"], (*_key(row), *where), (*_key(other), *where))
            spans += [{"batch": where[0], "threads": where[1], **span._asdict()}] if span else []
        costs, savings = _costs([cost(self.service, one) for one in theirs]), None
        if costs and row["cost"]:
            savings = {name: costs[name]["per_month"] - row["cost"][name]["per_month"] for name in costs}
        size = _mean([one.get("size_bytes") for one in other["seeds"]])
        deciding = [at(every, self.found["deciding"]) or {} for every in (theirs, row["latency"])]
        return {
            "name": f"{other['file']} in {other['engine']}",
            "compression": _unless_missing(compression, size, row["size_bytes"]),
            "memory_reduction": _unless_missing(reduction, *(one.get("memory_bytes") for one in deciding)),
            "speedups": spans,
            "saved_per_month": savings,
        }


def _by_seed(network: Figures, file: Figures) -> list[dict[str, Any]]:
    """Figures of the network, and those of a file that differ from them."""
    return [{**whole, **own} for whole, own in zip(network["seeds"], file["seeds"], strict=True)]


def _key(one: Figures) -> tuple[str, str]:
    """By which the measurement knows a row or a file."""
    return one["timed_as"], one["engine"]


def _unless_missing(ratio: Callable[[float, float], float], one: float | None, other: float | None) -> float | None:
    return ratio(one, other) if one and other else None


def _refusal(file: Figures) -> str:
    """Why it is refused, and for which seeds."""
    reasons = {one["seed"]: "; ".join(one["refused"]) for one in file["seeds"] if one.get("refused")}
    if not reasons:
        return ""
    if len(file["seeds"]) == 1:
        return next(iter(reasons.values()))
    return " ".join(f"seed {seed}: {reason}." for seed, reason in reasons.items())


def _quality(network: Figures, file: Figures, teacher: Figures, task: Description) -> dict[str, Any]:
    """The headline metric on test, and what is lost and kept of the teacher's, paired by the seed of the student."""
    pairs = [
        (one[task.outcome], _taught(by, teacher, task.outcome))
        for one, by in zip(file["seeds"], network["seeds"], strict=True)
        if one.get(task.outcome) is not None
    ]
    if not pairs:
        return {"reached": None, "drop": None, "retention": None}
    metric = task.headline
    return {
        "reached": asdict(interval([ours for ours, _ in pairs])),
        "drop": asdict(interval([metric.gain(theirs, ours) for ours, theirs in pairs])),
        "retention": asdict(interval([retention(ours, theirs, metric) for ours, theirs in pairs])),
    }


def _taught(seed: Figures, teacher: Figures, outcome: str) -> float:
    """The figure of the teacher of a seed; of the teacher itself its own, otherwise the mean of all."""
    own = {seed["stage"], *seed["teachers"][:1]}
    theirs = [one[outcome] for one in teacher["seeds"] if one["stage"] in own]
    return float(theirs[0] if theirs else _mean([one[outcome] for one in teacher["seeds"]]) or 0)


def _costs(every: Sequence[Figures]) -> dict[str, Any] | None:
    """At the batch size with most samples a second for each core, and at the smallest one: with the fewest threads."""
    if not every:
        return None
    least = min(one["threads"] for one in every)
    lean = [one for one in every if one["threads"] == least]
    return {"best": max(lean, key=lambda one: one["per_core"]), "smallest": min(lean, key=lambda one: one["batch"])}


def _mark_fronts(rows: Sequence[Row], metric: Metric, deciding: Figures) -> None:
    """Adds to each row `beaten_by`: for each cost a row that beats it, None where it is on the Pareto front."""
    measured = [row for row in rows if at(row["latency"], deciding) and row["reached"]]
    values = [metric.merit(row["reached"]["mean"]) for row in measured]
    costs: Mapping[str, Callable[[Row], float]] = {
        "latency": lambda row: float((at(row["latency"], deciding) or {})["p50"]),
        "size": lambda row: float(row["size_bytes"]),
    }
    for row in rows:
        row["beaten_by"] = None
    for row in measured:
        row["beaten_by"] = {}
    for name, of in costs.items():
        for row, better in zip(measured, beaten_by([of(one) for one in measured], values), strict=True):
            row["beaten_by"][name] = None if better is None else title(measured[better])


def title(row: Figures) -> str:
    """Such as `resnet20 (response), resnet20-int8.onnx in onnxruntime`."""
    return f"{row['network']}, {row['file']} in {row['engine']}"


def faster(row: Figures, other: Figures, rounds: Sequence[Figures]) -> Span | None:
    """How many times as fast one row is as another, at the batch size at which the first takes least of a core."""
    best = row["cost"]["best"]
    where = best["batch"], best["threads"]
    return speedup([*map(dict, rounds)], (*_key(row), *where), (*_key(other), *where))


def within(content: Figures) -> list[Row]:
    """Candidates whose mean drop is within the limit, the cheapest first: those that take least of a core."""
    limit = content["service"]["max_drop"]
    able = [row for row in candidates(content) if row["drop"] and row["drop"]["mean"] <= limit]
    return sorted(able, key=lambda row: (-row["cost"]["best"]["per_core"], row["size_bytes"]))


def as_cheap(content: Figures) -> list[Row]:
    """The cheapest candidate within the limit, and those that it does not beat in every round: the best first."""
    able, metric = within(content), Description.of(content).headline
    spans = [(row, faster(able[0], row, content["rounds"])) for row in able[1:]]
    alike = [*able[:1], *(row for row, span in spans if span and span.least <= 1)]
    return sorted(alike, key=lambda row: -metric.merit(row["reached"]["mean"]))


def _qualifications(content: Figures) -> Iterator[str]:
    if any(len(one["seeds"]) > 1 for one in content["networks"]):
        yield "Of networks that differ by seed alone the first seed is timed; accuracy is the mean of all."
    if single := [one["label"] for one in content["networks"] if len(one["seeds"]) == 1 and not one["is_teacher"]]:
        yield f"Of one seed, without an interval: {', '.join(single)}."


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
