"""Which artifact is served: from a run to a file of its export that was proved, and is still that file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from kdlab.errors import BadInput
from kdlab.models.stage_folder import stage_folder
from kdlab.store.fingerprint import file_hash

EXTRAS = {"onnxruntime": "serve", "openvino": "openvino"}  # the engines that serve, and the extra of each
RESULT = "result.json"
VERSION_LENGTH = 12
Content = Mapping[str, Any]


@dataclass(frozen=True)
class Artifact:
    """A file of an export, with the engine that runs it.

    Attributes:
        file: the file itself.
        engine: `onnxruntime` or `openvino`.
        network: such as `resnet20`.
        sha256: of each of its files, by name.
        proof: its figures on the test set in that engine.
        stage: the fingerprint of the stage whose network it is.
        teachers: those of its teachers.
        stage_folder: the stage, where it is at hand: settings of the data, and the store.
    """

    file: Path
    engine: str
    network: str
    sha256: Mapping[str, str]
    proof: Content
    stage: str
    teachers: Sequence[str] = ()
    stage_folder: Path | None = None
    task: Content = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Such as `resnet20-int8.onnx`."""
        return self.file.name

    @property
    def version(self) -> str:
        """The first digits of its SHA-256."""
        return self.sha256[self.name][:VERSION_LENGTH]

    @property
    def data(self) -> Content:
        """The settings of the data that its network was trained on; empty where the stage is not at hand."""
        if self.stage_folder is None:
            return {}
        settings: Content = yaml.safe_load((self.stage_folder / "config.yaml").read_text())["data"]
        return settings


def find_artifact(run: str, name: str | None, engine: str | None, setting: str) -> Artifact:
    """An artifact that may be served.

    Args:
        run: a run directory, one of its stages, the folder of an export, or a file in that.
        name: of the artifact; None for the one that the export recommends.
        engine: that runs it; None for the recommended or else the fastest.
        setting: that chooses the artifact, for errors.

    Raises:
        BadInput: there is no export, the artifact is refused or unknown, its file has changed, or the engine is absent.
    """
    folder, named = _export_of(Path(run))
    content = json.loads((folder / RESULT).read_text())
    if name is None and named is None:
        name, engine = _recommended(content, run, engine, setting)
    chosen = name or named or ""
    _check_refused(content, chosen, setting)
    pair = _pair(content, chosen, engine, setting)
    if find_spec(pair["engine"]) is None:
        raise BadInput(
            f"{chosen} runs in {pair['engine']}, which is not installed: pip install "
            f"'kdlab[{EXTRAS[pair['engine']]}]'. "
            "Or choose another engine: serve.engine=onnxruntime"
        )
    hashes = next(one["sha256"] for one in content["artifacts"] if one["artifact"] == chosen)
    _check_files(folder, hashes)
    network = content["student"]
    stored = (folder / chosen).resolve().parent.parent / network["stage"]
    return Artifact(
        file=(folder / chosen).resolve(),
        engine=pair["engine"],
        network=network["network"],
        sha256=hashes,
        proof=pair,
        stage=network["stage"],
        teachers=[one["stage"] for one in content["teachers"]],
        stage_folder=stored if (stored / "config.yaml").is_file() else None,
        task=content.get("task") or {},
    )


def _export_of(run: Path) -> tuple[Path, str | None]:
    """The folder of an export, and the artifact that a path names."""
    if run.is_file():
        folder = run.parent.parent if run.parent.name == "refused" else run.parent
        if not _is_export(folder):
            raise BadInput(f"{run} must lie in the folder of an export, whose {RESULT} says how it was proved.")
        return folder, run.name
    if _is_export(run):
        return run, None
    stage = stage_folder(run).resolve()
    places = {run, run.parent, stage.parent.parent}
    found = [path.parent for place in places for path in place.glob(f"export-*/{RESULT}")]
    own = [folder for folder in found if _is_export(folder) and _stage(folder) == stage.name]
    if not own:
        raise BadInput(f"{run} has no export to serve. Make one: python -m kdlab.export {run}")
    return max(own, key=lambda folder: (folder / RESULT).stat().st_mtime), None


def _is_export(folder: Path) -> bool:
    path = folder / RESULT
    return path.is_file() and "pairs" in json.loads(path.read_text())


def _stage(folder: Path) -> str:
    return str(json.loads((folder / RESULT).read_text())["student"]["stage"])


def _recommended(content: Content, run: str, engine: str | None, setting: str) -> tuple[str, str | None]:
    best = content["recommended"]
    if best is None:
        why = "none meets its budgets" if content.get("budgets") else "nothing was measured, or all is refused"
        raise BadInput(f"The export of {run} recommends no artifact: {why}. {_choices(content, setting)}")
    if best["engine"] not in EXTRAS and engine is None:
        raise BadInput(
            f"The export of {run} recommends {best['artifact']} in {best['engine']}, which is not served. "
            f"{_choices(content, setting)}"
        )
    return best["artifact"], engine or best["engine"]


def _check_refused(content: Content, name: str, setting: str) -> None:
    if reasons := content["refused"].get(name):
        raise BadInput(f"{name} is refused by its export: {'; '.join(reasons)}. {_choices(content, setting)}")


def _accepted(content: Content) -> list[Content]:
    pairs = content["pairs"]
    return [
        pair
        for pair in pairs
        if pair["engine"] in EXTRAS and not pair["refused_for"] and pair["artifact"] not in content["refused"]
    ]


def _pair(content: Content, name: str, engine: str | None, setting: str) -> Content:
    """The proof of an artifact: in the engine asked for, in the recommended one, or in the fastest."""
    pairs = [pair for pair in _accepted(content) if pair["artifact"] == name]
    if not pairs:
        raise BadInput(f"{setting}: {name} is not an artifact that can be served. {_choices(content, setting)}")
    best, speed = content["recommended"] or {}, {}
    for one in _measured(content):
        speed[one["name"], one["engine"]] = one["p50"]
    recommended = best.get("engine") if best.get("artifact") == name else None
    wanted = engine or recommended
    if wanted is None:
        return min(pairs, key=lambda pair: speed.get((name, pair["engine"]), float("inf")))
    for pair in pairs:
        if pair["engine"] == wanted:
            return pair
    proved = ", ".join(pair["engine"] for pair in pairs)
    raise BadInput(f"serve.engine={wanted}: {name} was not proved in it. Choose one in which it was: {proved}")


def _measured(content: Content) -> list[Content]:
    deciding = content["deciding"].items()
    return [one for one in content["latency"] if "p50" in one and deciding <= one.items()]


def _choices(content: Content, setting: str) -> str:
    names = list(dict.fromkeys(pair["artifact"] for pair in _accepted(content)))
    if not names:
        return "It has no artifact that can be served: see docs/deploy.md on refused files."
    return f"Choose one that passed: {', '.join(f'{setting}={name}' for name in names)}"


def _check_files(folder: Path, hashes: Mapping[str, str]) -> None:
    for name, expected in hashes.items():
        path = folder / name
        if not path.is_file():
            raise BadInput(f"{path} is missing. Export again: python -m kdlab.export, on its run.")
        if file_hash(path) != expected:
            raise BadInput(f"{path} is not the file that was proved: its SHA-256 differs. Export again.")
