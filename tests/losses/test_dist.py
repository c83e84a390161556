import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import pearsonr

from kdlab.losses import dist
from tests.losses.golden import EXPECTED, golden_input
from tests.losses.numeric import numeric_gradient

STUDENT = torch.tensor([[1.0, -2.0, 0.5, 0.0], [0.0, 3.0, -1.0, 1.0], [2.0, 1.0, 0.0, -1.0]])
TEACHER = torch.tensor([[2.0, 0.0, -1.0, 0.5], [-0.5, 2.0, 4.0, 0.0], [3.0, 1.5, -1.0, 0.0]])


def reference(student, teacher, inter_weight=2.0, intra_weight=2.0, temperature=4.0):
    s, t = softmax(student / temperature, axis=1), softmax(teacher / temperature, axis=1)
    inter = np.mean([1 - pearsonr(*rows).statistic for rows in zip(s, t, strict=True)])
    intra = np.mean([1 - pearsonr(*columns).statistic for columns in zip(s.T, t.T, strict=True)]) if len(s) > 1 else 0
    return temperature**2 * (inter_weight * inter + intra_weight * intra)


@pytest.mark.parametrize("settings", [(2.0, 2.0, 4.0), (1.0, 0.0, 1.0), (0.0, 1.0, 1.0), (0.5, 3.0, 2.0)])
def test_matches_the_definition(settings):
    expected = reference(STUDENT.double().numpy(), TEACHER.double().numpy(), *settings)
    assert dist(STUDENT, TEACHER, *settings).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("temperature", [1, 4])
def test_matches_torchdistill(temperature):
    value = dist(golden_input("student_logits"), golden_input("teacher_logits"), 1, 1, temperature)
    assert value.item() == pytest.approx(EXPECTED[f"dist_b1_g1_tau{temperature}"], rel=1e-5)


def test_sends_the_numeric_gradient_to_the_student_and_none_to_the_teacher():
    student, teacher = STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    dist(student, teacher).backward()
    expected = numeric_gradient(lambda logits: reference(logits, TEACHER.double().numpy()), STUDENT)
    torch.testing.assert_close(student.grad, expected, rtol=1e-3, atol=1e-4)
    assert teacher.grad is None


def test_is_zero_for_equal_logits():
    student = STUDENT.clone().requires_grad_()
    value = dist(student, STUDENT)
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-4)
    assert student.grad.abs().max() < 1e-4


def test_counts_what_is_constant_as_uncorrelated_with_a_gradient_of_its_usual_size():
    usual, teacher = golden_input("student_logits").requires_grad_(), golden_input("teacher_logits")
    constant = torch.zeros(8, 10, requires_grad=True)  # ten probabilities of 0.1, of which the mean is not quite 0.1
    dist(usual, teacher).backward()
    value = dist(constant, teacher)
    value.backward()
    assert value.item() == pytest.approx(16 * (2 + 2), rel=1e-6)
    assert constant.grad.abs().max() < 10 * usual.grad.abs().max()


def test_is_finite_for_equal_samples_and_certain_teachers():
    student = STUDENT[:1].repeat(3, 1).requires_grad_()
    value = dist(student, torch.tensor([[1e4, 0.0, 0.0, 0.0]] * 3), temperature=1.0)
    value.backward()
    assert value.isfinite()
    assert student.grad.isfinite().all()


def test_compares_only_the_classes_of_a_single_sample():
    expected = reference(STUDENT[:1].double().numpy(), TEACHER[:1].double().numpy())
    assert dist(STUDENT[:1], TEACHER[:1]).item() == pytest.approx(expected, rel=1e-5)


def test_needs_the_whole_batch():
    assert dist.compares_samples


def test_computes_half_precision_in_float32():
    value = dist(STUDENT.half(), TEACHER.half())
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, dist(STUDENT.half().float(), TEACHER.half().float()))


def test_errors_name_the_rule():
    with pytest.raises(ValueError, match=r"dist .* one shape, got student \(3, 4\) and teacher \(3, 2\)"):
        dist(STUDENT, TEACHER[:, :2])
    with pytest.raises(ValueError, match="dist needs a temperature above 0, got -1"):
        dist(STUDENT, TEACHER, temperature=-1)
