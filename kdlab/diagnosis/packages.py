"""Versions of packages against those that kdlab supports, and the extras that are not installed.

What is absent is found without any package: the usual cause is another Python than the one with kdlab.
"""

import platform
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

from kdlab.diagnosis.property import Property
from kdlab.settings.version import VERSION

PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"  # in a clone; an installed wheel has metadata only
INSTALL = "python -m pip install"
FOR_DEVELOPERS = ("dev", "docs")


@dataclass(frozen=True)
class Declared:
    """What kdlab declares that it needs.

    Attributes:
        python: the supported versions.
        packages: requirements such as `timm>=1.0.20,<2`.
        extras: further ones, by the extra.
    """

    python: str
    packages: Sequence[str]
    extras: Mapping[str, Sequence[str]]


def declared() -> Declared:
    """Of the `pyproject.toml` of a clone, otherwise of what is installed."""
    if PROJECT.is_file():
        project = tomllib.loads(PROJECT.read_text())["project"]
        return Declared(project["requires-python"], project["dependencies"], project["optional-dependencies"])
    about = metadata("kdlab")
    split = [re.split(r"""; extra == ["'](.*)["']""", line) for line in requires("kdlab") or ()]
    extras = {name: [line for line, *of in split if name in of] for name in about.get_all("Provides-Extra") or ()}
    return Declared(about["Requires-Python"], [line for line, *of in split if not of], extras)


def absent() -> list[str]:
    """The packages that kdlab cannot do without and that this Python does not have."""
    return [name for name in map(_name, declared().packages) if _version(name) is None]


def versions() -> list[Property]:
    """kdlab, Python and every package that kdlab needs, with the supported range."""
    from packaging.specifiers import SpecifierSet

    needed, python = declared(), platform.python_version()
    fits = SpecifierSet(needed.python).contains(python, prereleases=True)
    wrong = "" if fits else f"Python {python} is not {needed.python}: make an environment with another Python"
    own = Property("kdlab", VERSION, "" if _version("kdlab") else "not installed: works in its own folder only")
    return [own, Property("Python", python, needed.python, wrong), *map(_package, needed.packages)]


def extras() -> list[Property]:
    """The optional parts, with what to type where one is not installed."""
    found = []
    for extra, needed in declared().extras.items():
        if extra not in FOR_DEVELOPERS:
            lacking = [name for name in map(_name, needed) if _version(name) is None]
            present = [_package(line) for line in needed if _name(line) not in lacking]
            value = ", ".join([f"{one.name} {one.value}" for one in present] + [f"no {name}" for name in lacking])
            install = f'pip install "kdlab[{extra}]"' if lacking else ""
            found.append(Property(extra, value, install, "; ".join(one.problem for one in present if one.problem)))
    return found


def _package(line: str) -> Property:
    from packaging.requirements import Requirement

    needed, supported = Requirement(line), line.removeprefix(_name(line))
    found = _version(needed.name)
    if found is None or not needed.specifier.contains(found, prereleases=True):
        fix = f'{INSTALL} "{line}"'
        return Property(needed.name, found or "absent", supported, f"kdlab needs {line}, got {found}: {fix}")
    return Property(needed.name, found, supported, _other_torch(needed.name))


def _other_torch(name: str) -> str:
    """A package that was built for another version of torch, as torchvision is for exactly one."""
    from packaging.requirements import Requirement

    torch = _version("torch")
    for needed in map(Requirement, requires(name) or ()):
        unconditional = needed.marker is None or needed.marker.evaluate({"extra": ""})
        if needed.name == "torch" and unconditional and torch and not needed.specifier.contains(torch, True):
            return f'{name} needs {needed}, got {torch}: {INSTALL} --upgrade {name} "{needed}"'
    return ""


def _name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
