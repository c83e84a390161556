import numpy as np
import pytest
import torch

from kdlab.losses import hierarchical_context
from tests.losses.golden import EXPECTED, golden_input

torch.manual_seed(0)
STUDENT, TEACHER = torch.randn(3, 2, 8, 8), torch.randn(3, 2, 8, 8)


def averaged(maps, grid):
    """Means over grid × grid equal blocks, one by one."""
    height, width = maps.shape[-2] // grid, maps.shape[-1] // grid
    blocks = np.empty((*maps.shape[:2], grid, grid))
    for row in range(grid):
        for column in range(grid):
            rows, columns = slice(row * height, (row + 1) * height), slice(column * width, (column + 1) * width)
            blocks[..., row, column] = maps[..., rows, columns].mean(axis=(2, 3))
    return blocks


def reference(student, teacher, weights):
    """`weights` by grid; None is the maps themselves."""
    difference = student.double().numpy() - teacher.double().numpy()
    errors = {grid: (averaged(difference, grid) if grid else difference) ** 2 for grid in weights}
    return sum(weight * errors[grid].mean() for grid, weight in weights.items()) / sum(weights.values())


@pytest.mark.parametrize(
    ("side", "weights"),
    [(8, {None: 8, 4: 4, 2: 2, 1: 1}), (4, {None: 4, 2: 2, 1: 1}), (2, {None: 2, 1: 1}), (1, {None: 1})],
)
def test_weighs_the_maps_and_each_grid_that_is_smaller(side, weights):
    student, teacher = STUDENT[..., :side, :side], TEACHER[..., :side, :side]
    assert hierarchical_context(student, teacher).item() == pytest.approx(
        reference(student, teacher, weights), rel=1e-5
    )


def test_takes_maps_that_are_not_square():
    student, teacher = STUDENT[..., :4], TEACHER[..., :4]
    expected = reference(student, teacher, {None: 4, 2: 2, 1: 1})
    assert hierarchical_context(student, teacher).item() == pytest.approx(expected, rel=1e-5)


def test_matches_mdistiller():
    value = hierarchical_context(golden_input("student_map_same"), golden_input("teacher_map"))
    assert value.item() == pytest.approx(EXPECTED["review_hcl"], rel=1e-5)


def test_sends_gradient_to_the_student_only():
    student, teacher = STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    hierarchical_context(student, teacher).backward()
    weights = torch.tensor([8.0, 4.0, 2.0, 1.0]) / 15
    difference = STUDENT - TEACHER
    expected = torch.zeros_like(difference)
    for weight, grid in zip(weights, (8, 4, 2, 1), strict=True):
        means = torch.nn.functional.adaptive_avg_pool2d(difference, grid)
        share = 2 * weight * means / means.numel() * (grid / 8) ** 2
        expected += share.repeat_interleave(8 // grid, 2).repeat_interleave(8 // grid, 3)
    torch.testing.assert_close(student.grad, expected)
    assert teacher.grad is None


def test_is_zero_for_equal_maps_and_for_zeros():
    assert hierarchical_context(TEACHER, TEACHER) == 0
    assert hierarchical_context(torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)) == 0


def test_takes_one_sample():
    expected = reference(STUDENT[:1], TEACHER[:1], {None: 8, 4: 4, 2: 2, 1: 1})
    assert hierarchical_context(STUDENT[:1], TEACHER[:1]).item() == pytest.approx(expected, rel=1e-5)


def test_computes_half_precision_in_float32():
    value = hierarchical_context(STUDENT.half(), TEACHER.half())
    assert value.dtype == torch.float32
    assert value == hierarchical_context(STUDENT.half().float(), TEACHER.half().float())


def test_errors_name_the_rule():
    with pytest.raises(ValueError, match=r"one shape, got student \(3, 1, 8, 8\) and teacher .*adapter: student"):
        hierarchical_context(STUDENT[:, :1], TEACHER)
    with pytest.raises(ValueError, match=r"hierarchical_context compares \(batch, channels, height, width\) maps"):
        hierarchical_context(STUDENT[..., 0], TEACHER[..., 0])
