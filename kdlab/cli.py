"""From a command line to cells: overrides checked, Hydra run, errors in one message, an honest exit code."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from kdlab.atomic import check_writable
from kdlab.config import CONF, checked_overrides, use_kdlab_config
from kdlab.errors import KdlabError

Task = Callable[[DictConfig], object]
FAILED, INTERRUPTED = 1, 130


def run(task: Task, argv: Sequence[str] | None = None) -> int:
    """Composes the config that the command line asks for, runs `task` on every cell of it, and reports.

    Returns:
        The exit code: 0 all finished, 1 some failed, 2 bad input, 130 interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        use_kdlab_config()
        return _run(task, arguments)
    except KdlabError as error:
        return _explain(error)
    except KeyboardInterrupt:
        return _explain_stop()


def _run(task: Task, arguments: list[str]) -> int:
    asked = get_args_parser().parse_args(arguments)
    shows = asked.help or asked.hydra_help or asked.info is not None or asked.shell_completion
    ledger = None
    if not shows:
        checked = checked_overrides(asked.overrides, multirun=asked.multirun, folder=asked.config_dir)
        arguments = [argument for argument in arguments if argument not in asked.overrides] + checked.overrides
        ledger = checked.sweep_folder
        if asked.cfg is None:
            check_writable(Path(checked.config.paths.outputs), "paths.outputs")
    outcomes: list[int] = []

    def cell(cfg: DictConfig) -> None:
        outcomes.append(_attempt(task, cfg))

    before, sys.argv = sys.argv, [sys.argv[0], *arguments]
    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")(cell)()
    finally:
        sys.argv = before
    return _summary(ledger) if ledger else max(outcomes, default=0)


def _attempt(task: Task, cfg: DictConfig) -> int:
    """Runs one cell. In a sweep it never raises: what went wrong is noted and the next cell follows."""
    try:
        task(cfg)
        return _note(0)
    except KdlabError as error:
        code = _explain(error)
        if code == INTERRUPTED:
            raise KeyboardInterrupt from error
        return _note(code, str(error))
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        print(f"\nerror: {text}\n  (a bug, not your input: the traceback is in train.log)", file=sys.stderr, flush=True)
        return _note(FAILED, text)


def _note(code: int, error: str | None = None) -> int:
    """Leaves a cell's outcome where the command that started the sweep finds it, from whatever process this is."""
    settings = HydraConfig.get()
    if settings.mode == RunMode.MULTIRUN:
        note = {"overrides": list(settings.overrides.task), "exit_code": code, "error": error}
        path = Path(settings.sweep.dir) / f"cell-{settings.job.num}.json"
        path.write_text(json.dumps(note))
    return code


def _summary(sweep: Path) -> int:
    cells: list[dict[str, Any]] = [json.loads(path.read_text()) for path in sorted(sweep.glob("cell-*.json"))]
    failed = [cell for cell in cells if cell["exit_code"]]
    print(f"\n{len(cells) - len(failed)} of {len(cells)} cells finished")
    for cell in failed:
        print(f"  failed: {' '.join(cell['overrides'])}\n          {cell['error']}")
    return FAILED if failed else 0


def _explain(error: KdlabError) -> int:
    kind = "interrupted" if error.exit_code == INTERRUPTED else "error"
    print(f"\n{kind}: {error}", file=sys.stderr, flush=True)
    return error.exit_code


def _explain_stop() -> int:
    print("\ninterrupted: the same command continues where this one stopped", file=sys.stderr, flush=True)
    return INTERRUPTED
