"""Which source a stage runs: one hash of it, unmoved by comments, docstrings and layout."""

import ast
import hashlib
import importlib.util
import sysconfig
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

INSTALLED = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib"))


def source_hash(modules: Iterable[str]) -> str:
    """SHA-256 over the given modules and all that they import of kdlab or of the user's own code.

    Only `import` statements are followed, into the module that is named and not into the packages around it, so a
    loss belongs to the stages that name it and to no others. Installed packages count by nothing: they are pinned.
    """
    digest = hashlib.sha256()
    for module in sorted(_closure(modules)):
        digest.update(f"{module}\n{_normalised(_origin(module))}\n".encode())
    return digest.hexdigest()


def _closure(modules: Iterable[str]) -> set[str]:
    found: set[str] = set()
    waiting = [module for module in modules if _origin(module)]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += [name for name in _imports(module) if _origin(name)]
    return found


@cache
def _origin(module: str) -> Path | None:
    """The file of a module of kdlab or of the user's; None for installed and absent ones."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, AttributeError, ValueError):
        return None
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        return None
    path = Path(spec.origin).resolve()
    own = module.partition(".")[0] == "kdlab" or not any(path.is_relative_to(folder) for folder in INSTALLED)
    return path if own else None


def _imports(module: str) -> Iterator[str]:
    origin = _origin(module)
    assert origin is not None
    package = module if origin.name == "__init__.py" else module.rpartition(".")[0]
    for statement in _read(origin.read_bytes()).imports:
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        else:
            base = _absolute(statement, package)
            submodules = [f"{base}.{alias.name}" for alias in statement.names if _origin(f"{base}.{alias.name}")]
            yield from submodules or [base]


def _absolute(statement: ast.ImportFrom, package: str) -> str:
    if not statement.level:
        return statement.module or ""
    parts = package.split(".")[: len(package.split(".")) - statement.level + 1]
    return ".".join([*parts, statement.module] if statement.module else parts)


def _normalised(path: Path | None) -> str:
    assert path is not None
    return _read(path.read_bytes()).text


class _Source(NamedTuple):
    imports: tuple[ast.Import | ast.ImportFrom, ...]
    text: str


@cache
def _read(content: bytes) -> _Source:
    tree = ast.parse(content)
    imports = tuple(node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and _has_docstring(
            node
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return _Source(imports, ast.unparse(tree))


def _has_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return ast.get_docstring(node, clean=False) is not None
