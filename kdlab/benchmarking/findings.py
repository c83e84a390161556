"""The results of one run of the benchmark, and their form as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kdlab.benchmarking.case import BARE, PLAIN, STUDENT, Case
from kdlab.benchmarking.claims import Claim, claims, difference, ratio, teacher_share
from kdlab.benchmarking.measure import Timings
from kdlab.benchmarking.scaling import Scaling
from kdlab.store.atomic import write_text_atomically


@dataclass(frozen=True)
class PairResult:
    """The measurements of one pair.

    Attributes:
        case: what was trained.
        timings: of every variant.
    """

    case: Case
    timings: Timings

    @property
    def claims(self) -> list[Claim]:
        """The promises, with what was measured."""
        return claims(self.case.pair, self.timings)

    def row(self, variant: str) -> dict[str, Any]:
        """The figures of one variant: its own, and relative to others in the same repeats."""
        timing = self.timings[variant]
        return {
            "images_per_second": self.case.batch_size / timing.median,
            "ms_per_step": 1000 * timing.median,
            "ms_range": [1000 * min(timing.seconds), 1000 * max(timing.seconds)],
            "faster_than_plain": asdict(ratio(self.timings, PLAIN, variant)),
            "of_student_only": asdict(ratio(self.timings, variant, STUDENT)),
            "teacher_share": teacher_share(self.timings, variant),
            "memory_bytes": timing.memory_bytes,
            "start_seconds": timing.start_seconds,
            "seconds": list(timing.seconds),
        }

    @property
    def overhead(self) -> dict[str, Any]:
        """What Lightning and kdlab add to a step without a teacher: milliseconds, and a factor."""
        return {
            "ms": asdict(difference(self.timings, STUDENT, BARE)),
            "factor": asdict(ratio(self.timings, STUDENT, BARE)),
        }


def write_json(
    path: Path,
    machine: dict[str, Any],
    rounds: dict[str, int],
    pairs: Sequence[PairResult],
    scalings: Sequence[Scaling],
) -> None:
    """Writes all results, unrounded.

    Args:
        path: of the file.
        machine: its properties, from `kdlab.benchmarking.machine`.
        rounds: `repeats`, and timed `steps` of each.
        pairs: one result each.
        scalings: may be empty.
    """
    content = {
        "machine": machine,
        **rounds,
        "pairs": [_pair(result) for result in pairs],
        "scaling": [asdict(one) for one in scalings],
    }
    write_text_atomically(path, json.dumps(content, indent=2) + "\n")


def _pair(result: PairResult) -> dict[str, Any]:
    return {
        "case": asdict(result.case),
        "variants": {variant: result.row(variant) for variant in result.timings},
        "framework_overhead": result.overhead,
        "claims": [{**asdict(claim), "holds": claim.holds} for claim in result.claims],
    }
