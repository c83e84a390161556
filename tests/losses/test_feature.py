import numpy as np
import pytest
import torch
from scipy.spatial.distance import cosine

from kdlab.losses import cosine_distance, normalised_distance

torch.manual_seed(0)
STUDENT, TEACHER = torch.randn(4, 3, 5, 2), torch.randn(4, 3, 5, 2)
LOSSES = [normalised_distance, cosine_distance]


def rows(features):
    return features.double().numpy().reshape(len(features), -1)


def unit(row):
    return row / np.sqrt(np.sum(row * row))


def mean_over_samples(measure):
    def reference(student, teacher):
        return np.mean([measure(own, other) for own, other in zip(rows(student), rows(teacher), strict=True)])

    return reference


REFERENCES = {
    normalised_distance: mean_over_samples(lambda own, other: np.sum((unit(own) - unit(other)) ** 2)),
    cosine_distance: mean_over_samples(cosine),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("shape", [(4, 30), (4, 6, 5), (4, 3, 5, 2), (1, 120)])
def test_matches_the_definition_at_any_shape(loss, shape):
    student, teacher = STUDENT.reshape(shape), TEACHER.reshape(shape)
    assert loss(student, teacher).item() == pytest.approx(REFERENCES[loss](student, teacher), rel=1e-5)


def test_the_mean_over_elements_is_as_many_times_smaller():
    value = normalised_distance(STUDENT, TEACHER, reduction="mean")
    assert value.item() == pytest.approx(REFERENCES[normalised_distance](STUDENT, TEACHER) / 30, rel=1e-5)


@pytest.mark.parametrize(("loss", "factor"), [(normalised_distance, 3.0), (cosine_distance, 1e3)])
def test_depends_on_directions_only(loss, factor):
    torch.testing.assert_close(loss(factor * STUDENT, TEACHER), loss(STUDENT, TEACHER))


@pytest.mark.parametrize(("loss", "opposite"), [(normalised_distance, 4.0), (cosine_distance, 2.0)])
def test_lies_between_equal_and_opposite_directions(loss, opposite):
    assert loss(TEACHER, TEACHER).item() == pytest.approx(0, abs=1e-6)
    assert loss(-TEACHER, TEACHER).item() == pytest.approx(opposite, rel=1e-6)


@pytest.mark.parametrize(("loss", "factor"), [(normalised_distance, 2), (cosine_distance, 1)])
def test_sends_the_known_gradient_along_directions_to_the_student_and_none_to_the_teacher(loss, factor):
    student, teacher = STUDENT.flatten(1).requires_grad_(), TEACHER.flatten(1).requires_grad_()
    loss(student, teacher).backward()
    own, other = student.detach().numpy(), teacher.detach().numpy()
    for grad, sample, target in zip(student.grad.numpy(), own, other, strict=True):
        across = unit(target) - unit(sample) * np.dot(unit(sample), unit(target))
        np.testing.assert_allclose(grad, -factor * across / np.linalg.norm(sample) / len(own), rtol=1e-4, atol=1e-6)
    assert teacher.grad is None


@pytest.mark.parametrize("loss", LOSSES)
def test_is_finite_where_features_are_zero(loss):
    student = torch.zeros(2, 4, requires_grad=True)
    at_zero = loss(student, torch.ones(2, 4))
    at_zero.backward()
    assert at_zero.item() == pytest.approx(1.0)
    assert student.grad.isfinite().all()


@pytest.mark.parametrize("loss", LOSSES)
def test_computes_half_precision_in_float32(loss):
    value = loss(STUDENT.half(), TEACHER.half())
    assert value.dtype == torch.float32
    assert value == loss(STUDENT.half().float(), TEACHER.half().float())


@pytest.mark.parametrize("loss", LOSSES)
def test_errors_name_the_rule(loss):
    shapes = r"one shape, got student \(4, 2, 5, 2\) and teacher \(4, 3, 5, 2\); adapter: student"
    with pytest.raises(ValueError, match=f"{loss.__name__} compares features of {shapes}"):
        loss(STUDENT[:, :2], TEACHER)


def test_the_error_names_the_reductions():
    with pytest.raises(ValueError, match=r"by 'sum' or 'mean', got 'none'; reduction: sum"):
        normalised_distance(STUDENT, TEACHER, reduction="none")
