"""Reads back what a bundle measured on another machine, keeps it with the export, and shows it beside this machine.

The format of such a file is described in `kdlab.inference.device`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from kdlab.benchmarking.inference import Subject
from kdlab.errors import BadInput
from kdlab.inference.device import ALL, FORMAT
from kdlab.inference.rounds import Row, key_of
from kdlab.inference.summary import speedup
from kdlab.inference.text import aligned, label, machine_lines, milliseconds, number, spread
from kdlab.store.atomic import check_writable, write_text_atomically

DEVICES = "devices"
FIELDS = {
    "student": dict,
    "machine": dict,
    "threads": list,
    "sha256": dict,
    "rows": list,
    "summaries": list,
    "agreement": dict,
    "exact": str,
}
Results = Mapping[str, Any]


def read_back(results: Results, name: str | None, subject: Subject, console: Console) -> None:
    """Keeps the results of another machine with the export, and prints them beside this machine's figures.

    Args:
        results: see `read_results`.
        name: of the machine; None for that of its processor.
        subject: the export; figures of this machine are those that the store has.
        console: to print on.

    Raises:
        BadInput: they belong to another export, or there is no folder to keep them in.
    """
    check_belongs(results, subject)
    device = device_name(name, results)
    path = keep(subject.folder, device, results)
    show_device(subject, device, results, console)
    console.print(f"{path}", style="dim", markup=False)


def read_results(file: Path) -> dict[str, Any]:
    """The results of a bundle.

    Raises:
        BadInput: the file is something else.
    """
    try:
        results = json.loads(file.read_text(encoding="utf-8"))
        reason = _difference(results)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        reason = f"{getattr(error, 'strerror', None) or 'no JSON'}"
    if reason:
        raise BadInput(
            f"--read must name the results that the measure.py of a bundle wrote, got {file} ({reason}). "
            "For example: --read results.json"
        )
    found: dict[str, Any] = results
    return found


def _difference(results: Any) -> str:
    """What of a bundle's results a JSON value lacks; nothing where it is one."""
    if not isinstance(results, dict):
        return "no object"
    if results.get("format") != FORMAT:
        return f"format {results.get('format')!r} instead of {FORMAT}"
    wrong = [name for name, kind in FIELDS.items() if not isinstance(results.get(name), kind)]
    return f"without a valid {wrong[0]}" if wrong else ""


def check_belongs(results: Results, subject: Subject) -> None:
    """Checks that results are of the artifacts of this export.

    Raises:
        BadInput: they are of another student, or of another export of it.
    """
    student, own = results["student"], subject.export.content["student"]
    if student.get("stage") != own["stage"]:
        raise BadInput(
            f"--read: these results are of {student.get('network')}, stage {student.get('stage')}; the student of this "
            f"run is {own['network']}, stage {own['stage']}. Name the run from which the bundle was packed."
        )
    expected = subject.hashes
    for name, files in results["sha256"].items():
        if files != expected.get(name):
            reason = "has another SHA-256" if name in expected else "is none that this export accepts"
            raise BadInput(
                f"--read: {name} of these results {reason}: it was packed from another export of this student. Add "
                "the export.… settings that the bundle was packed with, or pack and measure a new one: --bundle."
            )


def device_name(name: str | None, results: Results) -> str:
    """A name for the file of a device: the user's, otherwise that of its processor.

    Raises:
        BadInput: nothing of it can stand in the name of a file.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", (name or str(results["machine"].get("cpu", ""))).lower()).strip("-")
    if not slug:
        raise BadInput(f"--name must have letters or digits, got {name!r}. For example: --name 'Raspberry Pi 5'")
    return slug


def keep(folder: Path, name: str, results: Results) -> Path:
    """Writes results as `devices/<name>.json` in the folder of an export, in place of earlier ones of that name.

    Raises:
        BadInput: the run was not exported to that folder, or it cannot be written.
    """
    if not (folder / "result.json").is_file():
        raise BadInput(
            f"--read keeps the results with the export of the run, and there is no {folder}. Write it first: "
            f"python -m kdlab.export {folder.parent}"
        )
    check_writable(folder / DEVICES, "--read")
    path = folder / DEVICES / f"{name}.json"
    write_text_atomically(path, json.dumps({**results, "name": name}, indent=2) + "\n")
    return path


def show_device(subject: Subject, name: str, results: Results, console: Console) -> None:
    """Prints both machines in one table: latency, INT8 over float32 on each, and how much slower the device is."""
    here = subject.figures
    ours = {_place(one, here["machine"], [1, ALL]): one for one in here["summaries"]}
    theirs = {_place(one, results["machine"], results["threads"]): one for one in results["summaries"]}
    known = {(job.name, engine) for job, engine in subject.accepted}
    blocks: dict[str, list[list[str]]] = {}
    for place, one in theirs.items():
        if (one["name"], one["engine"]) in known:
            cells = _side(ours.get(place), here["rows"], subject.exact), _side(one, results["rows"], results["exact"])
            row = [str(one["batch"]), place[3], *cells[0], *cells[1], _slower(one, ours.get(place))]
            blocks.setdefault(label(one), []).append(row)
    heads = ("batch", "thr.", "here: ms [range]", "x float32", f"{name}: ms [range]", "x float32", "times as slow")
    cores = f"thr. all: {here['machine']['cores']} here, {results['machine'].get('cores')} on {name}."
    lines = ["", *aligned(heads, blocks), "", f"From raw bytes to labels; x float32 in the same engine. {cores}"]
    lines += [
        f"{pair} predicts as the student does for {share:.0f} % of the bundle's images on {name}."
        for pair, share in results["agreement"].items()
    ]
    lines += ["", f"here: {machine_lines(here['machine'])[0]}", f"{name}: {machine_lines(results['machine'])[0]}"]
    for line in lines:
        console.print(line, markup=False)


def _place(one: Row, machine: Mapping[str, Any], asked: Sequence[Any]) -> tuple[str, str, int, str]:
    """The row of the table: two machines have other numbers of threads where both use all."""
    is_all = ALL in asked and one["threads"] == machine["cores"] and one["threads"] > 1
    return one["name"], one["engine"], one["batch"], ALL if is_all else str(one["threads"])


def _side(one: Row | None, rows: Sequence[Row], float32: str) -> tuple[str, str]:
    """Latency of a machine, and its ratio to float32 there."""
    if one is None or "error" in one:
        return ("-" if one is None else "fails"), ""
    ratio = speedup(rows, key_of(one), (float32, *key_of(one)[1:])) if one["name"] != float32 else None
    return milliseconds(one), spread(ratio) if ratio else ""


def _slower(there: Row, here: Row | None) -> str:
    """Of medians: there are no rounds that both machines share."""
    return number(there["p50"] / here["p50"]) if here and "p50" in here and "p50" in there else "-"
