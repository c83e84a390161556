"""Suggestions that a result lists: what to try next."""

import json
from collections.abc import Iterator
from functools import cache

from kdlab.errors import BadInput, KdlabError
from kdlab.jobs.plan import Networks, Plan
from kdlab.jobs.training.stage import Stage
from kdlab.models.scaling import count_parameters, scaled_network
from kdlab.store.store import Store

LOSS = 1.0  # per cent of the metric, or points, that INT8 alone seldom costs
LARGE_STEP = 5  # times the parameters of the student, above which an assistant may help (arXiv:1902.03393)


def hints(plan: Plan, store: Store) -> list[str]:
    """A line for each step whose teacher is far larger than its student, and for a student that quantisation spoilt.

    None for the step of a control, a pruned or a quantised student.
    """
    large = [
        _large_step(teacher, stage, store, plan.networks)
        for stage in plan.stages
        if stage is not plan.control and not stage.start
        for teacher, _ in stage.teachers
        if _ratio(teacher, stage, store) > LARGE_STEP
    ]
    return [*large, *_diverged(plan.student, store)]


def _diverged(student: Stage, store: Store) -> Iterator[str]:
    """A line for a fine-tuning with fake quantisation that lost more than it could gain."""
    if not student.start or student.start.kind != "quantisation":
        return
    metric, outcome = student.task.headline, student.task.outcome
    before, after = (store.result(stage)[outcome] for stage in (student.start.stage, student))
    if (loss := -metric.gain(after, before)) > LOSS:
        yield (
            f"The quantised network is {loss:.1f} {metric.gain_unit} worse than the float32 one: its learning rate may "
            "be too large. Try a tenth of plan.qat.lr_factor"
        )


def _large_step(teacher: Stage, student: Stage, store: Store, networks: Networks) -> str:
    pair = f"{teacher.network['name']} → {student.network['name']}"
    step = f"{pair} is a step of {_ratio(teacher, student, store):.0f}×: an assistant between them may help"
    if middle := _middle_network(teacher, student, store, networks):
        return f"{step} (plan=assistant plan.assistants=[{middle}])"
    return f"{step} (plan=assistant)" if _can_be_scaled(teacher, student, store) else step


def _ratio(teacher: Stage, student: Stage, store: Store) -> float:
    return float(store.result(teacher)["params"] / store.result(student)["params"])


def _middle(teacher: Stage, student: Stage, store: Store) -> float:
    """Parameters half way between both, on a logarithmic scale."""
    return float((store.result(teacher)["params"] * store.result(student)["params"]) ** 0.5)


def _middle_network(teacher: Stage, student: Stage, store: Store, networks: Networks) -> str | None:
    """The option of the teacher's source that is nearest to the middle of both sizes."""
    largest, smallest = (store.result(stage)["params"] for stage in (teacher, student))
    sizes = {size: name for name, size in _sizes(teacher, networks) if smallest < size < largest}
    middle = _middle(teacher, student, store)
    return sizes[min(sizes, key=lambda size: max(size / middle, middle / size))] if sizes else None


def _can_be_scaled(teacher: Stage, student: Stage, store: Store) -> bool:
    """Whether `plan=assistant` can build a network in the middle from the teacher's family."""
    try:
        target = round(_middle(teacher, student, store))
        scaled_network(teacher.network, teacher.network["num_classes"], target, tolerance=None)
    except BadInput:
        return False
    return True


def _sizes(stage: Stage, networks: Networks) -> Iterator[tuple[str, int]]:
    for name, settings in networks.items():
        if settings["source"] == stage.network["source"]:
            try:
                yield name, _size(json.dumps(settings, sort_keys=True), stage.network["num_classes"])
            except (KdlabError, RuntimeError, TypeError, ValueError):
                continue  # a user's network whose parameters cannot be counted without building it


@cache
def _size(settings: str, num_classes: int) -> int:
    """Counted once in a process: the cells of a sweep share the counts."""
    return count_parameters(json.loads(settings), num_classes)
