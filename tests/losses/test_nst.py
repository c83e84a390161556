import numpy as np
import pytest
import torch

from kdlab.losses import nst
from tests.losses.golden import EXPECTED, golden_input

torch.manual_seed(0)
STUDENT, TEACHER = torch.randn(3, 4, 4, 2), torch.randn(3, 5, 4, 2)


def kernel_mean(first, second):
    """Mean of (xᵀy)² over pairs of channels, of one sample."""
    return np.mean([np.dot(x / np.linalg.norm(x), y / np.linalg.norm(y)) ** 2 for x in first for y in second])


def reference(student, teacher):
    samples = []
    for maps, others in zip(student.double().numpy(), teacher.double().numpy(), strict=True):
        own, other = maps.reshape(len(maps), -1), others.reshape(len(others), -1)
        samples.append(kernel_mean(own, own) + kernel_mean(other, other) - 2 * kernel_mean(own, other))
    return np.mean(samples)


def halved(maps):
    """Means of 2 × 2 positions."""
    return (maps[..., ::2, ::2] + maps[..., 1::2, ::2] + maps[..., ::2, 1::2] + maps[..., 1::2, 1::2]) / 4


@pytest.mark.parametrize("samples", [1, 3])
def test_matches_the_definition(samples):
    value = nst(STUDENT[:samples], TEACHER[:samples])
    assert value.item() == pytest.approx(reference(STUDENT[:samples], TEACHER[:samples]), rel=1e-5)


def test_matches_repdistiller():
    value = nst(golden_input("student_map"), golden_input("teacher_map"))
    assert value.item() == pytest.approx(EXPECTED["nst"], rel=1e-5)


def test_averages_the_larger_maps_down_first():
    expected = reference(halved(STUDENT), halved(TEACHER))
    assert nst(STUDENT, halved(TEACHER)).item() == pytest.approx(expected, rel=1e-5)
    assert nst(halved(STUDENT), TEACHER).item() == pytest.approx(expected, rel=1e-5)


def test_is_invariant_to_order_sign_and_scale_of_channels():
    shuffled = -2 * TEACHER[:, [3, 1, 4, 0, 2]]
    assert nst(shuffled, TEACHER).item() == pytest.approx(0, abs=1e-6)


def test_sends_the_known_gradient_to_the_student_and_none_to_the_teacher():
    student, teacher = STUDENT.double().requires_grad_(), TEACHER.double().requires_grad_()
    nst(student, teacher).backward()
    step = 1e-5
    for position in [(0, 0, 0, 0), (1, 2, 3, 1), (2, 3, 1, 0)]:
        shift = torch.zeros_like(STUDENT, dtype=torch.float64)
        shift[position] = step
        up, down = (reference(STUDENT.double() + sign * shift, TEACHER) for sign in (1, -1))
        assert student.grad[position].item() == pytest.approx((up - down) / (2 * step), rel=1e-4, abs=1e-7)
    assert teacher.grad is None


def test_channels_that_are_zero_match_none_and_get_no_gradient():
    dead = STUDENT.clone()
    dead[:, 1:] = 0
    student = dead.requires_grad_()
    value = nst(student, TEACHER)
    value.backward()
    maps, others = dead.detach()[:, :1], TEACHER
    cross, own = [], []
    for sample, other in zip(maps.double().numpy(), others.double().numpy(), strict=True):
        rows, other_rows = sample.reshape(1, -1), other.reshape(len(other), -1)
        own.append(kernel_mean(rows, rows) / 16 + kernel_mean(other_rows, other_rows))  # one pair of 4 × 4 is not zero
        cross.append(kernel_mean(rows, other_rows) / 4)
    assert value.item() == pytest.approx(np.mean(own) - 2 * np.mean(cross), rel=1e-5)
    assert student.grad[:, 1:].abs().sum() == 0
    assert student.grad[:, 0].abs().sum() > 0


def test_computes_half_precision_in_float32():
    value = nst(STUDENT.half(), TEACHER.half())
    assert value.dtype == torch.float32
    assert value == nst(STUDENT.half().float(), TEACHER.half().float())


def test_errors_name_the_rule():
    with pytest.raises(ValueError, match=r"nst compares .* maps of one batch, got student \(3, 4\) and teacher"):
        nst(STUDENT[..., 0, 0], TEACHER)
    with pytest.raises(ValueError, match=r"nst needs maps of more than one position .*image_size"):
        nst(STUDENT[..., :1, :1], TEACHER)
