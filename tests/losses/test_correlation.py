import numpy as np
import pytest
import torch

from kdlab.losses import correlation_congruence
from tests.losses.golden import EXPECTED, golden_input
from tests.losses.numeric import numeric_gradient

STUDENT = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0], [2.0, 1.0, 0.0], [-1.0, 0.5, 0.5]])
TEACHER = torch.tensor([[2.0, 0.0, 1.0], [-0.5, 2.0, 4.0], [3.0, 1.5, 0.5], [0.0, -1.0, 2.0]])


def reference(student, teacher):
    errors = [np.abs(s - t).ravel() for s, t in zip(student, teacher, strict=True)]
    return np.mean([errors[i] @ errors[i + 1] for i in range(len(errors) - 1)])


def test_matches_the_definition():
    expected = reference(STUDENT.numpy(), TEACHER.numpy())
    assert correlation_congruence(STUDENT, TEACHER).item() == pytest.approx(expected, rel=1e-6)


def test_matches_repdistiller():
    value = correlation_congruence(golden_input("student_vec"), golden_input("teacher_vec"))
    assert value.item() == pytest.approx(EXPECTED["correlation_congruence"], rel=1e-5)


def test_sends_the_numeric_gradient_to_the_student_and_none_to_the_teacher():
    student, teacher = STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    correlation_congruence(student, teacher).backward()
    expected = numeric_gradient(lambda features: reference(features, TEACHER.double().numpy()), STUDENT)
    torch.testing.assert_close(student.grad, expected, rtol=1e-4, atol=1e-6)
    assert teacher.grad is None


def test_sums_over_all_positions_of_maps():
    maps = [golden_input(name) for name in ("student_map_same", "teacher_map")]
    expected = reference(*(features.double().numpy() for features in maps))
    assert correlation_congruence(*maps).item() == pytest.approx(expected, rel=1e-5)


def test_is_zero_with_a_zero_gradient_where_the_student_makes_no_error():
    student = STUDENT.clone().requires_grad_()
    value = correlation_congruence(student, STUDENT)
    value.backward()
    assert value.item() == 0
    assert student.grad.abs().sum() == 0


def test_is_zero_for_a_single_sample():
    student = STUDENT[:1].clone().requires_grad_()
    value = correlation_congruence(student, TEACHER[:1])
    value.backward()
    assert value.item() == 0
    assert student.grad.abs().sum() == 0


def test_needs_the_whole_batch():
    assert correlation_congruence.compares_samples


def test_computes_half_precision_in_float32():
    large = 300 * STUDENT.half()  # whose products half precision cannot hold
    value = correlation_congruence(large, TEACHER.half())
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, correlation_congruence(300 * STUDENT, TEACHER))


def test_errors_name_the_rule():
    with pytest.raises(ValueError, match=r"correlation_congruence .* one shape, got student \(4, 3\) and .* \(4, 2\)"):
        correlation_congruence(STUDENT, TEACHER[:, :2])
