"""`python -m kdlab.evaluate RUN [data=…]`: what a finished network is worth on any data."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from kdlab.errors import BadInput, KdlabError

USAGE = """usage: python -m kdlab.evaluate RUN [data=… key=value …]

  RUN        a run directory (its student), or one of its stages: outputs/…/teacher
  data=…     other data than it was trained on, and any data.… setting
"""


def evaluate(run: str, overrides: Sequence[str]) -> dict[str, Any]:
    """Test-set figures of a finished network, with its own preprocessing.

    Args:
        run: a run directory or the folder of a stage.
        overrides: of the config, on top of those the run was made with.

    Raises:
        BadInput: no finished network, unknown settings, or data with another number of classes.
    """
    import torch
    from omegaconf import OmegaConf

    from kdlab.config import compose_config
    from kdlab.identity import data_facts
    from kdlab.metrics import classification_figures, parameter_count, predict
    from kdlab.saved import load_network, stage_folder
    from kdlab.stage import make_data

    folder = stage_folder(run)
    network = load_network(folder)
    cfg = compose_config([*_made_with(Path(run)), *overrides])
    settings: Any = OmegaConf.to_container(cfg.data, resolve=True)
    _check_classes(folder, data_facts(settings).num_classes)
    data = make_data(settings)
    data.setup("test")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    logits, targets = predict(network, data.test_dataloader(), device)
    figures = {f"test/{name}": value for name, value in classification_figures(logits, targets).items()}
    return {**figures, "params": parameter_count(network.module), "samples": len(targets)}


def main() -> int:
    """The command; returns its exit code."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if arguments else 2
    try:
        figures = evaluate(arguments[0], arguments[1:])
    except KdlabError as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return error.exit_code
    _show(arguments[0], figures)
    return 0


def _made_with(run: Path) -> list[str]:
    """The overrides of the run, so that its data are the default; a folder in the store has none."""
    for folder in (run, run.parent):
        if (folder / ".hydra" / "overrides.yaml").is_file():
            return list(yaml.safe_load((folder / ".hydra" / "overrides.yaml").read_text()))
    return []


def _check_classes(folder: Path, classes: int) -> None:
    predicted = yaml.safe_load((folder / "config.yaml").read_text())["network"]["num_classes"]
    if predicted != classes:
        raise BadInput(f"data: the network predicts {predicted} classes, the data have {classes}. Choose data=… to match.")


def _show(run: str, figures: dict[str, Any]) -> None:
    from kdlab.screen import Screen, figures_table

    screen = Screen()
    screen.console.print(figures_table({Path(run).name: figures}))
    screen.say(f"\non {figures['samples']} test samples")


if __name__ == "__main__":
    sys.exit(main())
