"""One hash of the user's own source that a stage runs; comments, docstrings and layout do not change it."""

import ast
import hashlib
import importlib.util
import pkgutil
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from kdlab.store.versions import components

NOT_OWN = frozenset({"kdlab", *sys.stdlib_module_names})
SITE_NAMES = frozenset({"site-packages", "dist-packages"})


class OwnCode(NamedTuple):
    """The user's own source behind some modules.

    Attributes:
        digest: SHA-256 of the source; None where nothing is the user's own.
        components: those of kdlab that the source imports.
    """

    digest: str | None
    components: frozenset[str]


def own_code(modules: Iterable[str]) -> OwnCode:
    """The source of those of the given modules that are the user's own, and of all own ones that they import.

    Only `import` statements are followed, to the named module and not to the packages around it. Installed packages are
    left out, since they are pinned; kdlab is left out, since its components have versions.
    """
    closure = sorted(_closure(modules))
    if not closure:
        return OwnCode(None, frozenset())
    text = "".join(f"{module}\n{_read(module).text}\n" for module in closure)
    used = (components(thing) for module in closure for thing in _used_of_kdlab(module))
    return OwnCode(hashlib.sha256(text.encode()).hexdigest(), frozenset().union(*used))


def _closure(modules: Iterable[str]) -> set[str]:
    found: set[str] = set()
    pending = [module for module in modules if own_file(module)]
    while pending:
        module = pending.pop()
        if module not in found:
            found.add(module)
            pending += [name for name in _imported(module) if own_file(name)]
    return found


@cache
def own_file(module: str) -> Path | None:
    """The file of a module of the user's own; None for kdlab, Python's and other installed ones, and for absent ones.

    A module is the user's own if no package manager installed its file: the file lies in no folder of installed
    packages, and no RECORD of a `*.dist-info` beside it lists it. A project that is installed as editable is own, since
    its files stay in place; a package that is linked into a folder of installed packages is not.
    """
    package, _, inner = module.partition(".")
    if package in NOT_OWN or (inner and _is_installed(package)):
        return None  # find_spec on a module inside a package would import that package
    path = _file(module)
    return path if path and path.suffix == ".py" and not _managed(path, module) else None


@cache
def _is_installed(package: str) -> bool:
    path = _file(package)
    return path is not None and _managed(path, package)


def _file(module: str) -> Path | None:
    origin = None
    if module == "__main__":
        origin = getattr(sys.modules[module], "__file__", None)
    else:
        with suppress(ImportError, AttributeError, ValueError):
            spec = importlib.util.find_spec(module)
            origin = spec.origin if spec and spec.has_location else None
    path = Path(origin).absolute() if origin else None
    return path if path and path.is_file() else None


def _managed(path: Path, module: str) -> bool:
    """Whether a package manager installed a file, at its path or at the target of its link."""
    depth = module.count(".") + (path.name == "__init__.py")
    return any(
        not SITE_NAMES.isdisjoint(location.parts)
        or not _site_folders().isdisjoint(location.parents)
        or any(_records(root, module.partition(".")[0]) for root in location.parents[depth : depth + 1])
        for location in (path, path.resolve())
    )


@cache
def _site_folders() -> frozenset[Path]:
    """The folders of this interpreter's installed packages, as written and with links resolved."""
    folders = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders += [*site.getsitepackages(), site.getusersitepackages()]
    return frozenset(location for folder in folders for location in (Path(folder).absolute(), Path(folder).resolve()))


@cache
def _records(folder: Path, package: str) -> bool:
    """Whether a RECORD in a folder, such as one of `pip install --target`, lists a package or module."""
    starts = (f"{package}/", f"{package}.py,")
    records = (path.read_text(errors="replace") for path in folder.glob("*.dist-info/RECORD"))
    return any(line.startswith(starts) for record in records for line in record.splitlines())


def _imported(module: str) -> Iterator[str]:
    """The modules that a module's `import` statements name."""
    for base, names in _statements(module):
        submodules = [f"{base}.{name}" for name in names if own_file(f"{base}.{name}")]
        yield from submodules or [base]


def _used_of_kdlab(module: str) -> Iterator[object]:
    """The modules, classes and functions of kdlab that a module's `import` statements name."""
    for base, names in _statements(module):
        if base.partition(".")[0] == "kdlab":
            for thing in [f"{base}.{name}" for name in names if name != "*"] or [base]:
                with suppress(ImportError, AttributeError):  # the user's module may handle its absence
                    yield pkgutil.resolve_name(thing)


def _statements(module: str) -> Iterator[tuple[str, list[str]]]:
    """The absolute module name of each `import`, and the names that are imported from it."""
    path = own_file(module)
    assert path is not None
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for statement in _read(module).imports:
        if isinstance(statement, ast.Import):
            yield from ((alias.name, []) for alias in statement.names)
        else:
            yield _absolute(statement, package), [alias.name for alias in statement.names]


def _absolute(statement: ast.ImportFrom, package: str) -> str:
    if not statement.level:
        return statement.module or ""
    parts = package.split(".")[: len(package.split(".")) - statement.level + 1]
    return ".".join([*parts, statement.module] if statement.module else parts)


class _Source(NamedTuple):
    imports: tuple[ast.Import | ast.ImportFrom, ...]
    text: str


def _read(module: str) -> _Source:
    path = own_file(module)
    assert path is not None
    return _parsed(path.read_bytes())


@cache
def _parsed(content: bytes) -> _Source:
    """The parsed source of a file; content that Python cannot parse is taken as raw text."""
    try:
        tree = ast.parse(content)
    except (RecursionError, MemoryError, SyntaxError, ValueError):
        return _Source((), repr(content))
    imports = tuple(node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))
    return _Source(imports, " ".join(_tokens(tree)))


def _tokens(tree: ast.Module) -> Iterator[str]:
    """A syntax tree as a flat list of tokens, without docstrings; unlike `ast.unparse` it takes any depth."""
    pending: list[Any] = [tree]
    while pending:
        part = pending.pop()
        if isinstance(part, ast.AST):
            yield type(part).__name__
            fields = [(name, value) for name, value in _fields(part) if value is not None and value != []]
            pending += [item for name, value in reversed(fields) for item in (value, _Token(name))]
        elif isinstance(part, list):
            pending += [_Token("end"), *reversed(part)]
        else:
            yield part if isinstance(part, _Token) else repr(part)


def _fields(node: ast.AST) -> Iterator[tuple[str, Any]]:
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    has_docstring = isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None
    for name, value in ast.iter_fields(node):
        yield name, value[1:] if name == "body" and has_docstring else value


class _Token(str):
    """A token of the notation; any other string is a literal of the source."""
