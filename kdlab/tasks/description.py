"""What people and programs are told of a task: its unit and its metrics. Free of torch, so that reports can ask it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Metric:
    """A figure that networks are compared by.

    Attributes:
        name: after the slash in results: `accuracy` of `test/accuracy`.
        label: in words, such as `accuracy`.
        unit: of its values, such as `%`; empty for none.
        decimals: that are shown.
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
        """Such as `98.20 %`, or `12.41`: units other than per cent stand in the heading."""
        return f"{value:.{self.decimals}f}{self._percent}"

    def brief(self, value: float, half: float | None = None) -> str:
        """The same in a sentence, with half the width of its interval: `98.2 ± 0.6 %`."""
        decimals = max(self.decimals - 1, 0)
        around = "" if half is None else f" ± {half:.{decimals}f}"
        return f"{value:.{decimals}f}{around}{self._percent}"

    def heading(self, split: str) -> str:
        """Such as `test accuracy`, or `test NLL (nats)`: the unit is there where the values do without."""
        return f"{split} {self.label}" + (f" ({self.unit})" if self.unit and not self._percent else "")

    def axis(self, split: str) -> str:
        """The name of an axis, such as `test accuracy (%)`; it says where lower is better."""
        notes = [self.unit] * bool(self.unit) + ["lower is better"] * (not self.higher_is_better)
        return f"{split} {self.label}" + (f" ({', '.join(notes)})" if notes else "")

    def merit(self, value: float) -> float:
        """The value, negated where lower is better: of two, the greater merit is the better one."""
        return value if self.higher_is_better else -value

    def gain(self, ours: float, theirs: float) -> float:
        """By how much ours is better, below 0 if worse: in points or, where gains are relative, percent of theirs."""
        difference = self.merit(ours) - self.merit(theirs)
        return 100 * difference / abs(theirs) if self.is_relative else difference

    @property
    def gain_unit(self) -> str:
        """What gains are counted in: `points` or `%`."""
        return "%" if self.is_relative else "points"

    def gain_words(self, split: str) -> str:
        """What stands after a gain: `points of test accuracy`, or `% lower test perplexity`."""
        if self.is_relative:
            return f"% {'higher' if self.higher_is_better else 'lower'} {split} {self.label}"
        return f"points of {split} {self.label}"

    @property
    def _percent(self) -> str:
        return " %" if self.unit == "%" else ""


@dataclass(frozen=True)
class Description:
    """What a task says of itself; a run's `result.json` carries it as `task`.

    Attributes:
        name: such as `image_classification`.
        unit: what losses and metrics average over: `sample` or `token`.
        metrics: the headline first: what is chosen by on validation and stated on test.
        names_classes: whether outputs are classes that charts can show one by one.
    """

    name: str
    unit: str
    metrics: tuple[Metric, ...]
    names_classes: bool = True

    @property
    def headline(self) -> Metric:
        """The metric that networks are chosen by and stated in."""
        return self.metrics[0]

    @property
    def objective(self) -> str:
        """The figure that anything is chosen by: `val/accuracy`."""
        return f"val/{self.headline.name}"

    @property
    def outcome(self) -> str:
        """The figure that says what came of it: `test/accuracy`."""
        return f"test/{self.headline.name}"

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> "Description":
        """The task of a `result.json`; one that was written before there were tasks classified images."""
        said = result.get("task")
        if not said:
            return IMAGE_CLASSIFICATION
        metrics = tuple(Metric(**_known(Metric, metric)) for metric in said["metrics"])
        return cls(**{**_known(cls, said), "metrics": metrics})

    def as_dict(self) -> dict[str, Any]:
        """As plain values, which `of` reads."""
        return asdict(self)


def _known(kind: type[Metric] | type[Description], said: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that this version has."""
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in said.items() if name in names}


IMAGE_CLASSIFICATION = Description(
    "image_classification",
    unit="sample",
    metrics=(
        Metric("accuracy", "accuracy", unit="%", decimals=2, is_share_of_correct=True),
        Metric("nll", "NLL", unit="nats", higher_is_better=False),
        Metric("ece", "calibration error", higher_is_better=False),
    ),
)
