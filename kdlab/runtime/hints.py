"""Suggestions that a result lists: what to try next."""

import json
from collections.abc import Iterator
from functools import cache

from kdlab.errors import KdlabError
from kdlab.jobs.plan import Networks, Plan
from kdlab.jobs.training.stage import Stage
from kdlab.models.scaling import count_parameters
from kdlab.store.store import Store

LARGE_STEP = 5  # times the parameters of the student, above which an assistant may help (arXiv:1902.03393)


def hints(plan: Plan, store: Store) -> list[str]:
    """A line for each step of a plan whose teacher is far larger than its student; none for the control."""
    return [
        _large_step(teacher, stage, store, plan.networks)
        for stage in plan.stages
        if stage is not plan.control
        for teacher, _ in stage.teachers
        if _ratio(teacher, stage, store) > LARGE_STEP
    ]


def _large_step(teacher: Stage, student: Stage, store: Store, networks: Networks) -> str:
    pair = f"{teacher.network['name']} → {student.network['name']}"
    middle = _middle_network(teacher, student, store, networks) or "…"
    return (
        f"{pair} is a step of {_ratio(teacher, student, store):.0f}×: an assistant between them may help "
        f"(plan=assistant plan.assistants=[{middle}])"
    )


def _ratio(teacher: Stage, student: Stage, store: Store) -> float:
    return float(store.result(teacher)["params"] / store.result(student)["params"])


def _middle_network(teacher: Stage, student: Stage, store: Store, networks: Networks) -> str | None:
    """The option of the teacher's source that is nearest to the middle of both sizes, on a logarithmic scale."""
    largest, smallest = (store.result(stage)["params"] for stage in (teacher, student))
    sizes = {size: name for name, size in _sizes(teacher, networks) if smallest < size < largest}
    middle = (largest * smallest) ** 0.5
    return sizes[min(sizes, key=lambda size: max(size / middle, middle / size))] if sizes else None


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
