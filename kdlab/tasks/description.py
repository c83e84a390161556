"""Descriptions of tasks: name, unit and metrics. Free of torch, so that reports import it cheaply."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Metric:
    """A figure that networks are compared by.

    Attributes:
        name: after the slash in results: `accuracy` of `test/accuracy`.
        label: for people, such as `calibration error`.
        unit: of its values, such as `%`; empty for none.
        decimals: number shown.
        higher_is_better: whether a larger value is a better one.
        is_relative: whether gains are relative changes in percent; otherwise they are differences in points.
        is_share_of_correct: whether it is the percentage of units that are predicted correctly, so that two networks
            can be compared unit by unit.
    """

    name: str
    label: str
    unit: str = ""
    decimals: int = 3
    higher_is_better: bool = True
    is_relative: bool = False
    is_share_of_correct: bool = False

    def show(self, value: float) -> str:
        """Such as `98.20 %`, or `12.41`: units other than percent are in the heading."""
        return f"{value:.{self.decimals}f}{self._percent}"

    def brief(self, value: float, half: float | None = None) -> str:
        """With one decimal less, and half the width of its interval: `98.2 ± 0.6 %`."""
        decimals = max(self.decimals - 1, 0)
        around = "" if half is None else f" ± {half:.{decimals}f}"
        return f"{value:.{decimals}f}{around}{self._percent}"

    def heading(self, split: str) -> str:
        """Such as `test accuracy`, or `test NLL (nats)`: with the unit where the values have none."""
        return f"{split} {self.label}" + (f" ({self.unit})" if self.unit and not self._percent else "")

    def axis(self, split: str) -> str:
        """The label of an axis, such as `test accuracy (%)`, with a note where lower is better."""
        notes = [self.unit] * bool(self.unit) + ["lower is better"] * (not self.higher_is_better)
        return f"{split} {self.label}" + (f" ({', '.join(notes)})" if notes else "")

    def merit(self, value: float) -> float:
        """The value, negated where lower is better: of two, the greater merit is the better one."""
        return value if self.higher_is_better else -value

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the greatest possible value, for plots."""
        return (0.0, 100.0) if self.is_share_of_correct else (-math.inf, math.inf)

    def gain(self, ours: float, theirs: float) -> float:
        """By how much ours is better, below 0 if worse: in points or, where gains are relative, percent of theirs."""
        difference = self.merit(ours) - self.merit(theirs)
        return 100 * difference / abs(theirs) if self.is_relative else difference

    @property
    def gain_unit(self) -> str:
        """The unit of gains: `points` or `%`."""
        return "%" if self.is_relative else "points"

    def gain_text(self, split: str) -> str:
        """The text after a gain: `points of test accuracy`, or `% lower test perplexity`."""
        if self.is_relative:
            return f"% {'higher' if self.higher_is_better else 'lower'} {split} {self.label}"
        return f"points of {split} {self.label}"

    @property
    def _percent(self) -> str:
        return " %" if self.unit == "%" else ""


@dataclass(frozen=True)
class Description:
    """The description of a task; a run's `result.json` holds it as `task`.

    Attributes:
        name: such as `image_classification`.
        unit: what losses and metrics average over: `sample` or `token`.
        metrics: first the headline, which selects on validation and is reported on test.
        names_classes: whether outputs are classes that charts show one by one.
    """

    name: str
    unit: str
    metrics: tuple[Metric, ...]
    names_classes: bool = True

    @property
    def headline(self) -> Metric:
        """The metric by which networks are selected and reported."""
        return self.metrics[0]

    @property
    def objective(self) -> str:
        """The figure that selection uses: `val/accuracy`."""
        return f"val/{self.headline.name}"

    @property
    def outcome(self) -> str:
        """The figure that is reported: `test/accuracy`."""
        return f"test/{self.headline.name}"

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> "Description":
        """The task of a `result.json`; image classification where it has none, as in old results."""
        task = result.get("task")
        if not task:
            return IMAGE_CLASSIFICATION
        metrics = tuple(Metric(**_known(Metric, metric)) for metric in task["metrics"])
        return cls(**{**_known(cls, task), "metrics": metrics})

    def as_dict(self) -> dict[str, Any]:
        """As plain values, which `of` reads."""
        return asdict(self)


def _known(kind: type[Metric] | type[Description], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of fields that this version has."""
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in values.items() if name in names}


IMAGE_CLASSIFICATION = Description(
    "image_classification",
    unit="sample",
    metrics=(
        Metric("accuracy", "accuracy", unit="%", decimals=2, is_share_of_correct=True),
        Metric("nll", "NLL", unit="nats", higher_is_better=False),
        Metric("ece", "calibration error", higher_is_better=False),
    ),
)
