"""What the artifacts of a run cost to run on this machine: those that its export accepts, and its networks in PyTorch.

It is the measurement of an export at more batch sizes and numbers of threads: a job of the store, which continues after
a kill and is reused.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from kdlab.benchmarking.devices import MEASURED
from kdlab.errors import BadInput
from kdlab.inference.text import hash_lines, latency_table, machine_lines
from kdlab.jobs.export.artifact import ArtifactJob
from kdlab.jobs.export.finished import FinishedStage
from kdlab.jobs.export.latency import EAGER, Measurement
from kdlab.jobs.export.settings import ExportSettings
from kdlab.runtime.export import Export, run_export
from kdlab.runtime.export_directory import export_directory
from kdlab.runtime.signals import StopOnSignal
from kdlab.screen.run import Screen
from kdlab.store.atomic import write_text_atomically
from kdlab.store.store import RESULT, Store

Found = Mapping[str, Any]


@dataclass(frozen=True)
class Subject:
    """The export of a run, whose accepted artifacts are measured.

    Attributes:
        run: as the user named it.
        export: of the run.
        measurement: of this command, here or on another machine.
    """

    run: Path
    export: Export
    measurement: Measurement

    @classmethod
    def exported(cls, run: Path, own: ExportSettings, measured: ExportSettings, console: Console) -> "Subject":
        """Exports a run, of which the store may have everything.

        Args:
            run: a run directory, or a stage.
            own: the settings of the export.
            measured: the same with the measurement of this command.
            console: for its progress.

        Raises:
            BadInput: the run is not finished, or nothing of it is accepted.
            JobFailed: the network cannot be exported.
        """
        student = FinishedStage.at(run)
        with StopOnSignal() as stop:
            export = run_export(student, own, Store(student.folder.parent), [Screen(console), stop])
        if not export.content["latency"]:
            reasons = "; ".join(f"{name}: {', '.join(why)}" for name, why in export.content["refused"].items())
            raise BadInput(
                f"--inference measures what the export of {run} accepts, and it accepts nothing: "
                f"{reasons or 'no artifact that an engine runs'}. See python -m kdlab.export {run}"
            )
        return cls(run, export, measured.measurement)

    def check_folder(self, folder: Path) -> None:
        """Checks that the folder of an export, which the user named, is of these settings.

        Raises:
            BadInput: it is of others.
        """
        if folder.resolve() != self.folder.resolve():
            raise BadInput(
                f"{folder} is the export of other settings: these make {self.folder.name}. Add those that it was made "
                f"with, such as export=openvino; or name the run, {self.run}."
            )

    @property
    def folder(self) -> Path:
        """Of the export."""
        return export_directory(self.run, self.export.jobs, self.export.fingerprint)

    @property
    def accepted(self) -> list[tuple[ArtifactJob, str]]:
        """The artifacts that the export measured, with their engines, in its order."""
        jobs = {job.name: job for job in self.export.jobs}
        measured = {(one["name"], one["engine"]) for one in self.export.content["latency"]}
        pairs = [(one["artifact"], one["engine"]) for one in self.export.content["pairs"]]
        return [(jobs[name], engine) for name, engine in pairs if (name, engine) in measured]

    @property
    def exact(self) -> str:
        """The name of its accepted float32 artifact; empty where there is none."""
        return next((job.name for job, _ in self.accepted if job.precision == "float32"), "")

    @property
    def hashes(self) -> dict[str, Mapping[str, str]]:
        """The SHA-256 of each file of each accepted artifact."""
        names = {job.name for job, _ in self.accepted}
        return {one["artifact"]: one["sha256"] for one in self.export.content["artifacts"] if one["artifact"] in names}

    @property
    def figures(self) -> Found:
        """`machine`, `rows` and `summaries` of its measurement."""
        stage = next(one for one in self.export.content["stages"] if one["name"] == "latency")
        figures: Found = json.loads((self.export.store.root / stage["fingerprint"] / RESULT).read_text())
        return figures

    @property
    def refusals(self) -> list[str]:
        """What is not measured, and why."""
        refused = self.export.content["refused"].items()
        return [f"not measured: {name}: refused, {'; '.join(why)}." for name, why in refused]


def show(subject: Subject, console: Console) -> None:
    """Prints the table of a measurement, what was not measured, the machine, and the hashes."""
    figures = subject.figures
    lines = ["", *latency_table(figures["summaries"], figures["rows"], subject.exact)]
    lines += [f"{EAGER}: the networks as kdlab runs them, eager, in float32.", *subject.refusals]
    lines.append("The store keeps this measurement: another --repeats measures anew.")
    for line in [*lines, "", *machine_lines(figures["machine"]), *hash_lines(subject.hashes)]:
        console.print(line, markup=False)


def write_figures(subject: Subject, path: Path | None) -> None:
    """Writes all figures to a file of the user's choice, and to `inference.json` in the folder of the export.

    The fields are `student`, `measure` (how), `machine`, `sha256`, `refused` (why), `rows`, `summaries` and `speedups`.

    Args:
        subject: measured.
        path: None for no such file. The folder may be missing too: that of a run that was not exported yet.
    """
    figures, content = subject.figures, subject.export.content
    fields = {
        "student": {name: content["student"][name] for name in ("network", "stage")},
        "measure": asdict(subject.measurement),
        "machine": figures["machine"],
        "sha256": subject.hashes,
        "refused": content["refused"],
        "rows": figures["rows"],
        "summaries": figures["summaries"],
        "speedups": content["speedups"],
    }
    kept = subject.folder / MEASURED if subject.folder.is_dir() else None
    for file in filter(None, (path, kept)):
        write_text_atomically(file, json.dumps(fields, indent=2) + "\n")
