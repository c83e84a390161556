"""Sentences for sweeps with several baselines: the gain that is left over the best-tuned one."""

from collections import defaultdict
from collections.abc import Sequence

from kdlab.reporting.analyse.formatting import SMALLER, brief, gained, is_doubtful, points, seeds
from kdlab.reporting.analyse.ranking import TUNED_BASELINE, lead, ranked, validation, why_unranked
from kdlab.reporting.analyse.settings import seed
from kdlab.reporting.analyse.statistics import interval
from kdlab.reporting.analyse.summary import differences, gains_of
from kdlab.reporting.evidence import Evidence, Run, Setting

OFF = (None, 0, 0.0)  # values that switch a setting off


def closed_gap(evidence: Evidence) -> str:
    """The answer where only the baseline's recipe varies: what the student still gains over the best one.

    Args:
        evidence: with the best baseline by validation accuracy first.
    """
    best, metric = evidence.settings[0], evidence.task.headline
    reached, student = best.reached("baseline"), best.reached()
    chosen = metric.brief(validation(best, "baseline").mean)
    start = (
        f"{best.label} is the best of {len(evidence.settings)} baselines by validation {metric.label} ({chosen}): "
        f"test {metric.label} {brief(reached, metric) if reached else '–'}"
    )
    if best.gain is None or student is None:
        return f"{start}, without a student to compare with."
    left = f"the student ({brief(student, metric)}) has {gained(best.gain.points, 'it', metric)}"
    return f"{start}; {left} ({seeds(best.gain.points.count)}){_closed(evidence, best)}."


def gain_over_best_baseline(settings: Sequence[Setting]) -> str | None:
    """What the first setting gains over the best of several baselines of its size; None where there is one baseline.

    The baseline is chosen on validation.
    """
    first = settings[0]
    size = first.figures.get("baseline/params")
    comparable = [one for one in settings if size is not None and one.figures.get("baseline/params") == size]
    if not _are_several(comparable) or why_unranked(comparable, "baseline"):
        return None
    best = ranked(comparable, "baseline")[0]
    gains = differences(first.runs, best.runs, "student", "baseline")
    if not gains:
        return None
    found, metric = interval(gains_of(gains)), first.task.headline
    reference = f"the best of them by validation {metric.label}"
    return (
        f"The baselines differ too: {first.label} has {gained(found, reference, metric)} "
        f"(that of {best.label}; {seeds(found.count)})."
    )


def _closed(evidence: Evidence, best: Setting) -> str:
    """By how much tuning the baseline reduced the gain."""
    metric = best.task.headline
    own = next((setting for setting in evidence.settings if _is_students_recipe(setting)), None)
    if own is None:
        gains = [setting.gain.points.mean for setting in evidence.settings if setting.gain]
        ends = f"{min(gains):+.1f} to {max(gains):+.1f} {metric.gain_unit}"
        return f"; over the baselines as a whole the gain runs from {ends}"
    if own is best:
        return "; it is the baseline with the student's own recipe, so tuning closed nothing of the gap"
    closed = lead(best, own, "baseline")
    if closed is None or own.gain is None:
        return ""
    gap = f"the {points(own.gain.points, metric)} over the baseline with the student's own recipe"
    if closed.mean <= 0:
        return f"; tuning closed nothing ({points(closed, metric)}) of {gap}"
    doubt = f", {SMALLER}," if is_doubtful(closed) else ""
    return f"; tuning closed {points(closed, metric).removeprefix('+')}{doubt} of {gap}"


def _is_students_recipe(setting: Setting) -> bool:
    student = setting.runs[0].values
    pairs = ((student.get(key.removeprefix(TUNED_BASELINE)), value) for key, value in setting.values.items())
    return all(value == own or (own is None and value in OFF) for own, value in pairs)


def _are_several(settings: Sequence[Setting]) -> bool:
    """Whether the settings have different baselines at any one seed."""
    by_seed: dict[int, set[str]] = defaultdict(set)
    for run in (run for setting in settings for run in setting.runs):
        by_seed[seed(run)].add(_identity(run))
    return any(len(baselines) > 1 for baselines in by_seed.values())


def _identity(run: Run) -> str:
    """The store's folder of the baseline, or its figures where the folder is gone."""
    link = run.path / "baseline"
    return str(link.resolve() if link.exists() else run.result.get("baseline"))
