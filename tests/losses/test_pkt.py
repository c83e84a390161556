import numpy as np
import pytest
import torch
from scipy.spatial.distance import cosine
from scipy.special import rel_entr

from kdlab.losses import pkt
from tests.losses.golden import EXPECTED, golden_input
from tests.losses.numeric import numeric_gradient

STUDENT = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0], [2.0, 1.0, 0.0], [-1.0, 0.5, 0.5]])
TEACHER = torch.tensor([[2.0, 0.1], [-0.5, 2.0], [3.0, 1.5], [0.2, -1.0]])


def neighbours(features):
    kernel = np.array([[1 - cosine(a, b) / 2 for b in features] for a in features])
    return kernel / kernel.sum(axis=1, keepdims=True)


def reference(student, teacher):
    return rel_entr(neighbours(teacher), neighbours(student)).mean()


def test_matches_the_definition():
    expected = reference(STUDENT.double().numpy(), TEACHER.double().numpy())
    assert pkt(STUDENT, TEACHER).item() == pytest.approx(expected, rel=1e-4)


def test_matches_repdistiller():
    value = pkt(golden_input("student_vec"), golden_input("teacher_vec"))
    assert value.item() == pytest.approx(EXPECTED["pkt"], rel=1e-5)


def test_sends_the_numeric_gradient_to_the_student_and_none_to_the_teacher():
    student, teacher = STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    pkt(student, teacher).backward()
    expected = numeric_gradient(lambda features: reference(features, TEACHER.double().numpy()), STUDENT)
    torch.testing.assert_close(student.grad, expected, rtol=1e-3, atol=1e-6)
    assert teacher.grad is None


def test_flattens_maps():
    maps = golden_input("student_map"), golden_input("teacher_map")
    torch.testing.assert_close(pkt(*maps), pkt(*(features.flatten(1) for features in maps)))


def test_is_invariant_to_rotation_and_scale():
    rotated = 7 * TEACHER @ torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    assert pkt(rotated, TEACHER).item() == pytest.approx(0, abs=1e-7)


def test_is_finite_for_opposite_samples():
    """Rounding gives a cosine below −1, and so a probability below 0."""
    sample = torch.randn(1, 512, generator=torch.Generator().manual_seed(4))
    student = torch.cat([sample, -sample]).requires_grad_()
    value = pkt(student, TEACHER[:2])
    value.backward()
    assert value.isfinite()
    assert student.grad.isfinite().all()


def test_is_finite_for_equal_samples_and_zero_samples_with_gradients_of_the_usual_size():
    usual = STUDENT.clone().requires_grad_()
    pkt(usual, TEACHER).backward()
    odd = torch.cat([STUDENT[:1], STUDENT[:1], STUDENT[1:2], 0 * STUDENT[:1]]).requires_grad_()
    value = pkt(odd, TEACHER)
    value.backward()
    assert value.isfinite()
    assert odd.grad.abs().max() < 10 * usual.grad.abs().max()


def test_is_zero_for_a_single_sample():
    student = STUDENT[:1].clone().requires_grad_()
    value = pkt(student, TEACHER[:1])
    value.backward()
    assert value.item() == 0
    assert student.grad.abs().max() < 1e-6


def test_needs_the_whole_batch():
    assert pkt.compares_samples


def test_computes_half_precision_in_float32():
    large = 300 * STUDENT.half()  # whose squares half precision cannot hold
    value = pkt(large, TEACHER.half())
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, pkt(STUDENT, TEACHER.half().float()))


def test_errors_name_the_rule():
    with pytest.raises(ValueError, match=r"pkt .* same samples, got student \(4, 3\) and .* \(2, 2\)"):
        pkt(STUDENT, TEACHER[:2])
