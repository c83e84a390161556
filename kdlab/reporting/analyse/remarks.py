"""Warnings and qualifications of an answer: one sentence each, the most important first."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any

from kdlab.reporting.analyse.formatting import SMALLER, listed
from kdlab.reporting.analyse.labels import names, shown
from kdlab.reporting.analyse.ranking import chosen_role, lead, validation
from kdlab.reporting.analyse.tuned_baseline import gain_over_best_baseline
from kdlab.reporting.evidence import Evidence, Run, Setting

SEARCHED = 10  # settings from which on the best validation figure is optimistic enough for a remark
PLENTY = 3  # numeric values from which on the best one at an end gets a remark
NATURAL = (0, 1)  # ends of counts and shares, with no values beyond
VALIDATION_SET = ("data.val_fraction", "data.split_seed", "data.train_samples")
SIGNIFICANT = 0.05


def remarks(evidence: Evidence) -> Iterator[str]:
    """Yields the sentences."""
    runs = [run for setting in evidence.settings for run in setting.runs]
    if not runs:
        return
    yield from _below_references(runs)
    yield from _poor_teacher(runs)
    yield from _kept_epochs(runs)
    yield from _given_teacher(runs)
    yield from _failed(evidence)
    if evidence.best and len(evidence.settings) > 1:
        yield from _choice(evidence)
    yield from _several_gains(evidence.settings)
    yield from _teacher_and_seeds(evidence)
    yield from _equal_differences(evidence.settings)
    yield from _unequal_seeds(evidence)
    yield from _versions(runs)


def _below_references(runs: Sequence[Run]) -> Iterator[str]:
    """Teachers and baselines that are no better than a predictor without a network."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for run in runs:
        metric, outcome = run.task.headline, run.task.outcome
        for name, row in (run.result.get("references") or {}).items():
            for role in ("teacher", "baseline"):
                reached = (run.result.get(role) or {}).get(outcome)
                if reached is not None and outcome in row and metric.gain(reached, row[outcome]) <= 0:
                    found[role, name].append(f"{metric.brief(reached)} against {metric.brief(row[outcome])}")
    for (role, name), pairs in found.items():
        where = f"in {len(pairs)} of {len(runs)} runs" if len(runs) > 1 else "here"
        yield (
            f"THE {role.upper()} IS NO BETTER THAN THE {name.upper()} {where} ({pairs[0]} on test): it has learned "
            "nothing yet, and no gain means anything; train it longer, or look at its learning rate."
        )


def _kept_epochs(runs: Sequence[Run]) -> Iterator[str]:
    """Networks of their best epoch, beside which those of a last epoch look worse than they are."""
    kept = [run for run in runs if run.result.get("kept_epochs")]
    if kept:
        which = "" if len(kept) == len(runs) else f" in {len(kept)} of {len(runs)} runs"
        yield (
            f"Networks have the weights of their best epoch on validation, not of their last{which} "
            "(callbacks=keep_best): validation figures, by which settings are chosen, are optimistic; those on test "
            "are not."
        )


def _poor_teacher(runs: Sequence[Run]) -> Iterator[str]:
    """Teachers below their baseline, except in born-again runs, where the last generation teaches."""
    distilled = [run for run in runs if run.result.get("baseline") and run.result.get("teacher")]
    distilled = [run for run in distilled if not run.result.get("generations")]
    worse = [run for run in distilled if _gap(run) < 0]
    if worse:
        metric, outcome = worse[0].task.headline, worse[0].task.outcome
        reached, baseline = (worse[0].result[role][outcome] for role in ("teacher", "baseline"))
        pair = f"{metric.brief(reached).removesuffix(' %')} against {metric.brief(baseline)}"
        where = f"in {len(worse)} of {len(distilled)} runs" if len(distilled) > 1 else "here"
        yield (
            f"THE TEACHER IS WORSE THAN THE BASELINE {where} ({pair} on test): a student should not copy it; train it "
            "longer (model.teacher.train.epochs) or give it weights (model.teacher.checkpoint)."
        )


def _given_teacher(runs: Sequence[Run]) -> Iterator[str]:
    given = sorted({name for run in runs for name in _given(run)})
    if given:
        yield (
            f"The weights of the teacher were made elsewhere ({listed(given)}), possibly with the samples held "
            f"out here for validation, or even those of the test: validation {runs[0].task.headline.label} of its "
            "students may be too good, and a choice by it is weaker."
        )


def _given(run: Run) -> Iterator[str]:
    """The checkpoint of each teacher that was not trained here."""
    for stage in run.result.get("stages") or ():
        name = str(stage.get("name"))
        if stage.get("epochs") == 0 and name.startswith("teacher"):
            node = f"model.teachers.{name.removeprefix('teacher_')}" if name != "teacher" else "model.teacher"
            checkpoint = run.values.get(f"{node}.checkpoint")
            network = run.values.get(f"{node}.name") or name
            yield PurePath(str(checkpoint)).name if checkpoint else f"pretrained {network}"


def _failed(evidence: Evidence) -> Iterator[str]:
    count = len(evidence.failures)
    if count:
        every = count + sum(len(setting.runs) for setting in evidence.settings)
        yield f"{count} of {every} cells {'has' if count == 1 else 'have'} no result: see the failures."


def _choice(evidence: Evidence) -> Iterator[str]:
    role, metric = chosen_role(evidence.varied), evidence.task.headline
    if role == "student":
        yield from _close_to_best(evidence.settings)
        if remark := gain_over_best_baseline(evidence.settings):
            yield remark
    yield from _edges(evidence)
    if len(evidence.settings) >= SEARCHED:
        yield (
            f"The best of {len(evidence.settings)} settings by validation {metric.label} was partly lucky there: "
            f"{metric.brief(validation(evidence.settings[0], role).mean)} is optimistic, its test "
            f"{metric.label} is not."
        )
    if any(len({run.values.get(key) for one in evidence.settings for run in one.runs}) > 1 for key in VALIDATION_SET):
        yield "The settings do not share one validation set: their validation figures are not fully comparable."


def _close_to_best(settings: Sequence[Setting]) -> Iterator[str]:
    best, *others = settings
    leads = [lead(best, other, "student") for other in others]
    estimated = [one for one in leads if one is not None and one.half is not None]
    uncertain = sum(one.is_uncertain for one in estimated)
    if uncertain and len(others) > 1:
        count = f"{'all' if uncertain == len(others) else f'{uncertain} of the'} {len(others)} other settings"
        yield f"On test, the difference of {count} from {best.label} is {SMALLER}."


def _edges(evidence: Evidence) -> Iterator[str]:
    assert evidence.best
    named = names(list(evidence.varied))
    for key, values in evidence.varied.items():
        numeric = [one for one in values if isinstance(one, int | float) and not isinstance(one, bool)]
        edge = evidence.best.values[key]
        if len(numeric) == len(values) >= PLENTY and edge in (min(numeric), max(numeric)) and edge not in NATURAL:
            which = "largest" if edge == max(numeric) else "smallest"
            yield f"{named[key]} {shown(edge)} is the {which} value tried: the best one may lie beyond it."


def _several_gains(settings: Sequence[Setting]) -> Iterator[str]:
    corrected = [setting.gain.p_holm for setting in settings if setting.gain and setting.gain.p_holm is not None]
    if len(corrected) > 1:
        count = sum(p < SIGNIFICANT for p in corrected)
        below = "none has" if not count else f"{count} {'has' if count == 1 else 'have'}"
        yield f"After Holm's correction for {len(corrected)} comparisons with the baseline, {below} p < {SIGNIFICANT}."


def _teacher_and_seeds(evidence: Evidence) -> Iterator[str]:
    """Whether the intervals over seeds hold for one teacher only."""
    runs = [run for setting in evidence.settings for run in setting.runs]
    if len(evidence.seeds) < 2 or not any(_teachers(run) for run in runs):
        return
    for setting in evidence.settings:
        teachers = {_teachers(run) for run in setting.runs}
        if len(setting.runs) > 1 and len(teachers) > 1:
            yield "The teacher varies with the seed, so the intervals hold for teachers trained like it."
            return
    vary = "model.teacher.train.seed=${seed} varies both"
    yield f"The seeds share one teacher: the intervals are conditional on it ({vary})."


def _teachers(run: Run) -> tuple[str, ...]:
    """The stages that were trained, or given, as teachers."""
    stages = run.result.get("stages") or ()
    return tuple(str(stage.get("fingerprint")) for stage in stages if str(stage.get("name")).startswith("teacher"))


def _equal_differences(settings: Sequence[Setting]) -> Iterator[str]:
    same = [one for one in settings if one.gain and one.gain.points.half is not None and one.gain.points.half < 1e-9]
    if same:
        yield (
            f"All seeds of {listed([one.label for one in same[:3]])} have the same gain: an interval of no width shows "
            f"how coarse {same[0].task.headline.label} is counted on this test set, not how certain the gain is."
        )


def _unequal_seeds(evidence: Evidence) -> Iterator[str]:
    by_missing: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for setting in evidence.settings:
        missing = sorted(set(evidence.seeds) - {run.values.get("seed", 0) for run in setting.runs})
        if missing:
            by_missing[tuple(missing)].append(setting.label)
    for missing_seeds, labels in by_missing.items():
        which = listed(labels) if len(labels) <= 4 else f"{len(labels)} settings"
        yield f"Not all settings have the same seeds: {which} without seed {listed(list(map(str, missing_seeds)))}."


def _versions(runs: Sequence[Run]) -> Iterator[str]:
    versions: dict[str, set[Any]] = defaultdict(set)
    for run in runs:
        for package, version in ((run.result.get("environment") or {}).get("packages") or {}).items():
            versions[package].add(version)
    several = [package for package, found in versions.items() if len(found) > 1]
    if several:
        yield f"The runs were made with different versions of {listed(several)}."


def _gap(run: Run) -> float:
    """By how much the teacher is better than the baseline; 0 where a figure is missing."""
    reached = [run.result[role].get(run.task.outcome) for role in ("teacher", "baseline")]
    return 0.0 if None in reached else run.task.headline.gain(*reached)
