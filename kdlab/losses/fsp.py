"""Flow of solution procedure: matches the Gram matrices between an earlier and a later layer.

Yim, Joo, Bae & Kim, "A Gift from Knowledge Distillation: Fast Optimization, Network Minimization and Transfer
Learning", CVPR 2017 (no arXiv version).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdlab.errors import BadInput
from kdlab.losses.map_shapes import check_map_shapes
from kdlab.losses.shapes import check_maps, to_one_size

Pair = Sequence[Tensor]


def fsp(student: Pair, teacher: Pair) -> Tensor:
    """Mean squared error of two flow matrices.

    A flow matrix holds the inner products of the channels of a low and of a high map, averaged over positions; the
    larger of the two maps is first averaged down to the other's height and width.

    Args:
        student: low map `(batch, channels, height, width)` and high map `(batch, channels', height', width')`.
        teacher: likewise, with the same numbers of channels, at any size; treated as constants.

    Returns:
        Scalar, averaged over batch and pairs of channels; float32.

    Raises:
        ValueError: not pairs of maps, or student and teacher differ in width.

    Examples:
        >>> import torch
        >>> from kdlab.losses import fsp
        >>> ones = torch.ones(1, 3, 4, 4)
        >>> fsp((ones, ones), (3 * ones, ones))  # flows of 1 and of 3
        tensor(4.)
    """
    _check_pairs(student, teacher, ValueError)
    for own, other in zip(student, teacher, strict=True):
        check_maps("fsp", own, other)
    widths = [[maps.shape[1] for maps in pair] for pair in (student, teacher)]
    if widths[0] != widths[1]:
        raise ValueError(
            f"fsp compares maps of equal widths, got student {widths[0]} and teacher {widths[1]} channels; "
            "_target_: kdlab.losses.FlowOfSolution maps the student's to the teacher's"
        )
    return F.mse_loss(_flow(*student), _flow(*(maps.detach() for maps in teacher)))


class FlowOfSolution(nn.Module):
    """`fsp` for student maps of other widths: trained 1×1 convolutions map them to the teacher's.

    Args:
        student_shape: `(channels, height, width)` of the student's low and high map.
        teacher_shape: likewise of the teacher's.

    Raises:
        BadInput: not pairs of maps.

    Examples:
        >>> import torch
        >>> from kdlab.losses import FlowOfSolution
        >>> student_shape = [torch.Size([2, 8, 8]), torch.Size([4, 4, 4])]
        >>> teacher_shape = [torch.Size([3, 8, 8]), torch.Size([4, 4, 4])]
        >>> FlowOfSolution(student_shape, teacher_shape).widen
        ModuleList(
          (0): Conv2d(2, 3, kernel_size=(1, 1), stride=(1, 1), bias=False)
          (1): Identity()
        )
    """

    def __init__(self, student_shape: Sequence[torch.Size], teacher_shape: Sequence[torch.Size]) -> None:
        super().__init__()
        _check_pairs(student_shape, teacher_shape, BadInput)
        pairs = list(zip(student_shape, teacher_shape, strict=True))
        for own, other in pairs:
            check_map_shapes("fsp", own, other)
        self.widen = nn.ModuleList(
            nn.Identity() if own[0] == other[0] else nn.Conv2d(own[0], other[0], kernel_size=1, bias=False)
            for own, other in pairs
        )

    def forward(self, student: Pair, teacher: Pair) -> Tensor:
        """See `fsp`; the numbers of channels are those that the module was made for."""
        return fsp([widen(maps.float()) for widen, maps in zip(self.widen, student, strict=True)], teacher)


def _check_pairs(student: Sequence[object], teacher: Sequence[object], error: type[Exception]) -> None:
    sizes = [1 if isinstance(given, Tensor | torch.Size) else len(given) for given in (student, teacher)]
    if sizes != [2, 2]:
        raise error(
            f"fsp compares pairs of maps, got {sizes[0]} of the student and {sizes[1]} of the teacher; "
            "taps: [[low, mid]]"
        )


def _flow(low: Tensor, high: Tensor) -> Tensor:
    """`(batch, low channels, high channels)`."""
    low, high = to_one_size(low.float(), high.float())
    return low.flatten(2) @ high.flatten(2).mT / low[0, 0].numel()
