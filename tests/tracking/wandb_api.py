"""What the real W&B API accepts, as far as the installed packages say: operations, types of variables, reports, charts.

The compiled part of wandb and its Python modules carry every GraphQL operation that they send, with typed variables;
wandb-workspaces has a model of a report's specification. Anything else is refused.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import wandb
import wandb_workspaces
from wandb_workspaces.reports.v2.internal import ReportViewspec, Spec, UnknownBlock, UnknownPanel

OPERATION = re.compile(r"(?:query|mutation)\s+(\w+)\s*(\([^{}]*?\))?\s*\{")
VARIABLE = re.compile(r"\$(\w+)\s*:\s*([\w\[\]!]+)\s*(=)?")
SCALARS: dict[str, tuple[type, ...]] = {
    "String": (str,),
    "ID": (str, int),
    "Int": (int,),
    "Int64": (int,),
    "Float": (int, float),
    "Boolean": (bool,),
    "JSONString": (str,),
}
LONGEST_TITLE = 128
PRESETS = ("wandb/",)  # charts that every entity has


class Refused(Exception):
    """What the real API would not take."""


def check_request(query: str, variables: Mapping[str, Any]) -> str:
    """Checks an operation and its variables.

    Returns:
        Its name.

    Raises:
        Refused: no installed package has the operation, or a variable is missing, unknown or of another type.
    """
    found = OPERATION.search(query)
    if found is None:
        raise Refused(f"no GraphQL operation: {query[:80]!r}")
    name, declared = found[1], _declared(found[2])
    if declared not in operations().get(name, []):
        raise Refused(f"operation {name} with {declared} is none that wandb sends")
    if unknown := set(variables) - set(declared):
        raise Refused(f"{name} has no variables {sorted(unknown)}")
    for variable, kind in declared.items():
        _check_value(f"{name}.{variable}", variables.get(variable), kind)
    return name


@cache
def operations() -> dict[str, list[dict[str, str]]]:
    """The variables with their types of every operation that the installed packages carry, by its name."""
    found: dict[str, list[dict[str, str]]] = {}
    for text in _sources():
        for operation in OPERATION.finditer(text):
            found.setdefault(operation[1], []).append(_declared(operation[2]))
    assert len(found) > 100, f"wandb has moved its operations: only {sorted(found)} found"
    return found


def check_report(spec: str) -> dict[str, Any]:
    """Checks the JSON of a report's specification, which has to say the same once the package has read it.

    Raises:
        Refused: not JSON, or a block, panel or field that the package does not have.
    """
    try:
        content: dict[str, Any] = json.loads(spec)
        model = ReportViewspec.model_validate({"spec": content}).spec
    except ValueError as error:
        raise Refused(f"the specification of a report: {error}") from error
    if unknown := [type(one).__name__ for one in _parts(model) if isinstance(one, UnknownBlock | UnknownPanel)]:
        raise Refused(f"the specification of a report has parts of no known type: {unknown}")
    _check_same(json.loads(model.model_dump_json(by_alias=True, exclude_none=True)), content, "spec")
    return content


def check_chart(spec: str) -> None:
    """Checks the JSON of a chart: Vega-Lite over the data that W&B gives it.

    Raises:
        Refused: not JSON, or not that.
    """
    content = json.loads(spec)
    is_drawn = any(key in content for key in ("mark", "layer", "hconcat", "vconcat", "facet"))
    if "vega.github.io/schema/vega" not in content.get("$schema", "") or content.get("data") != {"name": "wandb"}:
        raise Refused("a chart names its Vega schema and takes data named wandb")
    if not is_drawn:
        raise Refused("a chart has a mark or layers")


def _sources() -> Iterator[str]:
    package = Path(wandb.__file__).parent
    yield (package / "bin" / "wandb-core").read_bytes().decode("latin-1")
    for folder in (package / "apis", package / "sdk", Path(wandb_workspaces.__file__).parent):
        yield from (file.read_text(encoding="utf-8") for file in folder.rglob("*.py"))


def _declared(variables: str | None) -> dict[str, str]:
    """Types by name; one with a default may be left out."""
    return {name: kind.rstrip("!") if default else kind for name, kind, default in VARIABLE.findall(variables or "")}


def _check_value(where: str, value: Any, kind: str) -> None:
    plain = kind.rstrip("!")
    if value is None:
        if kind.endswith("!"):
            raise Refused(f"{where} is {kind} and must be given")
    elif plain.startswith("["):
        if not isinstance(value, list):
            raise Refused(f"{where} must be a list, got {value!r}")
        for one in value:
            _check_value(where, one, plain[1:-1])
    else:
        _check_scalar(where, value, plain)


def _check_scalar(where: str, value: Any, kind: str) -> None:
    expected = SCALARS.get(kind, (dict,) if kind.endswith("Input") else (str,))
    if not isinstance(value, expected) or (isinstance(value, bool) and bool not in expected):
        raise Refused(f"{where} must be {kind}, got {value!r}")
    if kind == "JSONString":
        try:
            json.loads(value)
        except ValueError as error:
            raise Refused(f"{where} must be JSON, got {value!r}") from error


def _parts(spec: Spec) -> Iterator[Any]:
    for block in spec.blocks:
        yield block
        if block.type == "panel-grid":
            yield from block.metadata.panel_bank_section_config.panels


def _check_same(known: Any, sent: Any, where: str) -> None:
    if isinstance(sent, dict) and isinstance(known, dict):
        if unknown := set(sent) - set(known):
            raise Refused(f"{where} has no fields {sorted(unknown)}")
        for key, value in sent.items():
            _check_same(known[key], value, f"{where}.{key}")
    elif isinstance(sent, list) and isinstance(known, list) and len(sent) == len(known):
        for index, (one, other) in enumerate(zip(known, sent, strict=True)):
            _check_same(one, other, f"{where}[{index}]")
    elif known != sent:
        raise Refused(f"{where} must be of the kind of {known!r}, got {sent!r}")
