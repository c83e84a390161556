"""What varies between runs, and which of them are the same setting with another seed."""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any

from kdlab.reporting.collect.cells import SweepRecord
from kdlab.reporting.collect.options import GROUPS
from kdlab.reporting.collect.runs import Found
from kdlab.reporting.evidence import Run

ELSEWHERE = ("paths", "logger", "tags", "hydra", "name")  # do not affect a student
BUNDLES = ("debug", "experiment", "sweeps")  # set other keys
MACHINE = ("hardware", "trainer", "cache", "baseline", "callbacks.lr_monitor", "export")
"""Settings that change a student by rounding at most."""
IGNORED_ENDINGS = ("root", "download", "num_workers", "eval_batch_size", "directory", "mean", "std")
MATTERS = (
    "hardware.precision",
    "hardware.teacher_precision",
    "cache.dtype",
    "cache.top_k",
    "trainer.precision",
    "trainer.gradient_clip_val",
    "trainer.accumulate_grad_batches",
)


def varying_keys(found: Found) -> list[str]:
    """The settings in which runs differ, except seeds and settings that follow from others.

    First the keys that sweeps vary, then those typed for runs without a sweep. Where runs still differ in other keys of
    their configs, these are added. The settings of an export count where they are swept or typed.
    """
    swept = [key for sweep in found.sweeps for key in _swept_keys(sweep)]
    typed = [key for run in _loose(found) for key in found.typed[run.path] if matters(key) or key.startswith("export.")]
    keys = [key for key in _unique(swept + typed) if key in swept or _differs(found.runs, key)]
    keys = [key for key in keys if not _is_seed(key, found.runs)]
    if len(found.sweeps) != 1 or _loose(found):
        keys = [key for key in keys if _differs(found.runs, key)]
    return keys + _undeclared(found.runs, keys)


def same_settings(runs: Sequence[Run], keys: Sequence[str]) -> dict[tuple[Hashable, ...], list[Run]]:
    """Runs by their values of some keys."""
    groups: dict[tuple[Hashable, ...], list[Run]] = defaultdict(list)
    for run in runs:
        groups[tuple(value(run, key) for key in keys)].append(run)
    return dict(groups)


def value(run: Run, key: str) -> Any:
    """A run's value of a key; a number typed as text becomes a number, so that equal ones compare equal."""
    return as_number(run.values.get(key))


def as_number(given: Any) -> Any:
    """The number that a text stands for; anything else as it is."""
    try:
        number = float(given) if isinstance(given, str) else given
    except ValueError:
        return given
    is_nan = isinstance(number, float) and math.isnan(number)
    return str(given) if is_nan else number  # as a number it would not equal itself


def seed(run: Run) -> int:
    """The student's seed; 0 where none was recorded."""
    recorded = run.values.get("seed")
    return recorded if isinstance(recorded, int) else 0


def _swept_keys(sweep: SweepRecord) -> list[str]:
    """The keys that a sweep gives several values, except those that do not affect a student."""
    varied = sweep.about.get("varied")
    if not isinstance(varied, dict):
        return []
    several = (key for key, values in varied.items() if len(values) > 1 or "(" in "".join(map(str, values)))
    return [key for key in several if key.partition(".")[0] not in ELSEWHERE]


def _loose(found: Found) -> list[Run]:
    swept: set[Path] = set().union(*(sweep.runs for sweep in found.sweeps))
    return [run for run in found.runs if run.path not in swept]


def _undeclared(runs: Sequence[Run], declared: Sequence[str]) -> list[str]:
    """Keys in which runs differ whose swept or typed settings are equal."""
    kept = list(declared)
    for group in same_settings(runs, declared).values():
        for key in _differing_keys(group):
            if _differs(group, key) and not _follows(key, kept, group):
                kept.append(key)
    return kept[len(declared) :]


def _differing_keys(runs: Sequence[Run]) -> list[str]:
    """Keys in which runs differ: options before the settings of their nodes, shallow keys before deep ones."""
    keys = _unique(key for run in runs for key in run.values)
    differing = [key for key in keys if matters(key) and not _is_seed(key, runs) and _differs(runs, key)]
    return sorted(differing, key=lambda key: (key not in GROUPS, key.count("."), key))


def _follows(key: str, kept: Sequence[str], runs: Sequence[Run]) -> bool:
    """Whether a key only repeats one that is kept: it has the same values, or is part of a kept option's node."""
    return any(
        all(value(run, key) == value(run, other) for run in runs)
        or (_is_part(key, other) and all(not _differs(same, key) for same in same_settings(runs, [other]).values()))
        for other in kept
    )


def _is_part(key: str, other: str) -> bool:
    node = GROUPS.get(other)
    if node:
        return key.startswith(f"{node}.")
    return key.startswith("loss.terms.") and other.startswith("loss.")


def matters(key: str) -> bool:
    """Whether a setting of a config changes a network by more than rounding; seeds do."""
    without = (*ELSEWHERE, *BUNDLES, *MACHINE)
    if key.startswith(tuple(f"{name}." for name in without)) or key in without:
        return key in MATTERS
    return key.rpartition(".")[2] not in IGNORED_ENDINGS


def _is_seed(key: str, runs: Sequence[Run]) -> bool:
    """Whether a key is the run's seed or follows it."""
    if key == "seed":
        return True
    if not key.endswith("seed"):
        return False
    by_seed: dict[int, set[Any]] = defaultdict(set)
    for run in runs:
        by_seed[seed(run)].add(value(run, key))
    return len(by_seed) > 1 and all(len(values) == 1 for values in by_seed.values())


def _differs(runs: Sequence[Run], key: str) -> bool:
    return len({value(run, key) for run in runs}) > 1


def _unique(keys: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(keys))
