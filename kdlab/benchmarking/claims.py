"""What kdlab promises about its speed, and whether the measurements confirm it."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from kdlab.benchmarking.case import BARE, COLD, LIVE, PLAIN, PLAIN_STUDENT, STUDENT, WARM
from kdlab.benchmarking.measure import Timings

SHARE, FLOOR_MS = 0.03, 2.0
"""What a step may cost more than another: the larger of a share of that one, and milliseconds."""
MEMORY = 1.1
LIVE_SPEEDUP = 1.5
WARM_SPEEDUP = {"resnet32x4_resnet8x4": 2.8, "resnet56_resnet20": 2.2, "resnet50_mbv3": 5.0}
"""How many steps with a warm cache fit into one of the plain loop, by pair."""
STUDENT_ONLY = {PLAIN: PLAIN_STUDENT, LIVE: STUDENT, COLD: STUDENT, WARM: STUDENT}
"""The same loop without a teacher."""


@dataclass(frozen=True)
class Span:
    """The values of all repeats."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Span":
        """Of at least one value."""
        return cls(median(values), min(values), max(values))


@dataclass(frozen=True)
class Claim:
    """One promise.

    Attributes:
        words: what is compared.
        found: the measured values, one for each repeat.
        limit: of the median.
        at_most: whether the limit is the largest value allowed, or else the smallest.
        unit: of both; empty for a ratio.
    """

    words: str
    found: Span
    limit: float
    at_most: bool
    unit: str = ""

    @property
    def holds(self) -> bool:
        """Whether the median is within the limit."""
        return self._allows(self.found.median)

    @property
    def is_unclear(self) -> bool:
        """Whether some repeats are within the limit and others are not: repeat more, or on an idle machine."""
        return self._allows(self.found.least) != self._allows(self.found.most)

    def _allows(self, value: float) -> bool:
        return value <= self.limit if self.at_most else value >= self.limit


def claims(pair: str, timings: Timings) -> list[Claim]:
    """The promises about a pair, with what was measured.

    Args:
        pair: an option of `model`.
        timings: of every variant.
    """
    memory = timings[WARM].memory_bytes / timings[STUDENT].memory_bytes
    found = [
        _costs_no_more(timings, WARM, STUDENT),
        _costs_no_more(timings, STUDENT, BARE),
        Claim(f"{PLAIN} / {LIVE}", ratio(timings, PLAIN, LIVE), LIVE_SPEEDUP, at_most=False),
        Claim(f"memory, {WARM} / {STUDENT}", Span.of([memory]), MEMORY, at_most=True),
    ]
    if pair in WARM_SPEEDUP:
        found.append(Claim(f"{PLAIN} / {WARM}", ratio(timings, PLAIN, WARM), WARM_SPEEDUP[pair], at_most=False))
    return found


def ratio(timings: Timings, over: str, under: str) -> Span:
    """How often a step of variant `under` fits into a step of `over`, repeat by repeat."""
    pairs = zip(timings[over].seconds, timings[under].seconds, strict=True)
    return Span.of([one / other for one, other in pairs])


def difference(timings: Timings, variant: str, less: str) -> Span:
    """Milliseconds that a step of `variant` takes more than one of `less`, repeat by repeat."""
    pairs = zip(timings[variant].seconds, timings[less].seconds, strict=True)
    return Span.of([1000 * (one - other) for one, other in pairs])


def teacher_share(timings: Timings, variant: str) -> float | None:
    """The teacher's share of a step, by comparison with the same loop without one; None where there is no teacher."""
    student_only = STUDENT_ONLY.get(variant)
    return None if student_only is None else 1 - ratio(timings, student_only, variant).median


def _costs_no_more(timings: Timings, variant: str, than: str) -> Claim:
    limit = max(SHARE * 1000 * timings[than].median, FLOOR_MS)
    return Claim(f"{variant} − {than}", difference(timings, variant, than), limit, at_most=True, unit="ms")
