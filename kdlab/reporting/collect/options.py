"""Which option of each config group a run used: typed, copied from a run with the same settings, or guessed."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kdlab.reporting.evidence import Run
from kdlab.settings.old_names import OLD_NAMES

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
GUESSED = tuple(group for group in GROUPS if group != "model")  # its teacher and its student imply it


def with_options(runs: Sequence[Run], typed: Sequence[Mapping[str, str]]) -> list[Run]:
    """The runs with the option of each group among their values.

    A run that left an option at its default gets the option that a run with the same settings typed; where there is
    none, the name of the class or the network in its config.

    Args:
        runs: with the settings of their configs.
        typed: the overrides of each.
    """
    used = [group for group in GROUPS if any(group in overrides for overrides in typed)]
    pairs = list(zip(runs, typed, strict=True))
    typed_options = {
        group: {_content(run, GROUPS[group]): overrides[group] for run, overrides in pairs if group in overrides}
        for group in used
    }
    return [replace(run, values={**run.values, **_options(run, overrides, typed_options)}) for run, overrides in pairs]


def _options(
    run: Run, overrides: Mapping[str, str], typed_options: Mapping[str, Mapping[Hashable, str]]
) -> dict[str, str]:
    found = {
        group: option
        for group in GROUPS
        if (group in GUESSED or group in typed_options) and (option := _guess(run, group))
    }
    for group, by_content in typed_options.items():
        option = overrides.get(group) or by_content.get(_content(run, GROUPS[group]))
        if option:
            found[group] = option
    return {group: OLD_NAMES.get(group, {}).get(option, option) for group, option in found.items()}


def _content(run: Run, node: str) -> Hashable:
    inside = f"{node}."
    return frozenset((key, value) for key, value in run.values.items() if key.startswith(inside) and key[-4:] != "seed")


def _guess(run: Run, group: str) -> str | None:
    """The option as the config names it; a run is named after its loss."""
    if group == "loss":
        return run.values.get("name")
    if group == "model":
        names: list[Any] = [run.values.get(f"model.{role}.name") for role in ("teacher", "student")]
        return "_".join(map(str, names)) if all(names) else None
    node = GROUPS[group]
    named = run.values.get(f"{node}.name" if node.startswith("model.") else f"{node}._target_")
    return str(named).rpartition(".")[2].lower() if named else None
