"""Where the network of a finished stage lies; without torch, so that a wrong path is an error at once."""

from pathlib import Path

from kdlab.errors import BadInput

WEIGHTS = "student.safetensors"
CHANGES = {"pruning": "pruning.json", "quantisation": "quantisation.json"}
"""Files beside the weights of a network that is not as its config says, by what was changed."""
ROBUSTNESS = "robustness.json"
"""In a run directory: its networks on corrupted images."""


def stage_folder(run: str | Path) -> Path:
    """The stage at a path: the student of a run directory, or the folder of a stage itself.

    Raises:
        BadInput: there is no such folder, or it has no finished network.
    """
    for folder in (Path(run) / "student", Path(run)):
        if (folder / WEIGHTS).is_file():
            return folder
    raise BadInput(
        f"{run} holds no finished network. Name a run directory such as outputs/response-1a2b3c4d, or one of its "
        "stages such as outputs/response-1a2b3c4d/teacher."
    )
