"""Reads back what a bundle measured on another machine, keeps it with the export, and shows it beside this machine.

The format of such a file is described in `kdlab.inference.device`; kept, it is `export-…/devices/<name>.json`.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from kdlab.errors import BadInput
from kdlab.inference.device import FORMAT
from kdlab.inference.machine import ALL
from kdlab.inference.rounds import Row
from kdlab.inference.summary import Span
from kdlab.inference.text import aligned, label, machine_lines, milliseconds, number, spread
from kdlab.store.atomic import check_writable, write_text_atomically

MEASURED = "inference.json"  # in the folder of an export: what `kdlab.benchmark --inference` measured
DEVICES = "devices"
FIELDS = {
    "student": dict,
    "machine": dict,
    "threads": list,
    "sha256": dict,
    "summaries": list,
    "speedups": list,
    "agreement": dict,
    "exact": str,
}
Results = Mapping[str, Any]


def read_back(file: Path, name: str | None, run: Path, console: Console) -> None:
    """Keeps the results of another machine with the export that they are of, and prints them beside this machine's.

    Args:
        file: see `read_results`.
        name: of the machine; None for that of its processor.
        run: a run directory, or the folder of an export.
        console: to print on.

    Raises:
        BadInput: the file is no such results, or the run has no export with these artifacts.
    """
    results = read_results(file)
    folder, export = export_of(results, run)
    device = device_name(name, results)
    measured = folder / MEASURED
    here = json.loads(measured.read_text()) if measured.is_file() else {**export, "summaries": export["latency"]}
    try:
        lines = device_lines(here, device, results)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"--read: {file} lacks {error}. Measure the bundle again: python measure.py") from error
    path = keep(folder, device, results)
    for line in lines:
        console.print(line, markup=False)
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


def export_of(results: Results, run: Path) -> tuple[Path, Results]:
    """The folder and the result of the export that has the artifacts of these results, by their SHA-256.

    Raises:
        BadInput: the run was not exported, has another student, or its exports have other artifacts.
    """
    exports = dict(_exports(run))
    if not exports:
        raise BadInput(
            f"--read keeps the results with an export of the run, and {run} has none: python -m kdlab.export {run}"
        )
    student, own = results["student"], next(iter(exports.values()))["student"]
    if student.get("stage") != own["stage"]:
        raise BadInput(
            f"--read: these results are of {student.get('network')}, stage {student.get('stage')}; the student of "
            f"{run} is {own['network']}, stage {own['stage']}. Name the run from which the bundle was packed."
        )
    for folder, export in exports.items():
        hashes = {one["artifact"]: one["sha256"] for one in export["artifacts"]}
        other = [name for name, files in results["sha256"].items() if hashes.get(name) != files]
        if not other:
            return folder, export
    raise BadInput(
        f"--read: no export of {run} has the {other[0]} that was measured: its SHA-256 differs. Export the run again "
        "with the settings that the bundle was packed with, or pack and measure a new bundle: --bundle."
    )


def _exports(run: Path) -> Iterator[tuple[Path, Results]]:
    """The exports of a run with their results; of the folder of an export, that one."""
    for file in (run / "result.json", *sorted(run.glob("export-*/result.json"))):
        content = json.loads(file.read_text()) if file.is_file() else {}
        if "artifacts" in content:
            yield file.parent, content


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
        BadInput: it cannot be written.
    """
    check_writable(folder / DEVICES, "--read")
    path = folder / DEVICES / f"{name}.json"
    write_text_atomically(path, json.dumps({**results, "name": name}, indent=2) + "\n")
    return path


def device_lines(here: Results, name: str, there: Results) -> list[str]:
    """Both machines in one table: latency, the ratio to float32 on each, and how much slower the device is.

    Args:
        here: `machine`, `summaries` and `speedups` of this machine.
        name: of the device.
        there: its results.
    """
    ours = {_place(one, here["machine"], [ALL]): one for one in here["summaries"]}
    blocks: dict[str, list[list[str]]] = {}
    for one in there["summaries"]:
        place = _place(one, there["machine"], there["threads"])
        cells = (
            _side(ours.get(place), here["speedups"], there["exact"]),
            _side(one, there["speedups"], there["exact"]),
        )
        row = [str(one["batch"]), place[3], *cells[0], *cells[1], _slower(one, ours.get(place))]
        blocks.setdefault(label(one), []).append(row)
    heads = ("batch", "thr.", "here: ms [range]", "x float32", f"{name}: ms [range]", "x float32", "times as slow")
    cores = f"thr. all: {here['machine']['cores']} here, {there['machine']['cores']} on {name}."
    lines = ["", *aligned(heads, blocks), "", f"From raw bytes to labels; x float32 in the same engine. {cores}"]
    lines += [
        f"{pair} predicts as the student does for {share:.0f} % of the bundle's images on {name}."
        for pair, share in there["agreement"].items()
    ]
    return [*lines, "", f"here: {machine_lines(here['machine'])[0]}", f"{name}: {machine_lines(there['machine'])[0]}"]


def _place(one: Row, machine: Mapping[str, Any], asked: Sequence[Any]) -> tuple[str, str, int, str]:
    """The row of the table: two machines have other numbers of threads where both use all."""
    is_all = ALL in asked and one["threads"] == machine["cores"] and one["threads"] > 1
    return one["name"], one["engine"], one["batch"], ALL if is_all else str(one["threads"])


def _side(one: Row | None, speedups: Sequence[Row], exact: str) -> tuple[str, str]:
    """Latency of a machine, and its ratio to the float32 artifact there."""
    if one is None or "error" in one:
        return ("-" if one is None else "fails"), ""
    compared = [one["name"], one["engine"]], [exact, one["engine"]], one["batch"], one["threads"]
    found = [it for it in speedups if (it["of"], it["over"], it["batch"], it["threads"]) == compared]
    ratio = spread(Span(*(found[0][name] for name in Span._fields))) if found else ""
    return milliseconds(one), ratio


def _slower(there: Row, here: Row | None) -> str:
    """Of medians: there are no rounds that both machines share."""
    return number(there["p50"] / here["p50"]) if here and "p50" in here and "p50" in there else "-"
