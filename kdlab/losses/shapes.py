"""Shape checks of losses on features, and pooling of maps to one size."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


def check_equal(loss: str, student: Tensor, teacher: Tensor) -> None:
    """Refuses features of different shapes.

    Raises:
        ValueError: naming the loss, both shapes and the setting that maps one to the other.
    """
    if student.shape != teacher.shape:
        raise ValueError(
            f"{loss} compares features of one shape, got student {tuple(student.shape)} and "
            f"teacher {tuple(teacher.shape)}; adapter: student maps the student's to the teacher's shape"
        )


def check_maps(loss: str, student: Tensor, teacher: Tensor) -> None:
    """Refuses features that are not maps of the same samples.

    Raises:
        ValueError: naming the loss, both shapes and which taps are maps.
    """
    if student.ndim != 4 or teacher.ndim != 4 or len(student) != len(teacher):
        raise ValueError(
            f"{loss} compares (batch, channels, height, width) maps of one batch, got student "
            f"{tuple(student.shape)} and teacher {tuple(teacher.shape)}; tap maps in both: low, mid or high"
        )


def check_positions(loss: str, student: Tensor, teacher: Tensor) -> None:
    """Refuses maps of one position: scaled to length 1 they are constant.

    Raises:
        ValueError: naming the loss, both sizes and how to get larger maps.
    """
    if smaller_size(student.shape, teacher.shape) == (1, 1):
        raise ValueError(
            f"{loss} needs maps of more than one position (scaled to length 1 a single one is constant, and its "
            f"gradient zero), got student {tuple(student.shape[-2:])} and teacher {tuple(teacher.shape[-2:])}; "
            "tap an earlier layer or raise image_size"
        )


def smaller_size(first: Sequence[int], second: Sequence[int]) -> tuple[int, int]:
    """The smaller height and the smaller width of two maps' shapes, which end in height and width."""
    return min(first[-2], second[-2]), min(first[-1], second[-1])


def pool_to(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps averaged to that height and width; unchanged where they have it."""
    return maps if maps.shape[-2:] == size else F.adaptive_avg_pool2d(maps, size)


def to_one_size(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Both maps at the smaller height and the smaller width; the larger is averaged down."""
    size = smaller_size(first.shape, second.shape)
    return pool_to(first, size), pool_to(second, size)
