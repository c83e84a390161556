"""Which setting is the best: chosen by the headline metric on validation, or none where that would not be fair."""

from collections.abc import Iterable, Sequence

from kdlab.reporting.analyse.statistics import interval
from kdlab.reporting.analyse.summary import differences, gains_of
from kdlab.reporting.evidence import Interval, Run, Setting

TUNED_BASELINE = "plan.baseline."


def chosen_role(varied: Iterable[str]) -> str:
    """The role by which settings are ranked: the student or, where only its recipe varies, the baseline."""
    varied = list(varied)
    return "baseline" if varied and all(key.startswith(TUNED_BASELINE) for key in varied) else "student"


def ranked(settings: Sequence[Setting], role: str) -> list[Setting]:
    """Settings by the mean headline metric of a role on validation, best first; equal ones keep their order."""
    return sorted(settings, key=lambda setting: -setting.task.headline.merit(validation(setting, role).mean))


def validation(setting: Setting, role: str) -> Interval:
    """The headline metric of a role on validation, over the seeds."""
    return setting.figures[f"{role}/{setting.task.objective}"]


def lead(ours: Setting, other: Setting, role: str) -> Interval | None:
    """What a role of one setting gains over that of another on test, paired by seed; None without a seed in common."""
    found = differences(ours.runs, other.runs, role, role)
    return interval(gains_of(found)) if found else None


def why_unranked(settings: Sequence[Setting], role: str) -> str | None:
    """Why no setting may be chosen, as the start of a sentence; None where one may."""
    every = [run for setting in settings for run in setting.runs]
    names = data_names(every)
    tasks = sorted({run.task.name.replace("_", " ") for run in every})
    if len(tasks) > 1:
        return f"These runs are of different tasks ({', '.join(tasks)}), whose figures do not compare"
    if len({_data(run) for run in every}) > 1:
        return f"These runs are on different data ({', '.join(names)}), whose figures do not compare"
    if all(run.values.get("data.val_fraction") == 0 for run in every):
        return "No samples were held out for validation (data.val_fraction=0)"
    missing = [setting for setting in settings if not _is_validated(setting, role)]
    if missing:
        subject = "No setting has" if len(missing) == len(settings) else f"{missing[0].label} does not have"
        return f"{subject} a validation {missing[0].task.headline.label} of the {role}"
    return None


def data_names(runs: Iterable[Run]) -> list[str]:
    """The data sets of some runs, such as `Digits`."""
    return sorted({str(_data(run)[0]).rpartition(".")[2] for run in runs})


def _data(run: Run) -> tuple[object, ...]:
    target = run.values.get("data._target_")
    own = str(target).endswith("ImageFolder") or not str(target).startswith("kdlab.")
    return (target, run.values.get("data.root")) if own else (target,)


def _is_validated(setting: Setting, role: str) -> bool:
    """Whether every run has a validation figure of the role: a mean over some of the seeds would mislead."""
    found = setting.validated(role)
    return found is not None and found.count == len(setting.runs)
