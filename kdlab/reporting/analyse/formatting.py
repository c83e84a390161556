"""Figures as text, the same in every sentence and table."""

from kdlab.reporting.evidence import Interval
from kdlab.tasks.description import Metric

SMALLER = "smaller than its uncertainty"
OVER = "over budget"
EQUAL = 1e-9  # points: what rounding leaves between figures that are equal


def percent(figure: Interval) -> str:
    """A share, such as `98.5 ± 0.6 %`."""
    return f"{figure.mean:.1f}{_half(figure)} %"


def brief(figure: Interval, metric: Metric) -> str:
    """A figure of a metric, such as `98.5 ± 0.6 %`."""
    return metric.brief(figure.mean, figure.half)


def points(figure: Interval, metric: Metric) -> str:
    """A gain in a metric, such as `+5.6 ± 0.8 points`."""
    return f"{figure.mean:+.1f}{_half(figure)} {metric.gain_unit}"


def size(figure: Interval, metric: Metric) -> str:
    """`points` without the sign, for sentences that state the direction."""
    return f"{abs(figure.mean):.1f}{_half(figure)} {metric.gain_unit}"


def seeds(count: int) -> str:
    """Such as `3 seeds`; with one, also that there is no interval."""
    return "one seed: no interval" if count == 1 else f"{count} seeds"


def gained(figure: Interval, over: str, metric: Metric) -> str:
    """A gain over something, or a loss against it, and whether it is smaller than its uncertainty."""
    doubt = f", {SMALLER}" if is_doubtful(figure) else ""
    if abs(figure.mean) < EQUAL:
        return f"no gain over {over}"
    if figure.mean < 0:
        return f"a loss of {size(figure, metric)} against {over}{doubt}"
    return f"a gain of {points(figure, metric)} over {over}{doubt}"


def is_doubtful(figure: Interval) -> bool:
    """Whether a difference is smaller than its uncertainty: its interval is known and holds zero."""
    return figure.half is not None and figure.is_uncertain


def listed(parts: list[str]) -> str:
    """Such as `a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def probability(p: float) -> str:
    """Such as `p = 0.012`, or `p < 0.0001`."""
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"


def _half(figure: Interval) -> str:
    return "" if figure.half is None else f" ± {figure.half:.1f}"
