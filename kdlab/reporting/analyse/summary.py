"""The figures of a setting over its seeds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kdlab.reporting.analyse.settings import seed
from kdlab.reporting.analyse.statistics import Flags, holm, interval, mcnemar_test, paired_bootstrap, paired_t_test
from kdlab.reporting.collect.predictions import correctness
from kdlab.reporting.evidence import Gain, Interval, Run, Setting
from kdlab.runtime.export_summary import shipped

ROLES = ("teacher", "student", "baseline", "control", "ensemble")
OVERALL = ("agreement", "agreement_baseline", "kl_to_teacher")
LEAST_GAP = 1.0  # points, or per cent, between teacher and baseline, from which on a recovered share is stated


def summarised(label: str, values: Mapping[str, Any], runs: Sequence[Run]) -> Setting:
    """A setting from its runs, of which there is one a seed."""
    runs = sorted(runs, key=seed)
    setting = Setting(label, values, tuple(runs), _figures(runs))
    gains = differences(runs, runs, "student", "baseline")
    control_gains = differences(runs, runs, "student", "control")
    return replace(
        setting,
        figures={**setting.figures, **_gap_recovered(runs)},
        gain=_gain(runs, gains) if gains else None,
        gain_over_control=interval(gains_of(control_gains)) if control_gains else None,
    )


def corrected(settings: Sequence[Setting]) -> list[Setting]:
    """The settings with their p-values corrected for as many as are compared."""
    p_values = holm([setting.gain.p if setting.gain else None for setting in settings])
    return [
        replace(setting, gain=replace(setting.gain, p_holm=p)) if setting.gain else setting
        for setting, p in zip(settings, p_values, strict=True)
    ]


def differences(ours: Sequence[Run], theirs: Sequence[Run], role: str, other: str) -> dict[int, float]:
    """By seed, what a role of our runs gains over a role of theirs on test; only seeds that have both.

    Args:
        ours: one a seed.
        theirs: one a seed; may be the same runs.
        role: such as `student`.
        other: such as `baseline`.
    """
    above, below = _reached(ours, role), _reached(theirs, other)
    gain = {seed(run): run.task.headline.gain for run in ours}
    return {number: gain[number](above[number], below[number]) for number in above if number in below}


def _reached(runs: Sequence[Run], role: str) -> dict[int, float]:
    """By seed, the headline metric of a role on test, where there is one."""
    found = {seed(run): _number((run.result.get(role) or {}).get(run.task.outcome)) for run in runs}
    return {number: value for number, value in found.items() if value is not None}


def gains_of(by_seed: Mapping[int, float]) -> list[float]:
    """The values of a mapping by seed, in the order of the seeds."""
    return [by_seed[number] for number in sorted(by_seed)]


def _gain(runs: Sequence[Run], gains: Mapping[int, float]) -> Gain:
    pairs = _paired_correctness([run for run in runs if seed(run) in gains])
    bootstrap = None
    if pairs:
        bootstrap = paired_bootstrap(100 * np.mean([ours.astype(float) - theirs for ours, theirs in pairs], axis=0))
    one = len(gains) == 1
    p = (mcnemar_test(*pairs[0]) if pairs else None) if one else paired_t_test(gains_of(gains))
    return Gain(interval(gains_of(gains)), bootstrap, p)


def _paired_correctness(runs: Sequence[Run]) -> list[tuple[Flags, Flags]] | None:
    """Of each run whether student and baseline are right on each test unit; None where the metric is another."""
    pairs = []
    if not all(run.task.headline.is_share_of_correct for run in runs):
        return None
    for run in runs:
        ours, theirs = correctness(run.path / "student"), correctness(run.path / "baseline")
        if ours is None or theirs is None:
            return None
        pairs.append((ours, theirs))
    sizes = {len(one) for pair in pairs for one in pair}
    return pairs if len(sizes) == 1 else None


def _figures(runs: Sequence[Run]) -> dict[str, Interval]:
    """Every figure that any of the runs has, over those that have it."""
    found: dict[str, list[float]] = {}
    for run in runs:
        for name, given in _named(run.result):
            number = _number(given)
            if number is not None:
                found.setdefault(name, []).append(number)
    return {name: interval(values) for name, values in found.items()}


def _named(result: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    generations = {f"generation{number}": one for number, one in enumerate(result.get("generations") or (), 1)}
    steps = {str(step.get("name")): step.get("figures") for step in result.get("steps") or ()}
    roles = {role: result.get(role) for role in ROLES}
    for role, figures in {**roles, **generations, **steps}.items():
        for name, given in (figures or {}).items():
            yield f"{role}/{name}", given
    yield from ((name, result.get(name)) for name in OVERALL)
    artifact = shipped(result.get("export") or {}) or {}
    yield from ((f"export/{name}", given) for name, given in artifact.items())
    yield "best_minus_last", (result.get("best_minus_last") or {}).get("value")


def _gap_recovered(runs: Sequence[Run]) -> dict[str, Interval]:
    """(student − baseline) / (teacher − baseline) of means, where that gap is at least `LEAST_GAP` and significant.

    Not of born-again runs, whose teacher is the previous generation.
    """
    gains, gaps = (differences(runs, runs, role, "baseline") for role in ("student", "teacher"))
    if not gains or set(gains) != set(gaps) or any(run.result.get("generations") for run in runs):
        return {}
    gap = interval(gains_of(gaps))
    if gap.mean < LEAST_GAP or (gap.half is not None and gap.is_uncertain):
        return {}
    return {"gap_recovered": Interval(float(np.mean(gains_of(gains))) / gap.mean, None, len(gains))}


def _number(given: Any) -> float | None:
    is_number = isinstance(given, int | float) and not isinstance(given, bool) and np.isfinite(given)
    return float(given) if is_number else None
