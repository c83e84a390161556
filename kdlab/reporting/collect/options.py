"""Which option of each config group a run was made with: typed, taken over from a run that is like it, or guessed."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kdlab.reporting.evidence import Run

GROUPS = {  # group: the node of the config that its options fill
    "model": "model",
    "loss": "loss",
    "plan": "plan",
    "data": "data",
    "optimizer": "optimizer",
    "scheduler": "scheduler",
    "model/teacher": "model.teacher",
    "model/student": "model.student",
}
GUESSED = tuple(group for group in GROUPS if group != "model")  # its teacher and its student tell the same


def with_options(runs: Sequence[Run], typed: Sequence[Mapping[str, str]]) -> list[Run]:
    """The runs with the option of each group among their values.

    A run that left an option to the defaults is called after one with the same settings that named it; where there is
    none, after the class or the network that its config names.

    Args:
        runs: with the settings of their configs.
        typed: the overrides of each.
    """
    used = [group for group in GROUPS if any(group in said for said in typed)]
    pairs = list(zip(runs, typed, strict=True))
    known = {
        group: {_content(run, GROUPS[group]): said[group] for run, said in pairs if group in said} for group in used
    }
    return [replace(run, values={**run.values, **_options(run, said, known)}) for run, said in pairs]


def _options(run: Run, said: Mapping[str, str], known: Mapping[str, Mapping[Hashable, str]]) -> dict[str, str]:
    found = {
        group: option for group in GROUPS if (group in GUESSED or group in known) and (option := _guess(run, group))
    }
    for group, spoken in known.items():
        option = said.get(group) or spoken.get(_content(run, GROUPS[group]))
        if option:
            found[group] = option
    return found


def _content(run: Run, node: str) -> Hashable:
    inside = f"{node}."
    return frozenset((key, value) for key, value in run.values.items() if key.startswith(inside) and key[-4:] != "seed")


def _guess(run: Run, group: str) -> str | None:
    """The loss's option is what a run is called after."""
    if group == "loss":
        return run.values.get("name")
    if group == "model":
        names: list[Any] = [run.values.get(f"model.{role}.name") for role in ("teacher", "student")]
        return "_".join(map(str, names)) if all(names) else None
    node = GROUPS[group]
    named = run.values.get(f"{node}.name" if node.startswith("model.") else f"{node}._target_")
    return str(named).rpartition(".")[2].lower() if named else None
