"""`python -m kdlab.export RUN [export=…]`: from a finished run to artifacts: written, proved, measured, one chosen."""

import shlex
from argparse import SUPPRESS, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from kdlab.config.command_line import CommandLine
from kdlab.errors import BadInput
from kdlab.jobs.training.process import load_libraries, run_and_leave
from kdlab.models.stage_folder import stage_folder
from kdlab.sweeps.cli import run_command

if TYPE_CHECKING:
    from kdlab.jobs.export.settings import ExportSettings

EXAMPLES = """\
  python -m kdlab.export outputs/response-1a2b3c4d
  python -m kdlab.export outputs/response-1a2b3c4d export=openvino
  python -m kdlab.export outputs/response-1a2b3c4d export.max_latency_ms=1"""
MORE = """\
Exit code 0: every artifact passed and one meets the budgets, if there are any;
1: something is refused, with the reason. Keys of export: docs/deploy.md."""
REFUSED = 1


def main() -> int:
    """The command; returns its exit code."""
    return run_command(lambda: _exported(_command_line().parse_intermixed_args()))


def _exported(args: Namespace) -> int:
    stage_folder(args.run)  # a wrong path is an error at once
    _check_one(args)
    settings = export_settings(args.overrides, args.config_dir)
    load_libraries()
    from kdlab.jobs.export.finished import FinishedStage
    from kdlab.reporting.render.console import Printer
    from kdlab.reporting.render.model_card import model_card
    from kdlab.runtime.export import run_export
    from kdlab.runtime.export_directory import export_directory, write_export
    from kdlab.runtime.logs import quiet_screen
    from kdlab.runtime.signals import StopOnSignal
    from kdlab.screen.export import show_export
    from kdlab.screen.run import Screen
    from kdlab.store.atomic import check_writable
    from kdlab.store.store import Store

    quiet_screen()
    student, console = FinishedStage.at(args.run), Printer()
    if args.out:
        check_writable(Path(args.out), "--out")
    with StopOnSignal() as stop:
        export = run_export(student, settings, Store(student.folder.parent), [Screen(console), stop])
    folder = Path(args.out) if args.out else export_directory(Path(args.run), export.jobs, export.fingerprint)
    write_export(folder, export, model_card(export.content, student.config))
    show_export(console, export.content, folder)
    return 0 if export.is_complete else REFUSED


def export_settings(overrides: Sequence[str], config_dir: str | None = None) -> "ExportSettings":
    """The settings of the config group `export`, by default its option `onnx`.

    Raises:
        BadInput: an override of another group, or an unknown or wrong value.
    """
    for override in overrides:
        if override.lstrip("+~").partition("=")[0].partition(".")[0] != "export":
            raise BadInput(
                f"{override}: an export takes the network as the run left it, and only export=… and export.… can be "
                "set. Leave it out."
            )
    from omegaconf import OmegaConf

    from kdlab.config.compose import compose_config

    chosen = any(override.startswith("export=") for override in overrides)
    cfg = compose_config([*([] if chosen else ["export=onnx"]), *overrides], config_dir)
    from kdlab.jobs.export.settings import ExportSettings

    settings: Any = OmegaConf.to_container(cfg.export, resolve=True)
    return ExportSettings(**settings)


def _check_one(args: Namespace) -> None:
    """Refuses a sweep, naming the command that runs it: `kdlab.train`, which finds the stages of the run in the store.

    Raises:
        BadInput: `-m`, or a setting with several values.
    """
    swept = [line for line in args.overrides if _is_sweep(line)]
    if not (args.multirun or swept):
        return
    recorded = Path(args.run, ".hydra", "overrides.yaml")
    typed = yaml.safe_load(recorded.read_text()) if recorded.is_file() else ["<overrides of the run>"]
    lines = [line for line in typed if not line.lstrip("+").startswith(("export", "hydra"))]
    chosen = any(line.startswith("export=") for line in args.overrides)
    command = ["python", "-m", "kdlab.train", "-m", *lines, *([] if chosen else ["export=onnx"]), *args.overrides]
    raise BadInput(
        f"{swept[0] if swept else '-m'}: an export takes one value of each setting. A sweep of exports is one of the "
        f"run's own command, which trains nothing that is in the store:\n  {shlex.join(command)}"
    )


def _is_sweep(line: str) -> bool:
    """Whether an override has several values; one that cannot be read has none, and is refused where it is composed."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_overrides([line])[0].is_sweep_override()
    except HydraException:
        return False


def _command_line() -> CommandLine:
    line = CommandLine(
        "export",
        "Writes the network of a finished run as artifacts that need no kdlab, proves\n"
        "each on the whole test set, measures them here, and recommends one.",
        EXAMPLES,
        MORE,
    )
    line.add_argument("run", metavar="RUN", help="a run directory, for its student, or the folder of one of its stages")
    line.add_argument("--out", metavar="DIR", help="where the artifacts go (default: export-<fingerprint> in RUN)")
    line.add_argument("--config-dir", metavar="FOLDER", help="further options of your own")
    keys = "export=… or export.… (default: export=onnx)"
    line.add_argument("-m", "--multirun", action="store_true", help=SUPPRESS)  # refused, with the command that has it
    line.add_argument("overrides", nargs="*", default=[], metavar="key=value", help=keys)
    return line


if __name__ == "__main__":
    run_and_leave(main)
