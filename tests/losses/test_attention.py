import numpy as np
import pytest
import torch

from kdlab.losses import attention_transfer
from tests.losses.golden import EXPECTED, golden_input

torch.manual_seed(0)
STUDENT, TEACHER = torch.randn(3, 4, 6, 2), torch.randn(3, 5, 6, 2)


def reference(student, teacher, power):
    maps = []
    for features in (student.double().numpy(), teacher.double().numpy()):
        energy = (np.abs(features) ** power).mean(axis=1).reshape(len(features), -1)
        maps.append(energy / np.linalg.norm(energy, axis=1, keepdims=True))
    return ((maps[0] - maps[1]) ** 2).mean()


def halved(features, axis):
    """Means of neighbours along an axis."""
    kept = [np.take(features.double().numpy(), range(start, features.shape[axis], 2), axis) for start in (0, 1)]
    return torch.from_numpy((kept[0] + kept[1]) / 2)


@pytest.mark.parametrize("power", [1.0, 1.5, 2.0, 4.0])
def test_matches_the_definition(power):
    value = attention_transfer(STUDENT, TEACHER, power)
    assert value.item() == pytest.approx(reference(STUDENT, TEACHER, power), rel=1e-5)


@pytest.mark.parametrize("power", [1, 2, 4])
def test_matches_repdistiller(power):
    student, teacher = golden_input("student_map"), golden_input("teacher_map")
    value = attention_transfer(student, teacher, power)
    assert value.item() == pytest.approx(EXPECTED[f"attention_transfer_p{power}"], rel=1e-5)


def test_matches_repdistiller_where_the_teachers_map_is_larger():
    value = attention_transfer(golden_input("student_map"), golden_input("teacher_map_large"))
    assert value.item() == pytest.approx(EXPECTED["attention_transfer_p2_teacher_larger"], rel=1e-5)


def test_averages_the_features_of_the_larger_map_before_anything_else():
    smaller_student, smaller_teacher = halved(STUDENT, 2), halved(TEACHER, 2)
    value = attention_transfer(STUDENT, smaller_teacher)
    assert value.item() == pytest.approx(reference(smaller_student, smaller_teacher, 2), rel=1e-5)
    value = attention_transfer(smaller_student, TEACHER)
    assert value.item() == pytest.approx(reference(smaller_student, smaller_teacher, 2), rel=1e-5)


def test_takes_the_smaller_height_and_the_smaller_width_of_maps_that_are_not_square():
    value = attention_transfer(halved(STUDENT, 2), halved(TEACHER, 3))
    both = [halved(halved(features, 2), 3) for features in (STUDENT, TEACHER)]
    assert value.item() == pytest.approx(reference(*both, 2), rel=1e-5)


def test_is_invariant_to_scale_and_sign_of_activations():
    torch.testing.assert_close(attention_transfer(-3 * STUDENT, TEACHER), attention_transfer(STUDENT, TEACHER))
    assert attention_transfer(2 * TEACHER, TEACHER).item() == pytest.approx(0, abs=1e-12)


def test_sends_the_known_gradient_to_the_student_and_none_to_the_teacher():
    student, teacher = STUDENT.double().requires_grad_(), TEACHER.double().requires_grad_()
    attention_transfer(student, teacher).backward()
    step = 1e-5
    for position in [(0, 0, 0, 0), (1, 2, 3, 1), (2, 3, 5, 0)]:
        shift = torch.zeros_like(STUDENT, dtype=torch.float64)
        shift[position] = step
        up, down = (reference(STUDENT.double() + sign * shift, TEACHER, 2) for sign in (1, -1))
        assert student.grad[position].item() == pytest.approx((up - down) / (2 * step), rel=1e-4, abs=1e-7)
    assert teacher.grad is None


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
def test_is_finite_where_a_map_is_zero(power):
    student = torch.zeros(2, 3, 2, 2, requires_grad=True)
    value = attention_transfer(student, torch.ones(2, 3, 2, 2), power)
    value.backward()
    assert value.item() == pytest.approx(0.25)  # the teacher's four positions of 1/2 each
    assert student.grad.isfinite().all()


def test_takes_one_sample():
    value = attention_transfer(STUDENT[:1], TEACHER[:1])
    assert value.item() == pytest.approx(reference(STUDENT[:1], TEACHER[:1], 2), rel=1e-5)


def test_computes_half_precision_in_float32():
    value = attention_transfer(STUDENT.half(), TEACHER.half())
    assert value.dtype == torch.float32
    assert value == attention_transfer(STUDENT.half().float(), TEACHER.half().float())


def test_refuses_a_single_position_and_states_how_to_get_more():
    message = r"more than one position .* constant.* got student \(1, 1\) and teacher \(6, 2\); tap an earlier layer or"
    with pytest.raises(ValueError, match=f"attention_transfer needs maps of {message} raise image_size"):
        attention_transfer(STUDENT[..., :1, :1], TEACHER)
    with pytest.raises(ValueError, match="more than one position"):
        attention_transfer(STUDENT[..., :1], TEACHER[..., :1, :])


def test_errors_name_the_rule():
    with pytest.raises(ValueError, match=r"\(batch, .*\) maps of one batch, got student \(3, 4, 6\) and .* tap maps"):
        attention_transfer(STUDENT[..., 0], TEACHER)
    with pytest.raises(ValueError, match=r"maps of one batch, got student \(3, 4, 6, 2\) and teacher \(1, 5, 6, 2\)"):
        attention_transfer(STUDENT, TEACHER[:1])
    with pytest.raises(ValueError, match=r"power of 1 or more, got 0.5; power: 2"):
        attention_transfer(STUDENT, TEACHER, 0.5)
    with pytest.raises(ValueError, match="power of 1 or more, got nan"):
        attention_transfer(STUDENT, TEACHER, float("nan"))
