"""Finds the comparisons that `kdlab.compare` left in folders."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

COMPARISON = "comparison.json"
FIELDS = ("task", "networks", "rows", "service", "deciding", "assumptions", "remarks")


def comparisons(folder: Path, remarks: list[str]) -> dict[Path, Mapping[str, Any]]:
    """The comparisons in a folder and right below it, where a run or a sweep would be, by their folders.

    Args:
        folder: of the report.
        remarks: gets one for each file that is skipped.
    """
    found: dict[Path, Mapping[str, Any]] = {}
    for file in sorted({*folder.glob(COMPARISON), *folder.glob(f"*/{COMPARISON}")}):
        try:
            content = json.loads(file.read_text())
            if missing := [name for name in FIELDS if name not in content]:
                raise ValueError(f"it has no {missing[0]}")
            found[file.parent] = content
        except (OSError, ValueError, TypeError) as error:
            remarks.append(f"{file.parent.name}/{file.name} was skipped: it cannot be read ({error}).")
    return found
