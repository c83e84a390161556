"""Shape checks of losses that own layers, when they are built."""

import torch

from kdlab.errors import BadInput


def check_map_shapes(loss: str, student: torch.Size, teacher: torch.Size) -> None:
    """Refuses shapes that are not those of maps.

    Raises:
        BadInput: naming the loss, both shapes and which taps are maps.
    """
    if len(student) != 3 or len(teacher) != 3:
        raise BadInput(
            f"{loss} compares (channels, height, width) maps, got student {tuple(student)} and "
            f"teacher {tuple(teacher)}; tap maps in both: low, mid or high."
        )
