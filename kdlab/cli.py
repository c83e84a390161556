"""From a command line to cells: overrides checked, Hydra run, errors in one message, an honest exit code."""

import json
import sys
import traceback
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.hydra import Hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException

from kdlab.atomic import check_writable
from kdlab.config import Checked, checked_overrides, hydra_app
from kdlab.errors import BadInput, Interrupted, KdlabError
from kdlab.help import help_page
from kdlab.searchpath import CONF, use_kdlab_config

Task = Callable[[DictConfig], object]
FAILED = 1
STOPPED = "the same command continues where this one stopped"


def run(task: Task, argv: Sequence[str] | None = None) -> int:
    """Composes the config that the command line asks for, runs `task` on every cell of it, and reports.

    Returns:
        The exit code: 0 all finished, 1 some failed, 2 bad input, 130 interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    return explained(lambda: _run(task, arguments))


def explained(action: Callable[[], int]) -> int:
    """The exit code of a command, whose ordinary failures end in one message without a traceback."""
    try:
        return action()
    except KdlabError as error:
        return _explain(error)
    except KeyboardInterrupt as stop:
        return _explain(Interrupted(str(stop) or STOPPED))


def _run(task: Task, arguments: list[str]) -> int:
    asked = get_args_parser().parse_args(arguments)
    if asked.help:
        print(help_page())
        return 0
    if asked.hydra_help or asked.info is not None or asked.shell_completion:
        return _ask_hydra(arguments)
    _check_flags(asked)
    checked = checked_overrides(asked.overrides, multirun=asked.multirun, folder=asked.config_dir)
    if asked.cfg:
        print(_shown(checked.config, asked), end="")
        return 0
    _check_paths(checked)
    with hydra_app(asked.config_dir) as app:
        return _run_sweep(app, task, checked) if checked.sweep_folder else _run_once(app, task, checked)


def _run_once(app: Hydra, task: Task, checked: Checked) -> int:
    outcome: int = app.run("train", lambda cfg: _attempt(task, cfg), checked.overrides).return_value
    return outcome


def _run_sweep(app: Hydra, task: Task, checked: Checked) -> int:
    """Runs every cell, in this process or wherever the launcher likes; each leaves a note of how it went."""
    assert checked.sweep_folder
    for old in checked.sweep_folder.glob("cell-*.json"):
        old.unlink()
    try:
        app.multirun("train", lambda cfg: _attempt(task, cfg), checked.overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise BadInput(" ".join(str(error).split())) from error
    except Exception as error:  # the launcher's own: a worker was killed, a cluster is away
        return max(_confess(error), _summary(checked.sweep_folder))
    return _summary(checked.sweep_folder)


def _ask_hydra(arguments: Sequence[str]) -> int:
    """Lets Hydra answer what is asked of it alone: its own help, its search path, shell completion."""
    use_kdlab_config()
    before, sys.argv = sys.argv, [sys.argv[0], *arguments]
    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")(lambda cfg: None)()
    except SystemExit as stop:
        return int(stop.code or 0)
    finally:
        sys.argv = before
    return 0


def _check_flags(asked: Namespace) -> None:
    own = {"--config-path": asked.config_path, "--config-name": asked.config_name}
    for flag, value in {**own, "--experimental-rerun": asked.experimental_rerun}.items():
        if value is not None:
            raise BadInput(f"{flag} must be left out: kdlab brings its own, got {value}. --config-dir=… adds a folder.")
    if asked.resolve and not asked.cfg:
        raise BadInput("--resolve needs a config to show, got none. Add --cfg job.")


def _check_paths(checked: Checked) -> None:
    paths = checked.config.paths
    for name, value in paths.items():
        if not isinstance(value, str) or not value:
            raise BadInput(
                f"paths.{name} must be the path of a folder, got {value!r}. For example: paths.{name}={name}"
            )
    check_writable(Path(paths.outputs), "paths.outputs")
    if checked.sweep_folder:
        check_writable(checked.sweep_folder, "hydra.sweep.dir")


def _check_cell(cfg: DictConfig) -> None:
    for key in sorted(OmegaConf.missing_keys(cfg)):
        raise BadInput(f"{key} has no value of its own and must be given, got none. Add {key}=…")
    if not isinstance(cfg.name, str) or not cfg.name or set(cfg.name) & set("/\\"):
        raise BadInput(f"name must be text without slashes, for a folder's name; got {cfg.name!r}. Try name=trial.")
    if not isinstance(cfg.baseline, bool):
        raise BadInput(f"baseline must be true or false, got {cfg.baseline!r}. Try baseline=true.")
    if not OmegaConf.is_list(cfg.tags):
        raise BadInput(f"tags must be a list, got {cfg.tags!r}. Try tags=[{cfg.tags}].")


def _shown(config: DictConfig, asked: Namespace) -> str:
    """What `--cfg` prints, without composing a second time."""
    HydraConfig.instance().set_config(config)
    keys = [str(key) for key in config]
    parts = {"job": [key for key in keys if key != "hydra"], "hydra": ["hydra"], "all": keys}
    shown = OmegaConf.masked_copy(config, parts[asked.cfg])
    try:
        if asked.resolve:
            OmegaConf.resolve(shown)
        node = OmegaConf.select(shown, asked.package) if asked.package else shown
    except OmegaConfBaseException as error:
        raise BadInput(f"--cfg {asked.cfg}: {str(error).splitlines()[0]}") from error
    if node is None:
        raise BadInput(
            f"--package must be a node of the config, got {asked.package}. --cfg {asked.cfg} shows them all."
        )
    return OmegaConf.to_yaml(node) if OmegaConf.is_config(node) else f"{node}\n"


def _attempt(task: Task, cfg: DictConfig) -> int:
    """Runs one cell. In a sweep it never raises: what went wrong is noted and the next cell follows."""
    try:
        _check_cell(cfg)
        task(cfg)
        return _note(0)
    except Interrupted as stop:
        raise KeyboardInterrupt(str(stop)) from stop
    except KdlabError as error:
        return _note(_explain(error), str(error))
    except InterpolationResolutionError as error:
        wrong = BadInput(f"{error.full_key} points to nothing: {str(error).splitlines()[0]}. Set {error.full_key}=…")
        return _note(_explain(wrong), str(wrong))
    except Exception as error:
        return _note(_confess(error), f"{type(error).__name__}: {error}")


def _note(code: int, error: str | None = None) -> int:
    """Leaves a cell's outcome where the command that started the sweep finds it, from whatever process this is."""
    settings = HydraConfig.get()
    if settings.mode == RunMode.MULTIRUN:
        note = {"cell": settings.job.num, "overrides": list(settings.overrides.task), "exit_code": code, "error": error}
        path = Path(settings.sweep.dir) / f"cell-{settings.job.num}.json"
        path.write_text(json.dumps(note))
    return code


def _summary(sweep: Path) -> int:
    notes: list[dict[str, Any]] = [json.loads(path.read_text()) for path in sweep.glob("cell-*.json")]
    failed = sorted((note for note in notes if note["exit_code"]), key=lambda note: int(note["cell"]))
    print(f"\n{len(notes) - len(failed)} of {len(notes)} cells finished")
    shared = set.intersection(*(set(note["overrides"]) for note in notes)) if len(notes) > 1 else set()
    for note in failed:
        own = [override for override in note["overrides"] if override not in shared]
        print(f"  failed: {' '.join(own)}\n          {note['error']}")
    return FAILED if failed else 0


def _explain(error: KdlabError) -> int:
    kind = "interrupted" if isinstance(error, Interrupted) else "error"
    print(f"\n{kind}: {error}", file=sys.stderr, flush=True)
    return error.exit_code


def _confess(error: Exception) -> int:
    """A bug in one line, where a log has its traceback; with its traceback, where there is no log yet."""
    where = "; ".join(getattr(error, "__notes__", ()))
    if not where:
        traceback.print_exception(error)
    print(f"\nerror: {type(error).__name__}: {error}", file=sys.stderr)
    print(f"  (a bug, not your input: {where or 'its traceback is above'})", file=sys.stderr, flush=True)
    return FAILED
