"""Reads the exports in a run directory, with the measurements that other machines made of them."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kdlab.reporting.evidence import Exported
from kdlab.runtime.export_summary import export_summary

RESULT = "result.json"
ERRORS = (OSError, ValueError, KeyError, TypeError, AttributeError)  # of a damaged file, or one of another version


def exports(run: Path, remarks: list[str]) -> list[Exported]:
    """The exports of a run, newest first.

    Args:
        run: its directory.
        remarks: gets one for each file that is skipped.
    """
    files = sorted(run.glob(f"export-*/{RESULT}"), key=lambda file: file.stat().st_mtime, reverse=True)
    return [found for file in files for found in _export(file, remarks)]


def is_export(result: Mapping[str, Any]) -> bool:
    """Whether a `result.json` is that of an export, and not of a run."""
    return "artifacts" in result and "pairs" in result


def _export(file: Path, remarks: list[str]) -> Iterator[Exported]:
    try:
        content = json.loads(file.read_text())
        summary = export_summary(content, file.parent.name)
    except ERRORS as error:
        remarks.append(_skipped(file, error))
        return
    yield Exported(file.parent, content, summary, tuple(_devices(file.parent, remarks)))


def _devices(folder: Path, remarks: list[str]) -> Iterator[Mapping[str, Any]]:
    for file in sorted(folder.glob("devices/*.json")):
        try:
            found = json.loads(file.read_text())
            yield {"name": file.stem, "machine": dict(found["machine"]), "latency": list(found["summaries"])}
        except ERRORS as error:
            remarks.append(_skipped(file, error))


def _skipped(file: Path, error: Exception) -> str:
    return f"{file.parent.name}/{file.name} was skipped: it cannot be read ({type(error).__name__}: {error})."
