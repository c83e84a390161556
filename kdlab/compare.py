"""`python -m kdlab.compare RUN…`: pruning, INT8 and distillation of one teacher on equal terms, and what each saves."""

from argparse import Namespace
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from kdlab.config.command_line import CommandLine
from kdlab.errors import BadInput
from kdlab.export import export_settings
from kdlab.jobs.training.process import load_libraries, run_and_leave
from kdlab.models.stage_folder import stage_folder
from kdlab.report import check_destination
from kdlab.reporting.analyse.calculator import Service
from kdlab.settings.numbers import is_fraction
from kdlab.sweeps.cli import run_command

if TYPE_CHECKING:
    from rich.console import Console

    from kdlab.jobs.export.settings import ExportSettings

EXAMPLES = """\
  python -m kdlab.compare outputs/response-1a2b3c4d
  python -m kdlab.compare outputs/response-1a2b3c4d outputs/compress-5e6f7a8b
  python -m kdlab.compare outputs/response-* export=openvino
  python -m kdlab.compare outputs/response-* requests_per_second=200"""
MORE = """\
Settings: requests_per_second, price_per_core_hour, utilisation, max_drop,
cascade, and those of export. How to read the tables: docs/compare.md."""


def main() -> int:
    """The command; returns its exit code."""
    return run_command(lambda: _compared(_command_line().parse_intermixed_args()))


def _compared(args: Namespace) -> int:
    runs, overrides, given = split(args.runs)
    stages = [stage_folder(run) for run in runs]  # a wrong path is an error at once
    targets = cascade_targets(given.get("cascade", []))
    service, settings = service_of(given), export_settings(overrides, args.config_dir)
    check_destination(args.wandb)
    load_libraries()
    from kdlab.reporting.render.comparison_page import write_comparison
    from kdlab.reporting.render.console import Printer
    from kdlab.runtime.logs import quiet_screen
    from kdlab.screen.comparison import show_comparison
    from kdlab.store.atomic import check_writable
    from kdlab.store.fingerprint import SHORT

    quiet_screen()
    if args.out:
        check_writable(Path(args.out), "--out")
    console = Printer()
    content = _measured(runs, service, settings, targets, console)
    name = f"comparison-{content['fingerprint'][:SHORT]}"
    folder = Path(args.out) if args.out else stages[0].resolve().parent.parent / name
    write_comparison(content, folder)
    show_comparison(console, content, folder)
    if args.wandb:
        from kdlab.tracking.report import publish_comparison

        print(f"W&B report: {publish_comparison(content, folder, args.wandb)}")
    return 0


def _measured(
    runs: Sequence[str], service: Service, settings: "ExportSettings", targets: Sequence[float], console: "Console"
) -> dict[str, Any]:
    """The content of `comparison.json`."""
    from kdlab.reporting.analyse.comparison import compared
    from kdlab.reporting.collect.contenders import contest
    from kdlab.runtime.comparison import run_comparison
    from kdlab.runtime.signals import StopOnSignal
    from kdlab.screen.run import Screen
    from kdlab.serving.contenders import with_cascades

    def announce(label: str) -> None:
        console.print(label, style="bold", markup=False)

    chosen = contest(runs)
    with StopOnSignal() as stop:
        found = run_comparison(chosen, settings, [Screen(console), stop], announce)
        found = with_cascades(found, chosen, settings, targets) if targets else found
    return compared(found, service, chosen.remarks)


def split(arguments: Sequence[str]) -> tuple[list[str], list[str], dict[str, Any]]:
    """Runs, overrides of `export`, and settings of the command by name; what exists as a path is a run.

    Raises:
        BadInput: there is no run.
    """
    settings = [one for one in arguments if "=" in one and not Path(one).exists()]
    runs = [one for one in arguments if one not in settings]
    if not runs:
        raise BadInput("RUN is missing: name at least one run directory, such as outputs/response-1a2b3c4d.")
    overrides = [one for one in settings if one.lstrip("+~").partition("=")[0].partition(".")[0] == "export"]
    own = dict(one.split("=", 1) for one in settings if one not in overrides)
    return runs, overrides, {key: yaml.safe_load(value) for key, value in own.items()}


def cascade_targets(given: Any) -> list[float]:
    """The targets of the setting `cascade`: one number, or several in brackets.

    Raises:
        BadInput: one is not above 0 and at most 1.
    """
    targets = given if isinstance(given, list) else [given]
    for target in targets:
        if not is_fraction(target) or target == 0:
            raise BadInput(
                f"cascade must be a share of samples above 0 and at most 1, or several in brackets; got {target!r}. "
                "For example: cascade=0.99"
            )
    return targets


def service_of(given: dict[str, Any]) -> Service:
    """The service that the settings of the command describe.

    Raises:
        BadInput: an unknown setting, or a value out of its range.
    """
    known = [*Service.__dataclass_fields__, "cascade"]
    for key, value in given.items():
        if key not in known:
            close = get_close_matches(key, known, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"Settings: {', '.join(known)}, export, export.…"
            raise BadInput(f"{key}={value}: {key} is not a setting of a comparison. {hint}")
    return Service(**{key: value for key, value in given.items() if key != "cascade"})


def _command_line() -> CommandLine:
    line = CommandLine(
        "compare",
        "Compares networks of one teacher on equal terms: exports each in float32 and\n"
        "INT8, measures all together, and computes what they save.",
        EXAMPLES,
        MORE,
    )
    keys = "a run directory, for its student, or a stage; or key=value (default: export=onnx)"
    line.add_argument("runs", nargs="+", metavar="RUN", help=keys)
    line.add_argument("--out", metavar="DIR", help="where it goes (default: comparison-<fingerprint> beside the runs)")
    line.add_argument("--config-dir", metavar="FOLDER", help="further options of your own")
    line.add_argument("--wandb", metavar="[ENTITY/]PROJECT", help="publish a W&B report too")
    return line


if __name__ == "__main__":
    run_and_leave(main)
