"""From a command line to cells: checks the overrides, runs Hydra, prints each error in one message."""

import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

import hydra
from hydra._internal.hydra import Hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kdlab.config.command_line import hydra_command_line
from kdlab.config.compose import Checked, checked_overrides, hydra_app
from kdlab.config.folders import CONF
from kdlab.config.help import help_page
from kdlab.config.search_path import use_kdlab_config
from kdlab.errors import BadInput, Interrupted, KdlabError, TrainingFailed
from kdlab.runtime.sweep_records import Sweep
from kdlab.store.atomic import check_writable
from kdlab.sweeps.attempt import FAILED, Task, attempt, print_error
from kdlab.sweeps.logged import logging_overrides
from kdlab.sweeps.question import sweep_of
from kdlab.sweeps.relaunch import launch
from kdlab.sweeps.report import write_report
from kdlab.sweeps.screen import following
from kdlab.sweeps.search.sweeper import use_sweeper

STOPPED = "the same command continues where this one stopped"


def run(task: Task, argv: Sequence[str] | None = None) -> int:
    """Composes the config of a command line, runs `task` on every cell, and reports.

    Returns:
        The exit code: 0 all finished, 1 some failed, 2 bad input, 130 interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    return run_command(lambda: _run(task, arguments))


def run_command(action: Callable[[], int]) -> int:
    """Runs a command and returns its exit code; expected errors end in one message without a traceback."""
    try:
        return action()
    except KdlabError as error:
        return print_error(error)
    except KeyboardInterrupt as stop:
        return print_error(Interrupted(str(stop) or STOPPED))


def _run(task: Task, arguments: list[str]) -> int:
    args = hydra_command_line("train").parse_intermixed_args(arguments)
    if args.help:
        print(help_page())
        return 0
    if args.hydra_help or args.info is not None or args.shell_completion:
        return _run_hydra(arguments)
    _check_flags(args)
    checked = checked_overrides(args.overrides, multirun=args.multirun, folder=args.config_dir)
    if logged := logging_overrides(checked):
        checked = checked_overrides([*args.overrides, *logged], multirun=args.multirun, folder=args.config_dir)
    if args.cfg:
        print(_shown(checked.config, args), end="")
        return 0
    use_sweeper()
    sweep = sweep_of(checked.multirun, checked.config) if checked.multirun else None
    _check_paths(checked.config, sweep)
    if logged:
        print(f"W&B: an API key was found, so this saved sweep runs with {' '.join(logged)} (logger=csv: without).\n")
    with hydra_app(args.config_dir) as app:
        if sweep:
            return _run_sweep(app, task, sweep, checked)
        outcome: int = app.run("train", lambda cfg: attempt(task, cfg), checked.overrides).return_value
        return outcome


def _run_sweep(app: Hydra, task: Task, sweep: Sweep, checked: Checked) -> int:
    """Runs every cell, in this process or where the launcher runs it; each writes a record of how it ended."""
    from kdlab.sweeps.workers import oversubscription_hint, with_parent_settings  # imports torch: not for --cfg

    code, lines = 0, [*checked.overrides, "hydra.mode=MULTIRUN", f"hydra.sweep.dir='{sweep.folder}'"]
    with sweep.running(), following(sweep) as view:
        if hint := oversubscription_hint(sweep, checked.config):
            view.console.print(hint, style="yellow", markup=False)
        work = with_parent_settings(lambda cfg: attempt(task, cfg))
        try:
            launch(lambda: app.multirun("train", work, lines), view)
        except TrainingFailed as error:
            code = print_error(error)
    progress = view.progress()
    view.closing(progress)
    write_report(sweep, progress, checked.config)
    return FAILED if code or progress.missing or progress.with_status("failed") else 0


def _run_hydra(arguments: Sequence[str]) -> int:
    """Runs Hydra for its own flags: its help, its info, shell completion."""
    use_kdlab_config()
    before, sys.argv = sys.argv, [sys.argv[0], *arguments]
    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")(lambda cfg: None)()
    except SystemExit as stop:
        return int(stop.code or 0)
    finally:
        sys.argv = before
    return 0


def _check_flags(args: Namespace) -> None:
    own = {"--config-path": args.config_path, "--config-name": args.config_name}
    for flag, value in {**own, "--experimental-rerun": args.experimental_rerun}.items():
        if value is not None:
            raise BadInput(f"{flag} must be left out: kdlab has its own, got {value}. --config-dir=… adds a folder.")
    if args.resolve and not args.cfg:
        raise BadInput("--resolve needs a config to show, got none. Add --cfg job.")


def _check_paths(config: DictConfig, sweep: Sweep | None) -> None:
    paths = config.paths
    for name, value in paths.items():
        if not isinstance(value, str) or not value:
            raise BadInput(
                f"paths.{name} must be the path of a folder, got {value!r}. For example: paths.{name}={name}"
            )
    check_writable(Path(paths.outputs), "paths.outputs")
    if sweep:
        check_writable(sweep.folder, "hydra.sweep.dir")


def _shown(config: DictConfig, args: Namespace) -> str:
    """What `--cfg` prints, without composing a second time."""
    HydraConfig.instance().set_config(config)
    keys = [str(key) for key in config]
    parts = {"job": [key for key in keys if key != "hydra"], "hydra": ["hydra"], "all": keys}
    shown = OmegaConf.masked_copy(config, parts[args.cfg])
    try:
        if args.resolve:
            OmegaConf.resolve(shown)
        node = OmegaConf.select(shown, args.package) if args.package else shown
    except OmegaConfBaseException as error:
        raise BadInput(f"--cfg {args.cfg}: {str(error).splitlines()[0]}") from error
    if node is None:
        raise BadInput(f"--package must be a node of the config, got {args.package}. --cfg {args.cfg} shows them all.")
    return OmegaConf.to_yaml(node) if OmegaConf.is_config(node) else f"{node}\n"
