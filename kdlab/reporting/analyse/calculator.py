"""The compression calculator: what a network saves, from measured figures. Pure functions of plain numbers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kdlab.errors import BadInput
from kdlab.settings.numbers import is_number
from kdlab.tasks.description import Metric

HOURS = 730  # of a month
ROUNDING = 1e-9  # of a number of cores: what floating-point division leaves above a whole one
LEFT_OUT = (
    "It leaves out network, parsing and queues, the wait for a batch to fill, peaks above that rate, spare machines, "
    "memory, what processes on one machine take from each other, and the cost of training and compressing."
)


@dataclass(frozen=True, kw_only=True)
class Service:
    """What a network is needed for.

    Attributes:
        requests_per_second: of one sample each, at all times.
        price_per_core_hour: of rented processors, in any currency.
        utilisation: the share of a core's time that requests may take; the rest is headroom.
        max_drop: of the headline metric, from the teacher, in its points (or per cent).

    Raises:
        BadInput: a number is out of its range.
    """

    requests_per_second: float = 5000.0
    price_per_core_hour: float = 0.04
    utilisation: float = 0.7
    max_drop: float = 1.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            least, most = (name == "max_drop"), {"utilisation": 1, "max_drop": 100}.get(name)
            too_small = not is_number(value) or not math.isfinite(value) or value < 0 or (value == 0 and not least)
            if too_small or (most is not None and value > most):
                limit = "0 or more" if least else "above 0"
                limit += "" if most is None else f", {most} or less"
                default = type(self).__dataclass_fields__[name].default
                raise BadInput(f"{name} must be a number, {limit}; got {value!r}. For example: {name}={default:g}")


def per_core(batch: int, threads: int, seconds: float) -> float:
    """Samples a second of one core.

    Args:
        batch: samples of a call.
        threads: that the call uses, a core each.
        seconds: of the call.
    """
    return batch / (seconds * threads)


def cores(service: Service, capacity: float) -> int:
    """Whole cores that the service needs.

    Args:
        service: its rate and utilisation.
        capacity: samples a second of one core.
    """
    return math.ceil(service.requests_per_second / (service.utilisation * capacity) - ROUNDING)


def monthly(service: Service, count: int) -> float:
    """The price of so many cores in a month."""
    return count * service.price_per_core_hour * HOURS


def compression(teacher: float, own: float) -> float:
    """How many times as large the teacher is."""
    return teacher / own


def retention(ours: float, teacher: float, metric: Metric) -> float:
    """The teacher's figure that is kept, in per cent; of a metric where lower is better, the teacher's over ours."""
    return 100 * (ours / teacher if metric.higher_is_better else teacher / ours)


def reduction(teacher: float, own: float) -> float:
    """How much less than the teacher, in per cent of it; below 0 where it is more."""
    return 100 * (1 - own / teacher)


def cost(service: Service, latency: Mapping[str, Any]) -> dict[str, Any]:
    """Cores and price of the service with a network, as it was measured at one batch size.

    Args:
        service: the rate and the price.
        latency: `batch`, `threads` and `p50` in seconds.

    Returns:
        `batch`, `threads`, `per_core` (samples a second), `cores`, `per_month`.
    """
    capacity = per_core(latency["batch"], latency["threads"], latency["p50"])
    count = cores(service, capacity)
    own = {"per_core": capacity, "cores": count, "per_month": monthly(service, count)}
    return {"batch": latency["batch"], "threads": latency["threads"], **own}


def assumptions(service: Service) -> list[str]:
    """Everything that the calculator takes for granted, as sentences."""
    return [
        f"{service.requests_per_second:g} samples a second at all times, cores that are busy for "
        f"{100 * service.utilisation:g} % of the time, whole cores at {service.price_per_core_hour:g} an hour "
        f"(an assumption: set price_per_core_hour), {HOURS} hours a month.",
        "A core does batch / p50 samples a second, p50 being the median of calls on this machine with as few threads "
        "as were measured.",
        LEFT_OUT,
    ]
