"""Remarks on a plan before it trains: how it was made, very few steps, a teacher with its own epochs, old names."""

from collections.abc import Mapping, Sequence

from kdlab.data.module import Addressed
from kdlab.jobs.plan import Plan
from kdlab.jobs.training.parts import make_data
from kdlab.jobs.training.stage import Stage
from kdlab.settings.old_names import OLD_NAMES

FEW_STEPS = 100  # of a whole training
FEW_BATCHES = 5  # of an epoch: with more, the number of epochs makes the training short, not the batch size


def plan_remarks(plan: Plan, overrides: Sequence[str] = ()) -> list[str]:
    """Remarks on a plan, a sentence each; an empty list for an ordinary plan.

    Args:
        plan: the plan that is about to run.
        overrides: of the command line, such as `epochs=3`.
    """
    given = dict(override.lstrip("+").partition("=")[::2] for override in overrides)
    return [*plan.remarks, *_few_steps(plan), *_own_epochs(plan, given), *_old_names(given)]


def _few_steps(plan: Plan) -> list[str]:
    batches = {stage.name: _batches(stage) for stage in plan.stages if stage.epochs}
    steps = {stage.name: batches[stage.name] * stage.epochs for stage in plan.stages if stage.epochs}
    few = [name for name in steps if 0 < batches[name] < FEW_BATCHES and steps[name] < FEW_STEPS]
    if not few:
        return []
    sizes = ", ".join(f"{name} {steps[name]}" for name in few)
    batch_size = plan.student.data.get("batch_size") or plan.student.data["of"]["batch_size"]
    return [
        f"Very few training steps: data.batch_size={batch_size} makes {min(batches[name] for name in few)} an epoch "
        f"(in all: {sizes}). Fewer than {FEW_STEPS} train a network poorly: try a smaller data.batch_size."
    ]


def _batches(stage: Stage) -> int:
    """Number of batches of an epoch; 0 for a user's own data module."""
    data = make_data(stage.data)
    if not isinstance(data, Addressed):
        return 0
    data.setup("fit")
    return len(data.train_dataloader())


def _own_epochs(plan: Plan, given: Mapping[str, str]) -> list[str]:
    """A remark for each teacher, where `epochs` was overridden: it changes the student's epochs only."""
    if "epochs" not in given:
        return []
    teachers = [teacher for teacher, _ in plan.teachers if teacher.epochs and not _has_own_epochs(teacher, given)]
    return [
        f"The {teacher.name} keeps its own {teacher.epochs} epochs: {teacher.setting}.train.epochs={given['epochs']} "
        "changes that."
        for teacher in teachers
        if str(teacher.epochs) != given["epochs"]
    ]


def _has_own_epochs(teacher: Stage, given: Mapping[str, str]) -> bool:
    prefixes = (f"{teacher.setting}.train", f"plan.{teacher.name}")
    return not teacher.setting.startswith("model.teacher") or any(key.startswith(prefixes) for key in given)


def _old_names(given: Mapping[str, str]) -> list[str]:
    """A remark for each option that was chosen by its old name."""
    return [
        f"{group}={given[group]} is the old name of {group}={names[given[group]]}."
        for group, names in OLD_NAMES.items()
        if given.get(group) in names
    ]
