"""The data of a report: plain values, computed once, and rendered as page, tables and pictures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdlab.tasks.description import IMAGE_CLASSIFICATION, Description


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval.

    Attributes:
        mean: of the values.
        half: half the width of Student's t-interval; None with fewer than two values.
        count: how many values.
    """

    mean: float
    half: float | None
    count: int

    @property
    def is_uncertain(self) -> bool:
        """Whether the mean may be zero: zero lies in the interval, or there is no interval."""
        return self.half is None or abs(self.mean) <= self.half


@dataclass(frozen=True)
class Run:
    """One finished run.

    Attributes:
        path: its directory.
        result: the content of its `result.json`.
        values: the settings of its config by dotted key, such as `loss.temperature`.
    """

    path: Path
    result: Mapping[str, Any]
    values: Mapping[str, Any]

    @property
    def task(self) -> Description:
        """Its task: what the networks' outputs mean."""
        return Description.of(self.result)

    @property
    def export(self) -> Mapping[str, Any]:
        """The summary of its export, see `kdlab.runtime.export_summary`; empty without one."""
        return self.result.get("export") or {}


@dataclass(frozen=True)
class Exported:
    """An export in a run directory.

    Attributes:
        folder: of the export.
        content: the fields of its `result.json`.
        summary: of them.
        devices: what other machines measured: `name`, `machine` and `latency`, as in `content`.
    """

    folder: Path
    content: Mapping[str, Any]
    summary: Mapping[str, Any]
    devices: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Failure:
    """A cell without a result.

    Attributes:
        label: what it varied, such as `T 4 · alpha 0.7 · seed 1`.
        error: its message.
        path: its run directory, if it has one.
    """

    label: str
    error: str
    path: Path | None = None


@dataclass(frozen=True)
class Gain:
    """By how much the student is better than the baseline, in the headline metric on test: `Metric.gain`.

    Attributes:
        points: over seeds, paired by seed.
        bootstrap: 95 % interval of a paired bootstrap over test samples; None without predictions.
        p: that there is no difference: a paired t-test over seeds, or McNemar's exact test with one seed.
        p_holm: `p` corrected for as many settings as are compared (Holm 1979).
    """

    points: Interval
    bootstrap: tuple[float, float] | None = None
    p: float | None = None
    p_holm: float | None = None


@dataclass(frozen=True)
class Setting:
    """One combination of all that varies except the seed, with its figures over the seeds.

    Attributes:
        label: such as `T 4 · alpha 0.7`.
        values: the varied settings by dotted key.
        runs: by seed.
        figures: each figure of `result.json` over the seeds, such as `student/test/accuracy`, `baseline/test/nll`,
            `agreement`, `kl_to_teacher`, `gap_recovered`, `best_minus_last`.
        gain: None without a baseline.
        gain_over_control: of plans with a control.
    """

    label: str
    values: Mapping[str, Any]
    runs: tuple[Run, ...]
    figures: Mapping[str, Interval]
    gain: Gain | None = None
    gain_over_control: Interval | None = None

    @property
    def task(self) -> Description:
        """The task of its runs."""
        return self.runs[0].task if self.runs else IMAGE_CLASSIFICATION

    def reached(self, role: str = "student") -> Interval | None:
        """The headline metric of a role on the test set."""
        return self.figures.get(f"{role}/{self.task.outcome}")

    def validated(self, role: str = "student") -> Interval | None:
        """The headline metric of a role on validation, by which settings are chosen."""
        return self.figures.get(f"{role}/{self.task.objective}")


@dataclass(frozen=True)
class Savings:
    """The training that the reuse of stages saved.

    Attributes:
        cells: how many runs.
        stages: distinct stages that they are made of.
        uses: stages that they would have trained without a store.
        seconds: of training, each stage counted once.
        seconds_without_reuse: of training, had every run trained all of its own stages.
        teacher_outputs: that those stages used, one for each sample of each step.
        cache_hits: of these, read from the cache.
    """

    cells: int
    stages: int
    uses: int
    seconds: float
    seconds_without_reuse: float
    teacher_outputs: int = 0
    cache_hits: int = 0


@dataclass(frozen=True)
class Reference:
    """A predictor without a network, as a row beside the settings.

    Attributes:
        label: such as `majority class`.
        reached: the headline metric on the test set.
    """

    label: str
    reached: float


@dataclass(frozen=True)
class Shipped:
    """What can be shipped of a setting: the recommended artifact; where none meets the budgets, the fastest.

    Attributes:
        label: of the setting.
        artifacts: their names over the seeds; empty where every artifact is refused.
        engines: in which they were measured.
        latency_ms: at the deciding batch and threads.
        size_mb: of the file.
        reached: the headline metric of the artifact on test.
        within: how many runs have an artifact within the budgets, and how many there are; None without budgets.
        against: what is refused or over budget, and why.
    """

    label: str
    artifacts: tuple[str, ...]
    engines: tuple[str, ...]
    latency_ms: Interval | None
    size_mb: Interval | None
    reached: Interval | None
    within: tuple[int, int] | None
    against: tuple[str, ...]

    @property
    def can_be(self) -> bool:
        """Whether every seed has an artifact and, where there are budgets, one within them."""
        return bool(self.artifacts) and (self.within is None or self.within[0] == self.within[1])


@dataclass(frozen=True)
class Evidence:
    """Everything that a report shows.

    Attributes:
        title: of the sweep or the folder.
        question: from the sweep's file, or made from what varies.
        answer: one sentence: chosen on validation, stated on test, with its uncertainty.
        remarks: warnings and qualifications, most important first, one sentence each.
        varied: the values of each setting that varies, except the seed.
        seeds: of all runs.
        settings: best first, by the headline metric on validation; in the order of `varied` where nothing is ranked.
        best: the first of them; None where nothing may be ranked.
        failures: cells without a result.
        savings: of all runs together.
        published: rows of published figures for the pair and data of these runs: `method`, `teacher`, `student_alone`,
            `student`, `source`, and `here` (an Interval) where a setting of this report uses the same method.
        references: predictors without a network, on the data of these runs.
        sweep: content of `sweep.json`; None for loose runs.
        shipped: of each setting with an export, in the order of `settings`.
        shipping: the sentences about them: which to ship, and how it was chosen.
        exports: of a report on one run.
        comparisons: the folders of `kdlab.compare` among those of the report, each with its `comparison.json`.
    """

    title: str
    question: str
    answer: str
    remarks: tuple[str, ...]
    varied: Mapping[str, tuple[Any, ...]]
    seeds: tuple[int, ...]
    settings: tuple[Setting, ...]
    best: Setting | None
    failures: tuple[Failure, ...]
    savings: Savings
    published: tuple[Mapping[str, Any], ...] = ()
    references: tuple[Reference, ...] = ()
    sweep: Mapping[str, Any] | None = field(default=None, repr=False)
    shipped: tuple[Shipped, ...] = ()
    shipping: tuple[str, ...] = ()
    exports: tuple[Exported, ...] = field(default=(), repr=False)
    comparisons: tuple[tuple[Path, Mapping[str, Any]], ...] = field(default=(), repr=False)

    @property
    def task(self) -> Description:
        """The task of the settings; of several tasks, which are not ranked, that of the first setting."""
        return self.settings[0].task if self.settings else IMAGE_CLASSIFICATION
