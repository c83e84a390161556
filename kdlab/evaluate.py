"""`python -m kdlab.evaluate RUN [data=…]`: evaluates a finished network on any data."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from kdlab.config.command_line import CommandLine
from kdlab.errors import BadInput
from kdlab.jobs.training.process import run_and_leave
from kdlab.models.stage_folder import stage_folder
from kdlab.sweeps.cli import run_command

if TYPE_CHECKING:
    from kdlab.tasks.description import Description

EXAMPLES = """\
  python -m kdlab.evaluate outputs/response-1a2b3c4d
  python -m kdlab.evaluate outputs/response-1a2b3c4d/teacher data.split_seed=0"""


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


def _evaluation(run: str, overrides: Sequence[str]) -> tuple[dict[str, Any], "Description"]:
    folder = stage_folder(run)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    settings = _data_settings(Path(run), overrides) if overrides else config["data"]
    import torch  # after what may be wrong with the arguments

    from kdlab.jobs.training.identity import data_properties
    from kdlab.jobs.training.parts import make_data
    from kdlab.models.cost import parameter_count
    from kdlab.models.saved import load_network
    from kdlab.tasks.base import task_of
    from kdlab.tasks.predictions import predict

    network = load_network(folder)
    _check_classes(config["network"]["num_classes"], data_properties(settings).num_classes)
    data = make_data(settings)
    data.setup("test")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    task = task_of(data)
    logits, labels = predict(network, data.test_dataloader(), device, task)
    figures = {f"test/{name}": value for name, value in task.figures(logits, labels).items()}
    counts = {"params": parameter_count(network.module), f"{task.description.unit}s": len(labels)}
    return {**figures, **counts}, task.description


def main() -> int:
    """The command; returns its exit code."""
    return run_command(lambda: _evaluated(_command_line().parse_intermixed_args()))


def _evaluated(args: Namespace) -> int:
    figures, task = _evaluation(args.run, args.overrides)
    from kdlab.screen.run import Screen, figures_table

    screen = Screen()
    screen.console.print(figures_table({Path(args.run).name: figures}, {"task": task.as_dict()}))
    screen.print(f"\non {figures[f'{task.unit}s']} test {task.unit}s")
    return 0


def _command_line() -> CommandLine:
    line = CommandLine(
        "evaluate",
        "Evaluates the network of a finished run on its test set, or on other data.",
        EXAMPLES,
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
