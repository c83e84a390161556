"""Knowledge review: maps are compared as they are and averaged over ever larger regions.

Chen, Liu, Zhao & Jia, "Distilling Knowledge via Knowledge Review", CVPR 2021 (arXiv:2104.09044).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdlab.errors import BadInput
from kdlab.losses.batchwise import compares_samples
from kdlab.losses.map_shapes import check_map_shapes
from kdlab.losses.shapes import check_equal, check_maps

WIDEST_FUSION = 512  # channels


def hierarchical_context(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared error of two maps and of their averages over 4×4, 2×2 and 1×1 regions.

    The maps themselves have weight 1, each coarser grid half the weight of the one before it. Grids that are not
    smaller than the maps are left out.

    Args:
        student: `(batch, channels, height, width)`.
        teacher: maps of the same shape; treated as a constant.

    Returns:
        Scalar, the weighted mean over grids of errors averaged over batch, channels and positions; float32.

    Raises:
        ValueError: the features are not maps, or their shapes differ.

    Examples:
        >>> from torch import tensor
        >>> from kdlab.losses import hierarchical_context
        >>> student = tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
        >>> teacher = tensor([[[[0.0, 1.0], [1.0, 0.0]]]])
        >>> hierarchical_context(student, teacher)  # (1 · 1 + ½ · 0) / (1 + ½)
        tensor(0.6667)
    """
    check_maps("hierarchical_context", student, teacher)
    check_equal("hierarchical_context", student, teacher)
    own, other = student.float(), teacher.detach().float()
    grids = [grid for grid in (4, 2, 1) if grid < min(student.shape[-2:])]
    errors = [F.mse_loss(own, other)]
    errors += [F.mse_loss(F.adaptive_avg_pool2d(own, grid), F.adaptive_avg_pool2d(other, grid)) for grid in grids]
    weights = torch.tensor([0.5**level for level in range(len(errors))], device=own.device)
    return (torch.stack(errors) * weights).sum() / weights.sum()


@compares_samples  # through BatchNorm
class Review(nn.Module):
    """`hierarchical_context` between each teacher level and a fusion of the student's same and higher levels.

    From the highest level down, a student's map is fused with the residual of the level above. The fused map is the
    residual for the level below; a 3×3 convolution maps it to the teacher's width.

    Args:
        student_shape: `(channels, height, width)` of the student's maps, from low to high.
        teacher_shape: likewise of the teacher's; at each level the student's is resized to the teacher's size.

    Raises:
        BadInput: not several levels, or some are not maps.

    Examples:
        >>> import torch
        >>> from kdlab.losses import Review
        >>> shapes = [torch.Size([4, 8, 8]), torch.Size([8, 4, 4])]  # from low to high
        >>> loss = Review(student_shape=shapes, teacher_shape=shapes)
        >>> maps = [torch.randn(2, *shape) for shape in shapes]
        >>> loss(maps, maps).shape
        torch.Size([])
    """

    def __init__(self, student_shape: Sequence[torch.Size], teacher_shape: Sequence[torch.Size]) -> None:
        super().__init__()
        _check_levels(student_shape, teacher_shape)
        width = min(student_shape[-1][0], WIDEST_FUSION)
        highest = len(student_shape) - 1
        self.fusions = nn.ModuleList(
            Fusion(own[0], width, other[0], highest=level == highest)
            for level, (own, other) in enumerate(zip(student_shape, teacher_shape, strict=True))
        )

    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
        """The sum over levels.

        Args:
            student: maps `(batch, channels, height, width)` from low to high.
            teacher: likewise; treated as constants.

        Returns:
            Scalar, the sum over levels of `hierarchical_context`: the scale on which the published weight (5) is
            quoted. 0 for a single sample with a map of one position, which BatchNorm cannot normalise; float32.
        """
        if any(maps[:, 0].numel() == 1 for maps in (*student, *teacher)):
            return 0 * torch.stack([maps.float().sum() for maps in student]).sum()
        residual, total = None, torch.zeros((), device=student[0].device)
        for fuse, own, other in reversed(list(zip(self.fusions, student, teacher, strict=True))):
            reviewed, residual = fuse(own.float(), residual, other.shape[-2:])
            total = total + hierarchical_context(reviewed, other)
        return total


class Fusion(nn.Module):
    """Attention-based fusion of a map with the residual of the higher levels, each position by itself.

    Args:
        own: channels of the student's map.
        width: channels of all residuals.
        other: channels of the teacher's map.
        highest: whether nothing is above this level.
    """

    def __init__(self, own: int, width: int, other: int, highest: bool) -> None:
        super().__init__()
        self.reduce = _convolution(own, width, 1)
        self.attend = None if highest else nn.Conv2d(2 * width, 2, kernel_size=1)
        self.widen = _convolution(width, other, 3)

    def forward(self, own: Tensor, above: Tensor | None, size: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The map to compare with the teacher's, of height and width `size`, and the residual for the level below."""
        residual: Tensor = self.reduce(own)
        if self.attend is not None and above is not None:
            above = F.interpolate(above, residual.shape[-2:])
            weights = self.attend(torch.cat([residual, above], dim=1)).sigmoid()
            residual = weights[:, :1] * residual + weights[:, 1:] * above
        residual = F.interpolate(residual, tuple(size))
        return self.widen(residual), residual


def _convolution(before: int, after: int, side: int) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, side, padding=side // 2, bias=False)
    nn.init.kaiming_uniform_(convolution.weight, a=1)
    return nn.Sequential(convolution, nn.BatchNorm2d(after))


def _check_levels(student: Sequence[torch.Size], teacher: Sequence[torch.Size]) -> None:
    if isinstance(student, torch.Size) or isinstance(teacher, torch.Size):
        raise BadInput(
            "Review fuses several levels, from low to high, got one map of shape "
            f"{tuple(student)}; list them as one entry: taps: [[low, mid, high]]."
        )
    for own, other in zip(student, teacher, strict=True):
        check_map_shapes("Review", own, other)
