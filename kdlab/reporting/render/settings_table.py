"""The table of settings as the page shows it: columns that have data, cells with a number to sort by."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from kdlab.reporting.analyse.formatting import OVER, SMALLER, is_doubtful, seeds
from kdlab.reporting.evidence import Interval, Setting
from kdlab.reporting.render.magnitude import scaled
from kdlab.tasks.description import IMAGE_CLASSIFICATION, Metric


@dataclass(frozen=True)
class Cell:
    """One cell of the table.

    Attributes:
        text: shown.
        number: to sort by; None sorts last.
        note: a remark under the number.
    """

    text: str
    number: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Column:
    """A heading, its meaning, and a cell for each setting, None where there is no value."""

    heading: str
    meaning: str
    cells: tuple[Cell | None, ...]

    @property
    def is_shared(self) -> bool:
        """Whether it is a size that several settings have in common: one sentence states it, in place of a column."""
        texts = {cell.text if cell else None for cell in self.cells}
        return self.heading in SIZES and len(self.cells) > 1 and len(texts) == 1


def columns(settings: Sequence[Setting], role: str = "student") -> list[Column]:
    """The columns for which any setting has a value, in the order in which they are read.

    Args:
        settings: the rows.
        role: that settings are ranked by, whose validation figure is shown.
    """
    task = settings[0].task if settings else IMAGE_CLASSIFICATION
    found = [
        Column(heading, meaning, tuple(map(cell, settings))) for heading, meaning, cell in _columns(task.headline, role)
    ]
    return [column for column in found if any(column.cells)]


def with_interval(figure: Interval, sign: str = "", decimals: int = 2) -> str:
    """Such as `98.53 ± 0.62`, without the half where there is none."""
    half = "" if figure.half is None else f" ± {figure.half:.{decimals}f}"
    return f"{figure.mean:{sign}.{decimals}f}{half}"


def _headline(of: Callable[[Setting], Interval | None]) -> Callable[[Setting], Cell | None]:
    def cell(setting: Setting) -> Cell | None:
        figure = of(setting)
        return Cell(with_interval(figure, decimals=setting.task.headline.decimals), figure.mean) if figure else None

    return cell


def _figure(name: str, show: Callable[[Interval], str]) -> Callable[[Setting], Cell | None]:
    def cell(setting: Setting) -> Cell | None:
        figure = setting.figures.get(name)
        return Cell(show(figure), figure.mean) if figure else None

    return cell


def _mean(form: str) -> Callable[[Interval], str]:
    return lambda figure: format(figure.mean, form)


def _size(figure: Interval) -> str:
    return scaled(figure.mean)


def _gain(setting: Setting) -> Cell | None:
    return _difference(setting.gain.points) if setting.gain else None


def _control(setting: Setting) -> Cell | None:
    return _difference(setting.gain_over_control) if setting.gain_over_control else None


def _difference(points: Interval) -> Cell:
    note = seeds(1) if points.half is None else SMALLER if is_doubtful(points) else ""
    return Cell(with_interval(points, "+"), points.mean, note)


def _bootstrap(setting: Setting) -> Cell | None:
    if not setting.gain or not setting.gain.bootstrap:
        return None
    low, high = setting.gain.bootstrap
    return Cell(f"{low:+.2f} … {high:+.2f}", low)


def _p(setting: Setting) -> Cell | None:
    p = setting.gain.p_holm if setting.gain else None
    return None if p is None else Cell("< 0.0001" if p < 0.0001 else f"{p:.2g}", p)


def _latency(setting: Setting) -> Cell | None:
    figure = setting.figures.get("export/p50")
    over = any(run.export.get("within_budget") is False for run in setting.runs)
    return Cell(f"{1e3 * figure.mean:.3g}", figure.mean, OVER if over else "") if figure else None


def _columns(metric: Metric, role: str) -> Iterator[tuple[str, str, Callable[[Setting], Cell | None]]]:
    """Heading, meaning and cell of every column."""
    unit, suffix = metric.unit or metric.label, "" if role == "student" else f", {role}"
    yield (
        f"validation {unit}{suffix}",
        f"{metric.label} of the {role} on validation",
        _headline(lambda setting: setting.validated(role)),
    )
    yield (
        f"test {unit}",
        f"{metric.label} on the test set after training, ± half the 95 % t-interval over seeds",
        _headline(lambda setting: setting.reached()),
    )
    yield (
        f"baseline {unit}",
        f"test {metric.label} of the same student without a teacher",
        _headline(lambda setting: setting.reached("baseline")),
    )
    yield (
        "gain %" if metric.is_relative else "gain",
        f"student against baseline in {metric.gain_text('test')}, paired by seed, ± half the 95 % t-interval",
        _gain,
    )
    yield from COLUMNS


SIZES = ("parameters", "FLOPs")
COLUMNS: tuple[tuple[str, str, Callable[[Setting], Cell | None]], ...] = (
    ("bootstrap", "95 % interval of the gain by a paired bootstrap over test samples", _bootstrap),
    ("p (Holm)", "probability of such a gain if there were none, corrected for as many settings as are compared", _p),
    ("over control", "gain of the student over the control, which trained as long in one step", _control),
    (
        "gap recovered",
        "share of the distance from baseline to teacher that the student covered",
        _figure("gap_recovered", lambda figure: f"{100 * figure.mean:.0f} %"),
    ),
    (
        "agreement %",
        "share of the test set for which student and teacher predict the same",
        _figure("agreement", _mean(".1f")),
    ),
    (
        "KL to teacher",
        "mean divergence of the student's probabilities from the teacher's, in nats",
        _figure("kl_to_teacher", _mean(".3g")),
    ),
    (
        "ECE",
        "expected calibration error of the student on the test set, 15 bins",
        _figure("student/test/ece", _mean(".3f")),
    ),
    ("parameters", "of the student", _figure("student/params", _size)),
    ("FLOPs", "of the student, per sample", _figure("student/flops", _size)),
    ("seconds", "of training the student", _figure("student/seconds", _mean(".1f"))),
    ("latency ms", "of the artifact to ship, at the deciding batch and threads: see What can be shipped", _latency),
)
