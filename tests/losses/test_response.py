import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from kdlab.losses import response_kd
from tests.losses.golden import EXPECTED, golden_input

STUDENT = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]])
TEACHER = torch.tensor([[2.0, 0.0, -1.0], [-0.5, 2.0, 4.0]])


def reference(student, teacher, temperature):
    log_s, log_t = (log_softmax(logits.numpy() / temperature, axis=1) for logits in (student, teacher))
    return temperature**2 * (np.exp(log_t) * (log_t - log_s)).sum(axis=1).mean()


@pytest.mark.parametrize("temperature", [1.0, 2.5, 20.0])
def test_matches_the_definition(temperature):
    assert response_kd(STUDENT, TEACHER, temperature).item() == pytest.approx(
        reference(STUDENT, TEACHER, temperature),
        rel=1e-4,  # at T 20 the float32 difference of nearly equal logarithms
    )


@pytest.mark.parametrize("temperature", [1, 2, 4, 6, 8])
def test_matches_repdistiller(temperature):
    value = response_kd(golden_input("student_logits"), golden_input("teacher_logits"), temperature)
    assert value.item() == pytest.approx(EXPECTED[f"kd_T{temperature}"], rel=1e-5)


def test_sends_the_known_gradient_to_the_student_and_none_to_the_teacher():
    student, teacher = STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    response_kd(student, teacher, 4.0).backward()
    expected = 4.0 * ((STUDENT / 4).softmax(1) - (TEACHER / 4).softmax(1)) / len(STUDENT)
    torch.testing.assert_close(student.grad, expected)
    assert teacher.grad is None


def test_is_zero_for_equal_logits_and_finite_for_certain_teachers():
    assert response_kd(STUDENT, STUDENT).item() == pytest.approx(0, abs=1e-6)
    certain = torch.tensor([[1e4, 0.0, 0.0], [0.0, -1e4, 0.0]])
    assert response_kd(STUDENT, certain, 1.0).isfinite()


def test_averages_over_positions_of_sequences():
    sequences = response_kd(STUDENT[None], TEACHER[None], 2.0)
    torch.testing.assert_close(sequences, response_kd(STUDENT, TEACHER, 2.0))


def test_computes_half_precision_in_float32():
    value = response_kd(STUDENT.half(), TEACHER.half(), 4.0)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, response_kd(STUDENT.half().float(), TEACHER.half().float(), 4.0))


def test_takes_one_sample():
    torch.testing.assert_close(
        response_kd(STUDENT[:1], TEACHER[:1]),
        torch.tensor(reference(STUDENT[:1], TEACHER[:1], 4.0), dtype=torch.float32),
    )


def test_errors_name_the_rule():
    with pytest.raises(ValueError, match=r"one shape, got student \(2, 3\) and teacher \(2, 2\)"):
        response_kd(STUDENT, TEACHER[:, :2])
    with pytest.raises(ValueError, match="temperature above 0, got 0"):
        response_kd(STUDENT, TEACHER, 0)
