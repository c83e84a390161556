import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy, zscore

from kdlab.losses import standardised_kd
from tests.losses.golden import EXPECTED, golden_input
from tests.losses.numeric import numeric_gradient

STUDENT = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]])
TEACHER = torch.tensor([[2.0, 0.0, -1.0], [-0.5, 2.0, 4.0]])


def reference(student, teacher, temperature=2.0):
    s, t = (softmax(zscore(logits, axis=1, ddof=1) / temperature, axis=1) for logits in (student, teacher))
    return temperature**2 * entropy(t, s, axis=1).mean()


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_matches_the_definition(temperature):
    expected = reference(STUDENT.double().numpy(), TEACHER.double().numpy(), temperature)
    assert standardised_kd(STUDENT, TEACHER, temperature).item() == pytest.approx(expected, rel=1e-5)


def test_matches_torchdistill_times_the_squared_temperature():
    value = standardised_kd(golden_input("student_logits"), golden_input("teacher_logits"), 2)
    assert value.item() == pytest.approx(4 * EXPECTED["kd_logit_standardised_T2_softonly_noT2"], rel=1e-5)


def test_sends_the_numeric_gradient_to_the_student_and_none_to_the_teacher():
    student, teacher = STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    standardised_kd(student, teacher).backward()
    expected = numeric_gradient(lambda logits: reference(logits, TEACHER.double().numpy()), STUDENT)
    torch.testing.assert_close(student.grad, expected, rtol=1e-4, atol=1e-5)
    assert teacher.grad is None


def test_is_invariant_to_mean_and_scale_of_logits():
    torch.testing.assert_close(standardised_kd(5 * STUDENT + 3, TEACHER), standardised_kd(STUDENT, TEACHER))
    assert standardised_kd(0.1 * TEACHER - 2, TEACHER).item() == pytest.approx(0, abs=1e-6)


def test_treats_equal_logits_as_a_uniform_distribution_with_a_gradient_of_the_usual_size():
    student = torch.zeros(2, 3, requires_grad=True)
    value = standardised_kd(student, TEACHER)
    value.backward()
    target = softmax(zscore(TEACHER.double().numpy(), axis=1, ddof=1) / 2, axis=1)
    expected = 4 * entropy(target, np.full((2, 3), 1 / 3), axis=1).mean()
    assert value.item() == pytest.approx(expected, rel=1e-5)
    usual = STUDENT.clone().requires_grad_()
    standardised_kd(usual, TEACHER).backward()
    assert 0 < student.grad.abs().max() < 10 * usual.grad.abs().max()


def test_takes_sequences_and_one_sample():
    torch.testing.assert_close(standardised_kd(STUDENT[None], TEACHER[None]), standardised_kd(STUDENT, TEACHER))
    one = reference(STUDENT[:1].double().numpy(), TEACHER[:1].double().numpy())
    assert standardised_kd(STUDENT[:1], TEACHER[:1]).item() == pytest.approx(one, rel=1e-5)


def test_computes_half_precision_in_float32():
    value = standardised_kd(STUDENT.half(), TEACHER.half())
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, standardised_kd(STUDENT.half().float(), TEACHER.half().float()))


def test_errors_name_the_rule():
    with pytest.raises(ValueError, match=r"standardised_kd .* one shape, got student \(2, 3\) and teach"):
        standardised_kd(STUDENT, TEACHER[:, :2])
    with pytest.raises(ValueError, match="standardised_kd needs a temperature above 0, got 0"):
        standardised_kd(STUDENT, TEACHER, 0)
