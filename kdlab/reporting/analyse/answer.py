"""The answer to a report's question in one sentence: chosen on validation, stated on test, with its uncertainty."""

from kdlab.reporting.analyse.formatting import EQUAL, SMALLER, brief, gained, listed, points, probability, seeds, size
from kdlab.reporting.analyse.ranking import chosen_role, lead, validation
from kdlab.reporting.analyse.tuned_baseline import closed_gap
from kdlab.reporting.evidence import Evidence, Gain, Interval, Setting
from kdlab.tasks.description import Metric

BASELINE = "the same student without a teacher"
FROM_LABELS = "the same {} network fine-tuned with labels only"
MADE = {"pruning": "pruned", "quantisation": "quantised"}
ONE_SEED = "so luck is not ruled out"


def answer(evidence: Evidence, unranked: str | None) -> str:
    """Writes the sentence.

    Args:
        evidence: complete except for its answer.
        unranked: why no setting can be chosen, as the start of a sentence; None where one is the best.
    """
    if not evidence.settings:
        return _nothing(evidence)
    if len(evidence.settings) == 1:
        return _only(evidence.settings[0])
    if unranked:
        return f"{unranked}, so nothing is chosen; {_spread(evidence)}."
    if chosen_role(evidence.varied) == "baseline":
        return closed_gap(evidence)
    return f"{_best(evidence)}{_runner_up(evidence)}."


def gain_reference(setting: Setting) -> str:
    """What the gain of a setting is measured against."""
    for change, made in MADE.items():
        if setting.runs[0].result.get(change):
            return FROM_LABELS.format(made)
    return "generation 1" if _generations(setting) else BASELINE


def control_reference(setting: Setting) -> str:
    """What the gain over the control of a setting is measured against."""
    how = "from labels only" if _generations(setting) else "in one step from the teacher"
    return f"the same network trained for as many epochs {how}"


def _nothing(evidence: Evidence) -> str:
    count = len(evidence.failures)
    if not count:
        return "No run has finished yet."
    return f"No run finished: {'the only cell has' if count == 1 else f'all {count} cells have'} no result."


def _only(setting: Setting) -> str:
    metric, reached, gain = setting.task.headline, setting.reached(), setting.gain
    assert reached  # every finished run has it
    count = seeds(reached.count)
    baseline = setting.reached("baseline")
    if gain is None or baseline is None:
        why = "there is no baseline, so no gain can be stated"
        if _generations(setting) == 1:
            why = "it is the first generation, which has no baseline"
        return f"The student reaches {brief(reached, metric)} of test {metric.label} ({count}); {why}."
    pair = f"test {metric.label} {brief(reached, metric)} against {brief(baseline, metric)}"
    details = "; ".join([pair, count, *_tests(gain)])
    return f"{_verdict(gain)} {gained(gain.points, gain_reference(setting), metric)} ({details}){_control(setting)}."


def _verdict(gain: Gain) -> str:
    """Yes or no to “is the gain more than luck?”; neither with one seed."""
    if gain.points.half is None:
        return "Luck is not ruled out with one seed:"
    if gain.points.is_uncertain:
        return "Not shown:"
    if gain.points.mean < 0:
        return "No:"
    if gain.bootstrap and gain.bootstrap[0] <= 0:
        return "Not settled (another test set could reverse it):"
    return "Yes:"


def _tests(gain: Gain) -> list[str]:
    tests = []
    if gain.bootstrap:
        tests.append(f"bootstrap over test samples {gain.bootstrap[0]:+.1f} to {gain.bootstrap[1]:+.1f}")
    if gain.p is not None:
        test = "McNemar's test on the test samples" if gain.points.count == 1 else "paired t-test"
        tests.append(f"{test} {probability(gain.p)}")
    return tests


def _best(evidence: Evidence) -> str:
    best, metric = evidence.settings[0], evidence.task.headline
    top = validation(best, "student").mean
    equal = [one.label for one in evidence.settings if abs(validation(one, "student").mean - top) < EQUAL]
    chosen = metric.brief(top)
    start = f"{best.label} is best by validation {metric.label} ({chosen})"
    if len(equal) > 1:
        start = (
            f"{listed(equal) if len(equal) <= 4 else f'{len(equal)} settings'} are equal, and best, by validation "
            f"{metric.label} ({chosen}); the first of them, {best.label}, is shown"
        )
    reached = best.reached()
    assert reached  # every finished run has it
    test = f"test {metric.label} {brief(reached, metric)}{_its_gain(best)} ({seeds(reached.count)})"
    return f"{start}: {test}{_control(best)}"


def _its_gain(setting: Setting) -> str:
    if setting.gain:
        reference, paired = gain_reference(setting), setting.gain.points.count
        if paired < len(setting.runs):
            reference += f" in the {'one seed' if paired == 1 else f'{paired} seeds'} with a baseline"
        return f", {gained(setting.gain.points, reference, setting.task.headline)}"
    if _generations(setting) == 1:
        return ", and further generations did no better there"
    return ", without a baseline to gain over"


def _control(setting: Setting) -> str:
    gain = setting.gain_over_control
    return f"; that is {gained(gain, control_reference(setting), setting.task.headline)}" if gain else ""


def _runner_up(evidence: Evidence) -> str:
    (best, second), metric = evidence.settings[:2], evidence.task.headline
    ahead = lead(best, second, "student")
    if ahead is None:
        return f"; {second.label}, the second, was run with other seeds"
    if abs(ahead.mean) < EQUAL:
        return f"; on test {second.label}, the second, is as good"
    if ahead.half is None:
        return f"; {_one_seed_lead(ahead, second, metric)}"
    if ahead.mean < 0:
        doubt = f", which is {SMALLER}" if ahead.is_uncertain else ""
        return f"; on test {second.label}, the second, is ahead of it by {size(ahead, metric)}{doubt}"
    if ahead.is_uncertain:
        return f"; its lead over {second.label} ({points(ahead, metric)}) is {SMALLER}"
    return f"; it leads {second.label}, the second, by {size(ahead, metric)}"


def _one_seed_lead(ahead: Interval, second: Setting, metric: Metric) -> str:
    if ahead.mean < 0:
        return f"on test {second.label}, the second, is ahead of it by {size(ahead, metric)} with one seed, {ONE_SEED}"
    return f"its lead over {second.label} ({points(ahead, metric)}) rests on one seed, {ONE_SEED}"


def _spread(evidence: Evidence) -> str:
    gains = sorted(setting.gain.points.mean for setting in evidence.settings if setting.gain)
    if not gains:
        return "there is no baseline, so no gain can be stated either"
    which = f"the gains of {len(gains)} settings over the baseline"
    return f"{which} run from {gains[0]:+.1f} to {gains[-1]:+.1f} {evidence.task.headline.gain_unit}"


def _generations(setting: Setting) -> int:
    return len(setting.runs[0].result.get("generations") or ())
