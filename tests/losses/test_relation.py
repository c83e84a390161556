import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist, squareform

from kdlab.losses import rkd_angle, rkd_distance
from tests.losses.golden import EXPECTED, golden_input
from tests.losses.numeric import numeric_gradient

STUDENT = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0], [2.0, 1.0, 0.0], [-1.0, 0.5, 0.5]])
TEACHER = torch.tensor([[2.0, 0.1], [-0.5, 2.0], [3.0, 1.5], [0.2, -1.0]])
BOTH = pytest.mark.parametrize("loss", [rkd_distance, rkd_angle])


def smooth_l1(difference):
    size = np.abs(difference)
    return np.where(size < 1, size**2 / 2, size - 0.5).mean()


def distances(features):
    pairs = pdist(features)
    return squareform(pairs / pairs.mean())


def angles(features):
    """Of each corner with two others; 0 where a ray has no length."""
    cosines = np.zeros((len(features),) * 3)
    for corner, j, k in np.ndindex(cosines.shape):
        a, b = features[j] - features[corner], features[k] - features[corner]
        if a.any() and b.any():
            cosines[corner, j, k] = a @ b / np.sqrt((a @ a) * (b @ b))
    return cosines


def reference(loss, student, teacher):
    relations = {rkd_distance: distances, rkd_angle: angles}[loss]
    return smooth_l1(relations(student) - relations(teacher))


@BOTH
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_matches_the_definition(loss, scale):
    spread = STUDENT * torch.tensor([scale, 1.0, 1.0])  # with differences on both sides of 1
    expected = reference(loss, spread.double().numpy(), TEACHER.double().numpy())
    assert loss(spread, TEACHER).item() == pytest.approx(expected, rel=1e-5)


def test_matches_repdistiller():
    inputs = golden_input("student_vec"), golden_input("teacher_vec")
    distance, angle = rkd_distance(*inputs).item(), rkd_angle(*inputs).item()
    assert distance == pytest.approx(EXPECTED["rkd_distance"], rel=1e-5)
    assert angle == pytest.approx(EXPECTED["rkd_angle"], rel=1e-5)
    assert 25 * distance + 50 * angle == pytest.approx(EXPECTED["rkd_25_50"], rel=1e-5)


@BOTH
def test_sends_the_numeric_gradient_to_the_student_and_none_to_the_teacher(loss):
    student, teacher = STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    loss(student, teacher).backward()
    expected = numeric_gradient(lambda features: reference(loss, features, TEACHER.double().numpy()), STUDENT)
    torch.testing.assert_close(student.grad, expected, rtol=1e-4, atol=1e-6)
    assert teacher.grad is None


@BOTH
def test_flattens_maps(loss):
    maps = golden_input("student_map"), golden_input("teacher_map")
    torch.testing.assert_close(loss(*maps), loss(*(features.flatten(1) for features in maps)))


@BOTH
def test_is_invariant_to_translation_rotation_and_scale(loss):
    rotated = 7 * TEACHER @ torch.tensor([[0.6, -0.8], [0.8, 0.6]]) + 3
    assert loss(rotated, TEACHER).item() == pytest.approx(0, abs=1e-10)


@BOTH
def test_is_zero_with_a_zero_gradient_where_student_and_teacher_are_equal(loss):
    student = STUDENT.clone().requires_grad_()
    value = loss(student, STUDENT)
    value.backward()
    assert value.item() == 0
    assert student.grad.abs().sum() == 0


@BOTH
def test_keeps_gradients_of_the_usual_size_where_samples_coincide(loss):
    usual = STUDENT.clone().requires_grad_()
    loss(usual, TEACHER).backward()
    some, all_ = STUDENT[[0, 0, 1, 2]].clone().requires_grad_(), STUDENT[[0, 0, 0, 0]].clone().requires_grad_()
    for student in (some, all_):
        value = loss(student, TEACHER)
        value.backward()
        assert value.isfinite()
        assert student.grad.abs().max() < 20 * usual.grad.abs().max()
    assert loss(STUDENT, TEACHER[[0, 0, 0, 0]]).isfinite()


@BOTH
def test_duplicates_have_no_distance_and_form_no_angle(loss):
    students = STUDENT[[0, 0, 1, 2]]
    expected = reference(loss, students.double().numpy(), TEACHER.double().numpy())
    assert loss(students, TEACHER).item() == pytest.approx(expected, rel=1e-5)


@BOTH
def test_is_zero_for_a_single_sample(loss):
    student = STUDENT[:1].clone().requires_grad_()
    value = loss(student, TEACHER[:1])
    value.backward()
    assert value.item() == 0
    assert student.grad.abs().sum() == 0


@BOTH
def test_needs_the_whole_batch(loss):
    assert loss.compares_samples


@BOTH
def test_computes_half_precision_in_float32(loss):
    large = 300 * STUDENT.half()  # whose squares half precision cannot hold
    value = loss(large, TEACHER.half())
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(STUDENT, TEACHER.half().float()))


@BOTH
def test_errors_name_the_rule(loss):
    with pytest.raises(ValueError, match=rf"{loss.__name__} .* same samples, got student \(4, 3\) and .* \(2, 2\)"):
        loss(STUDENT, TEACHER[:2])
