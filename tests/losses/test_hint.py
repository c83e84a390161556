import numpy as np
import pytest
import torch

from kdlab.losses import hint
from tests.losses.golden import EXPECTED, golden_input

torch.manual_seed(0)
STUDENT, TEACHER = torch.randn(4, 3, 5, 2), torch.randn(4, 3, 5, 2)


@pytest.mark.parametrize("shape", [(4, 30), (4, 6, 5), (4, 3, 5, 2), (1, 120)])
def test_matches_the_definition_at_any_shape(shape):
    student, teacher = STUDENT.reshape(shape), TEACHER.reshape(shape)
    expected = np.mean((student.double().numpy() - teacher.double().numpy()) ** 2)
    assert hint(student, teacher).item() == pytest.approx(expected, rel=1e-5)


def test_matches_repdistiller():
    value = hint(golden_input("student_map_same"), golden_input("teacher_map"))
    assert value.item() == pytest.approx(EXPECTED["hint_mse"], rel=1e-5)


def test_sends_the_known_gradient_to_the_student_and_none_to_the_teacher():
    student, teacher = STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    hint(student, teacher).backward()
    torch.testing.assert_close(student.grad, 2 * (STUDENT - TEACHER) / STUDENT.numel())
    assert teacher.grad is None


def test_computes_half_precision_in_float32():
    value = hint(STUDENT.half(), TEACHER.half())
    assert value.dtype == torch.float32
    assert value == hint(STUDENT.half().float(), TEACHER.half().float())


def test_the_error_names_the_rule():
    shapes = r"one shape, got student \(4, 2, 5, 2\) and teacher \(4, 3, 5, 2\); adapter: student"
    with pytest.raises(ValueError, match=f"hint compares features of {shapes}"):
        hint(STUDENT[:, :2], TEACHER)
