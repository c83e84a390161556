"""Cascades as contenders of a comparison: what they reach on test, and what they take in the same rounds."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from kdlab.inference.rounds import Row
from kdlab.inference.summary import summaries
from kdlab.jobs.export.finished import FinishedStage
from kdlab.jobs.export.settings import ExportSettings
from kdlab.runtime.comparison import Contender, Contest
from kdlab.serving.artifact import EXTRAS, Artifact
from kdlab.serving.cascade import Point, at_threshold, cascade_curve, learned
from kdlab.serving.learning import SUSPICIOUS
from kdlab.serving.validation import predictions
from kdlab.store.fingerprint import fingerprint
from kdlab.store.store import Store
from kdlab.tasks.description import Description

Content = Mapping[str, Any]
SUMS = ("p95", "p99", "cold_start", "memory_bytes")  # of both networks; a deferred sample waits for both
DRAWN = 100  # intervals of a curve


class _Pair(NamedTuple):
    """A student's file and its teacher's, in one engine: entries of a comparison's `files`."""

    contender: Contender
    network: Content
    file: Content
    teacher_file: Content


class _Curves(NamedTuple):
    """Every cascade of two files, on validation and on test."""

    validation: list[Point]
    test: list[Point]

    @property
    def knows_validation(self) -> bool:
        """Whether the student has probably seen the validation samples: it is far better there than on test."""
        return self.validation[0].accuracy - self.test[0].accuracy > SUSPICIOUS


def with_cascades(
    found: Content, contest: Contest, settings: ExportSettings, targets: Sequence[float]
) -> dict[str, Any]:
    """The figures of a comparison, and those of each student that defers what it is unsure of to its teacher.

    The threshold of each is learned on validation, for each seed. A sample takes what the student takes, and for the
    share that is deferred what the teacher takes too, both from one round of the measurement.

    Args:
        found: by `kdlab.runtime.comparison.run_comparison`.
        contest: what was compared.
        settings: of the exports.
        targets: shares of validation samples on which a cascade must predict as its teacher does.

    Returns:
        `found` with further `networks`, `rounds` and `latency`; `cascades` has each curve on test, of the first seed.
    """
    pairs = [(pair, _curves(pair, contest, settings)) for pair in _pairs(found, contest)]
    cascades = [_Cascade(found, pair, curves, target) for target in targets for pair, curves in pairs]
    rounds = [row for cascade in cascades for row in cascade.rounds]
    return {
        **found,
        "fingerprint": fingerprint({"comparison": found["fingerprint"], "cascade": list(targets)}),
        "networks": [*found["networks"], *_networks(cascades)],
        "rounds": [*found["rounds"], *rounds],
        "latency": [*found["latency"], *summaries(rounds)],
        "cascades": [cascade.as_curve() for cascade in cascades],
    }


def _pairs(found: Content, contest: Contest) -> Iterator[_Pair]:
    """Each student's file that passes, with the teacher's fastest file that passes in that engine."""
    teacher, *others = found["networks"]
    usable = sorted(filter(_passes, teacher["files"]), key=lambda file: _seconds(found, file) or float("inf"))
    for contender, network in zip(contest.others, others, strict=True):
        for file in filter(_passes, network["files"]):
            theirs = next((one for one in usable if one["engine"] == file["engine"]), None)
            if theirs and file["engine"] in EXTRAS:
                yield _Pair(contender, network, file, theirs)


def _networks(cascades: Sequence["_Cascade"]) -> Iterator[dict[str, Any]]:
    """As entries of `networks`: files of one student at one target together."""
    labels = dict.fromkeys(cascade.label for cascade in cascades)
    for label in labels:
        own = [cascade for cascade in cascades if cascade.label == label]
        network = {**own[0].pair.network, "label": label, "timed_as": label, "is_teacher": False}
        yield {**network, "files": [cascade.as_file() for cascade in own]}


def _seconds(found: Content, file: Content) -> float | None:
    """The p50 of a file at the batch and threads that decide; None where it was not measured."""
    own = {"name": file["timed_as"], "engine": file["engine"], **found["deciding"]}.items()
    return next((one["p50"] for one in found["latency"] if own <= one.items() and "p50" in one), None)


def _passes(file: Content) -> bool:
    return not any(seed["refused"] for seed in file["seeds"])


def _curves(pair: _Pair, contest: Contest, settings: ExportSettings) -> list[_Curves]:
    """Of each seed."""
    return [_curves_of(pair, stage, _teacher_of(stage, contest), settings) for stage in pair.contender.stages]


def _curves_of(pair: _Pair, stage: FinishedStage, teacher: FinishedStage, settings: ExportSettings) -> _Curves:
    ours, theirs = _artifact(stage, pair.file, settings), _artifact(teacher, pair.teacher_file, settings)

    def curve(split: Any) -> list[Point]:
        (logits, labels), (taught, _) = (predictions(one, stage.folder, split) for one in (ours, theirs))
        return cascade_curve(logits, taught, labels)

    return _Curves(curve("val"), curve("test"))


def _teacher_of(stage: FinishedStage, contest: Contest) -> FinishedStage:
    own = [teacher.fingerprint for teacher, _ in stage.teachers]
    teachers = contest.teacher.stages
    return next((one for one in teachers if one.fingerprint in own), teachers[0])


def _artifact(stage: FinishedStage, file: Content, settings: ExportSettings) -> Artifact:
    store = Store(stage.folder.parent)
    job = next(job for job in settings.jobs(stage) if job.name == file["file"])
    return Artifact(
        file=job.file(store.folder(job)),
        engine=file["engine"],
        network=stage.network,
        sha256=store.result(job)["sha256"],
        proof={},
        stage=stage.fingerprint,
        stage_folder=stage.folder,
    )


class _Cascade:
    """A cascade with one target.

    Args:
        found: by `run_comparison`.
        pair: its files.
        curves: of each seed.
        target: share of validation samples on which it must predict as the teacher does.
    """

    def __init__(self, found: Content, pair: _Pair, curves: Sequence[_Curves], target: float) -> None:
        self.found, self.pair, self.curves, self.target = found, pair, curves, target
        self.outcome = Description.of(found).outcome
        self.learned = [learned(one.validation, target) for one in curves]
        self.reached = [
            at_threshold(one.test, point.threshold) for one, point in zip(curves, self.learned, strict=True)
        ]
        self.label = f"{pair.network['label']}, then the teacher, at {target:g}"
        self.file = f"{pair.file['file']}, {pair.teacher_file['file']}"
        self.timed_as = f"{self.label}, {self.file}"
        self.rounds = list(self._rounds())

    def _rounds(self) -> Iterator[Row]:
        """What a sample takes in each round: of the first seed, as that of other networks."""
        share, engine = self.reached[0].deferred, self.pair.file["engine"]
        ours, theirs = (self._rows(file["timed_as"], engine) for file in (self.pair.file, self.pair.teacher_file))
        for where, one in ours.items():
            if not (other := theirs.get(where)):
                continue
            sums = {name: _sum(one[name], other[name]) for name in SUMS}
            own = {"name": self.timed_as, "joules": None, "bare_p50": None, "p50": one["p50"] + share * other["p50"]}
            yield {**one, **sums, **own}

    def _rows(self, name: str, engine: str) -> dict[tuple[int, int, int], Row]:
        rows = [row for row in self.found["rounds"] if (row["name"], row["engine"]) == (name, engine) and "p50" in row]
        return {(row["round"], row["batch"], row["threads"]): row for row in rows}

    def as_file(self) -> dict[str, Any]:
        """As an entry of `files`, with parameters and operations of both networks."""
        teacher = self.found["networks"][0]["seeds"][0]
        networks, files = self.pair.network["seeds"], self.pair.file["seeds"]
        every = zip(networks, files, self.learned, self.reached, strict=True)
        return {
            "file": self.file,
            "engine": self.pair.file["engine"],
            "precision": self.pair.file["precision"],
            "timed_as": self.timed_as,
            "seeds": [self._of_seed(teacher, *one) for one in every],
        }

    def _of_seed(self, teacher: Content, network: Content, file: Content, point: Point, at: Point) -> dict[str, Any]:
        return {
            "seed": file["seed"],
            "refused": [],
            "size_bytes": _sum(file["size_bytes"], self.pair.teacher_file["seeds"][0]["size_bytes"]),
            "params": _sum(network["params"], teacher["params"]),
            "flops": network["flops"] + at.deferred * teacher["flops"],
            "threshold": point.threshold,
            "deferred": at.deferred,
            "agreement": 100 * at.agreement,
            self.outcome: 100 * at.accuracy,
        }

    def as_curve(self) -> dict[str, Any]:
        """As an entry of `cascades`: accuracy and mean seconds on test at every share that may be deferred."""
        ours, theirs = (_seconds(self.found, file) for file in (self.pair.file, self.pair.teacher_file))
        curve = self.curves[0].test
        kept = np.unique(np.linspace(0, len(curve) - 1, DRAWN + 1).round().astype(int))
        return {
            "label": self.label,
            "file": self.file,
            "engine": self.pair.file["engine"],
            "target": self.target,
            "knows_validation": any(one.knows_validation for one in self.curves),
            "learned": self._drawn(self.reached[0], ours, theirs),
            "curve": [self._drawn(curve[index], ours, theirs) for index in kept],
            "teacher": {"accuracy": 100 * curve[-1].accuracy, "seconds": theirs},
        }

    def _drawn(self, point: Point, ours: float | None, theirs: float | None) -> dict[str, float | None]:
        seconds = None if ours is None or theirs is None else ours + point.deferred * theirs
        figures = {"threshold": point.threshold, "deferred": point.deferred, "seconds": seconds}
        return {**figures, "accuracy": 100 * point.accuracy, "agreement": 100 * point.agreement}


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other
