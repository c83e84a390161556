"""All that one start of the benchmark found, and its form as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kdlab.benchmarking.case import ALONE, BARE, PLAIN, Case
from kdlab.benchmarking.claims import Claim, claims, difference, ratio, teacher_share
from kdlab.benchmarking.growth import Growth
from kdlab.benchmarking.measure import Timings
from kdlab.store.atomic import write_text_atomically


@dataclass(frozen=True)
class Found:
    """One pair.

    Attributes:
        case: what was trained.
        timings: of every way.
    """

    case: Case
    timings: Timings

    @property
    def claims(self) -> list[Claim]:
        """The promises, with what was found."""
        return claims(self.case.pair, self.timings)

    def row(self, way: str) -> dict[str, Any]:
        """The figures of one way: its own, and beside others in the same repeats."""
        timing = self.timings[way]
        return {
            "images_per_second": self.case.batch_size / timing.median,
            "ms_per_step": 1000 * timing.median,
            "ms_range": [1000 * min(timing.seconds), 1000 * max(timing.seconds)],
            "faster_than_plain": asdict(ratio(self.timings, PLAIN, way)),
            "of_student_only": asdict(ratio(self.timings, way, ALONE)),
            "teacher_share": teacher_share(self.timings, way),
            "memory_bytes": timing.memory_bytes,
            "start_seconds": timing.start_seconds,
            "seconds": list(timing.seconds),
        }

    @property
    def overhead(self) -> dict[str, Any]:
        """What the framework adds to a step of the student alone: milliseconds, and a factor."""
        return {
            "ms": asdict(difference(self.timings, ALONE, BARE)),
            "factor": asdict(ratio(self.timings, ALONE, BARE)),
        }


def write_json(
    path: Path, machine: dict[str, Any], turns: dict[str, int], found: Sequence[Found], grown: Sequence[Growth]
) -> None:
    """Writes everything that was found, unrounded.

    Args:
        path: of the file.
        machine: as `kdlab.benchmarking.machine` has it.
        turns: `repeats`, and timed `steps` of each.
        found: pairs.
        grown: how costs grow; may be empty.
    """
    content = {
        "machine": machine,
        **turns,
        "pairs": [_pair(one) for one in found],
        "growth": [asdict(one) for one in grown],
    }
    write_text_atomically(path, json.dumps(content, indent=2) + "\n")


def _pair(found: Found) -> dict[str, Any]:
    return {
        "case": asdict(found.case),
        "ways": {way: found.row(way) for way in found.timings},
        "framework_overhead": found.overhead,
        "claims": [{**asdict(claim), "holds": claim.holds} for claim in found.claims],
    }
