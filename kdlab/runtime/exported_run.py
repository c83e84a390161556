"""The export at the end of a run: artifacts in the run directory, a summary in the run's result."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kdlab.errors import BadInput, JobFailed, TrainingFailed
from kdlab.jobs.events import Listener
from kdlab.jobs.export.finished import FinishedStage
from kdlab.jobs.export.settings import ExportSettings
from kdlab.runtime.export import run_export
from kdlab.runtime.export_directory import folder_name, write_export
from kdlab.runtime.export_summary import export_summary
from kdlab.runtime.run import Result
from kdlab.settings.targets import check_known
from kdlab.store.store import Store

Card = Callable[[Mapping[str, Any], Mapping[str, Any]], str]


def settings_of(config: Mapping[str, Any]) -> ExportSettings | None:
    """The settings of the group `export` in the config of a run; None where it exports nothing.

    Raises:
        BadInput: an unknown or wrong value, or a package that is not installed.
    """
    group = config.get("export")
    if group is None:
        return None
    if not isinstance(group, Mapping):
        raise BadInput(f"export must be an option of its group, got {group!r}. For example: export=onnx")
    check_known("export", group, ExportSettings.__annotations__)
    return ExportSettings(**group)


def with_export(
    result: Result,
    settings: ExportSettings,
    store: Store,
    listeners: Sequence[Listener],
    *,
    directory: Path | None,
    card: Card,
) -> Result:
    """Exports the student of a finished run, and adds the field `export` to its result.

    The training is done and stays so: an artifact that is refused, budgets that none meets, and an exporter that
    refuses the network (`error`) are findings, which the summary states.

    Args:
        result: of the run.
        settings: of its export.
        store: of the run.
        listeners: each is called with every event.
        directory: of the run, which gets a folder `export-<fingerprint>`; None leaves the artifacts in the store.
        card: makes the model card from the export's content and the student's settings.

    Raises:
        BadInput: a setting does not fit the network or its data, or the folder cannot be written.
        TrainingFailed: the disk is full.
    """
    student = FinishedStage.at(result.student)
    try:
        export = run_export(student, settings, store, listeners)
    except TrainingFailed:
        raise
    except JobFailed as error:
        return replace(result, content={**result.content, "export": {"error": str(error), "complete": False}})
    folder = directory / folder_name(export.fingerprint) if directory else None
    if folder:
        write_export(folder, export, card(export.content, student.config), "paths.outputs")
    summary = export_summary(export.content, folder.name if folder else None)
    return replace(result, content={**result.content, "export": summary})
