import numpy as np
import pytest
import torch

from kdlab.losses import similarity_preserving
from tests.losses.golden import EXPECTED, golden_input
from tests.losses.numeric import numeric_gradient

STUDENT = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0], [2.0, 1.0, 0.0], [-1.0, 0.5, 0.5]])
TEACHER = torch.tensor([[2.0, 0.0], [-0.5, 2.0], [3.0, 1.5], [0.0, -1.0]])


def reference(student, teacher):
    grams = [np.array([[np.vdot(a, b) for b in features] for a in features]) for features in (student, teacher)]
    rows = [[row / np.sqrt((row**2).sum()) for row in gram] for gram in grams]
    return sum(((a - b) ** 2).sum() for a, b in zip(*rows, strict=True)) / len(student) ** 2


def test_matches_the_definition():
    expected = reference(STUDENT.double().numpy(), TEACHER.double().numpy())
    assert similarity_preserving(STUDENT, TEACHER).item() == pytest.approx(expected, rel=1e-5)


def test_matches_repdistiller():
    value = similarity_preserving(golden_input("student_map"), golden_input("teacher_map"))
    assert value.item() == pytest.approx(EXPECTED["similarity_preserving"], rel=1e-5)


def test_sends_the_numeric_gradient_to_the_student_and_none_to_the_teacher():
    student, teacher = STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    similarity_preserving(student, teacher).backward()
    expected = numeric_gradient(lambda features: reference(features, TEACHER.double().numpy()), STUDENT)
    torch.testing.assert_close(student.grad, expected, rtol=1e-4, atol=1e-6)
    assert teacher.grad is None


def test_is_invariant_to_rotation_and_scale():
    rotated = 7 * TEACHER @ torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    assert similarity_preserving(rotated, TEACHER).item() == pytest.approx(0, abs=1e-12)


def test_is_finite_for_equal_samples_and_zero_samples_with_gradients_of_the_usual_size():
    usual = STUDENT.clone().requires_grad_()
    similarity_preserving(usual, TEACHER).backward()
    odd = torch.cat([STUDENT[:1], STUDENT[:1], STUDENT[1:2], 0 * STUDENT[:1]]).requires_grad_()
    value = similarity_preserving(odd, TEACHER)
    value.backward()
    assert value.isfinite()
    assert odd.grad.abs().max() < 10 * usual.grad.abs().max()


def test_is_zero_for_a_single_sample():
    student = STUDENT[:1].clone().requires_grad_()
    value = similarity_preserving(student, TEACHER[:1])
    value.backward()
    assert value.item() == 0
    assert student.grad.abs().sum() == 0


def test_needs_the_whole_batch():
    assert similarity_preserving.compares_samples


def test_computes_half_precision_in_float32():
    large = 300 * STUDENT.half()  # whose squares half precision cannot hold
    value = similarity_preserving(large, TEACHER.half())
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, similarity_preserving(STUDENT, TEACHER))


def test_errors_name_the_rule():
    with pytest.raises(ValueError, match=r"similarity_preserving .* samples, got student \(4, 3\) and .* \(2, 2\)"):
        similarity_preserving(STUDENT, TEACHER[:2])
