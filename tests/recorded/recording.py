"""Results of kdlab's components, recorded with the versions under which they were computed."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isclose
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kdlab.store.versions import components, versions

VALUES_FILE = Path(__file__).with_name("values.json")
TOLERANCE = 1e-4  # relative; between processors and releases of torch float32 differs by about 1e-6

Values = Mapping[str, Any]  # integers and texts are compared exactly, floats and summaries of tensors with tolerance


@dataclass(frozen=True)
class Case:
    """A small, deterministic computation.

    Attributes:
        components: those of kdlab that the result depends on, with their versions.
        compute: returns the results.
    """

    components: Callable[[], Mapping[str, int]]
    compute: Callable[[], Values]


def case_of(component: str, compute: Callable[[], Values], *others: str) -> Case:
    """A case that tests one component and may use others."""
    return Case(lambda: versions([component, *others]), compute)


def owner(thing: Any) -> str:
    """The component of a loss or a network."""
    found = components(thing)
    assert len(found) == 1, f"{thing} has no version: it is no component of kdlab"
    return found.pop()


def summary(*tensors: Tensor) -> list[float]:
    """A projection on a fixed direction, and the sum of magnitudes: they differ where tensors differ."""
    values = torch.cat([tensor.detach().double().flatten() for tensor in tensors])
    return [(values * torch.cos(torch.arange(len(values)))).sum().item(), values.abs().sum().item()]


def differences(recorded: Values, found: Values) -> list[str]:
    """A line for each value that is not the recorded one."""
    lines = [f"{name} is no longer computed" for name in recorded if name not in found]
    for name, value in found.items():
        if name not in recorded:
            lines.append(f"{name} is new: {value}")
        elif not agree(recorded[name], value):
            lines.append(f"{name} was {recorded[name]}, is {value}")
    return lines


def agree(one: Any, other: Any) -> bool:
    """Whether two values are the same, up to rounding."""
    if isinstance(one, list) and isinstance(other, list):
        return all(abs(a - b) <= TOLERANCE * max(one[-1], other[-1]) for a, b in zip(one, other, strict=True))
    if isinstance(one, float) and isinstance(other, float):
        return isclose(one, other, rel_tol=TOLERANCE, abs_tol=1e-9)
    return bool(one == other)


def failure(name: str, case: Case, entry: Mapping[str, Any] | None) -> str | None:
    """The message for a case that differs from what is recorded, with the fix; None where it agrees."""
    found = dict(case.components())
    if entry is None:
        return f"{name} is not recorded yet. Record it: python -m tests.recorded"
    if entry["versions"] != found:
        raised = sorted(set(found.items()) ^ set(entry["versions"].items()))
        return f"{name} is recorded for other versions ({raised}). Record it again: python -m tests.recorded"
    if lines := differences(entry["values"], case.compute()):
        return "\n  ".join(
            [
                f"Results of {name} changed, and no version was raised:",
                *lines,
                f"If that is meant, raise the version of what changed in kdlab.store.versions.VERSIONS, one of "
                f"{', '.join(found)}, so that finished stages that ran it are trained again; then record the new "
                "results: python -m tests.recorded",
            ]
        )
    return None


def record(cases: Mapping[str, Case], recorded: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of all cases: new where a case or its versions are new, otherwise as recorded."""
    entries = {}
    for name, case in cases.items():
        found, entry = dict(case.components()), recorded.get(name)
        current = entry is not None and entry["versions"] == found
        entries[name] = entry if current else {"versions": found, "values": dict(case.compute())}
    return entries


def read_recorded() -> dict[str, Any]:
    """The recorded `versions` and `values` of each case."""
    return json.loads(VALUES_FILE.read_text()) if VALUES_FILE.is_file() else {}
