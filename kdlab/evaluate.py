"""`python -m kdlab.evaluate RUN [data=…]`: evaluates a finished network on any data."""

import json
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from kdlab.config.command_line import CommandLine
from kdlab.errors import BadInput
from kdlab.jobs.training.process import run_and_leave
from kdlab.models.stage_folder import ROBUSTNESS, WEIGHTS, stage_folder
from kdlab.settings.corruption import ALL, SEVERITY, check_severity
from kdlab.store.atomic import write_text_atomically
from kdlab.sweeps.cli import run_command

if TYPE_CHECKING:
    from lightning.pytorch import LightningDataModule

    from kdlab.tasks.description import Description

EXAMPLES = """\
  python -m kdlab.evaluate outputs/response-1a2b3c4d
  python -m kdlab.evaluate outputs/response-1a2b3c4d/teacher data.split_seed=0
  python -m kdlab.evaluate outputs/response-1a2b3c4d data.corruption=all
  python -m kdlab.evaluate outputs/mine data.corruption=fog data.severity=5"""
ROLES = ("teacher", "baseline", "student")


def evaluate(run: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Test-set metrics of a finished network, with its own preprocessing.

    Args:
        run: a run directory or the folder of a stage.
        overrides: of `data` and `paths`, on top of the run's own; without any, the stage's own data.

    Raises:
        BadInput: no finished network, unknown settings, or data with another number of classes.
    """
    figures, _ = _evaluation(run, overrides)
    return figures


def robustness(
    run: str,
    corruption: str = ALL,
    severity: int = SEVERITY,
    overrides: Sequence[str] = (),
    report: Callable[[str], None] = lambda name: None,
) -> dict[str, Any]:
    """Accuracy on corrupted test images of a run's teacher, baseline and student, or of one stage.

    Of a whole run with all corruptions it is also written to its `robustness.json`, which reports show.

    Args:
        run: a run directory or the folder of a stage.
        corruption: a name of `kdlab.data.image.corruptions.CORRUPTIONS`, or `all`.
        severity: 1 to 5.
        overrides: as for `evaluate`.
        report: called with the name of each corruption before its images are predicted.

    Returns:
        See `kdlab.reporting.analyse.robustness.robustness`.

    Raises:
        BadInput: as `evaluate` does; an unknown corruption or severity, or data that are no raw images.
    """
    folders = _networks(Path(run))
    check_severity(severity)
    data = _test_data(list(folders.values())[-1], Path(run), overrides)
    from kdlab.models.saved import load_network
    from kdlab.reporting.analyse.robustness import robustness as analysed
    from kdlab.runtime.robustness import correct, corruptions

    names = corruptions(corruption)
    networks = {role: load_network(folder) for role, folder in folders.items()}
    labels = {role: str(_config(folder)["network"]["name"]) for role, folder in folders.items()}
    content = analysed(correct(networks, data, names, severity, report), labels, severity)
    if corruption == ALL and len(folders) > 1:
        write_text_atomically(Path(run) / ROBUSTNESS, json.dumps(content, indent=2))
    return content


def _networks(run: Path) -> dict[str, Path]:
    """The folders of a run's teacher, baseline and student by role, or that of the one stage."""
    folder = stage_folder(run)
    found = {role: run / role for role in ROLES if (run / role / WEIGHTS).is_file()}
    return found or {folder.name: folder}


def _evaluation(run: str, overrides: Sequence[str]) -> tuple[dict[str, Any], "Description"]:
    folder = stage_folder(run)
    data = _test_data(folder, Path(run), overrides)
    import torch

    from kdlab.models.cost import parameter_count
    from kdlab.models.saved import load_network
    from kdlab.tasks.base import task_of
    from kdlab.tasks.predictions import predict

    network = load_network(folder)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    task = task_of(data)
    logits, labels = predict(network, data.test_dataloader(), device, task)
    figures = {f"test/{name}": value for name, value in task.figures(logits, labels).items()}
    counts = {"params": parameter_count(network.module), f"{task.description.unit}s": len(labels)}
    return {**figures, **counts}, task.description


def _test_data(folder: Path, run: Path, overrides: Sequence[str]) -> "LightningDataModule":
    """The data of a stage, or those that the overrides describe, ready to be evaluated on."""
    config = _config(folder)
    settings = _data_settings(run, overrides) if overrides else config["data"]
    from kdlab.jobs.training.identity import data_properties  # after what may be wrong with the arguments
    from kdlab.jobs.training.parts import make_data

    _check_classes(config["network"]["num_classes"], data_properties(settings).num_classes)
    data = make_data(settings)
    data.setup("test")
    return data


def _config(folder: Path) -> dict[str, Any]:
    return dict(yaml.safe_load((folder / "config.yaml").read_text()))


def main() -> int:
    """The command; returns its exit code."""
    return run_command(lambda: _evaluated(_command_line().parse_intermixed_args()))


def _evaluated(args: Namespace) -> int:
    given, overrides = _corruption(args.overrides)
    if given:
        return _evaluated_on_corrupted(args.run, given, overrides)
    figures, task = _evaluation(args.run, overrides)
    from kdlab.screen.run import Screen, figures_table

    screen = Screen()
    screen.console.print(figures_table({Path(args.run).name: figures}, {"task": task.as_dict()}))
    screen.print(f"\non {figures[f'{task.unit}s']} test {task.unit}s")
    return 0


def _evaluated_on_corrupted(run: str, given: Mapping[str, Any], overrides: Sequence[str]) -> int:
    from kdlab.reporting.render.console import Printer
    from kdlab.screen.robustness import progress, show_robustness

    console = Printer()
    with progress(console) as report:
        content = robustness(run, **given, overrides=overrides, report=report)
    show_robustness(console, content)
    if (Path(run) / ROBUSTNESS).is_file() and given.get("corruption") == ALL:
        console.print(str(Path(run) / ROBUSTNESS), style="dim", markup=False)
    return 0


def _corruption(overrides: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """`data.corruption` and `data.severity`, which belong to no data set, and the other overrides."""
    given = {
        name: yaml.safe_load(override.partition("=")[2])
        for override in overrides
        for name in ("corruption", "severity")
        if override.lstrip("+").startswith(f"data.{name}=")
    }
    if "severity" in given and "corruption" not in given:
        raise BadInput(
            f"data.severity={given['severity']} is the severity of a corruption, and there is none. Name it, or all "
            "of them: data.corruption=all."
        )
    rest = [one for one in overrides if not one.lstrip("+").startswith(("data.corruption=", "data.severity="))]
    return given, rest


def _command_line() -> CommandLine:
    line = CommandLine(
        "evaluate",
        "Evaluates the network of a finished run on its test set, or on other data.",
        EXAMPLES,
        "data.corruption=all, or the name of one: teacher, baseline and student on\n"
        "corrupted test images.\n\n"
        "The figures are explained in README.md, what data=… takes in docs/reference.md.",
    )
    line.add_argument("run", metavar="RUN", help="a run directory, for its student, or the folder of one of its stages")
    data = "data=…, data.… or paths.…, on top of the run's own settings (default: its own test set)"
    line.add_argument("overrides", nargs="*", default=[], metavar="key=value", help=data)
    return line


def _data_settings(run: Path, overrides: Sequence[str]) -> dict[str, Any]:
    from omegaconf import OmegaConf

    from kdlab.config.compose import compose_config

    for override in overrides:
        if override.lstrip("+~").partition("=")[0].partition(".")[0] not in ("data", "paths"):
            raise BadInput(
                f"{override}: an evaluation takes the network as the run left it, and only data=…, data.… and "
                "paths.… can differ. Leave it out."
            )
    return OmegaConf.to_container(compose_config([*_run_overrides(run), *overrides]).data, resolve=True)  # type: ignore[return-value]


def _run_overrides(run: Path) -> list[str]:
    """The overrides of the run, so that its data are the default; a folder in the store has none."""
    for folder in (run, run.parent):
        if (folder / ".hydra" / "overrides.yaml").is_file():
            return list(yaml.safe_load((folder / ".hydra" / "overrides.yaml").read_text()))
    return []


def _check_classes(predicted: int, classes: int) -> None:
    if predicted != classes:
        raise BadInput(
            f"data must have the {predicted} classes that the network predicts, got data with {classes}. "
            "Choose data=… to match."
        )


if __name__ == "__main__":
    run_and_leave(main)
