import numpy as np
import pytest
import torch
from scipy.special import softmax

from kdlab.losses import dkd, response_kd
from tests.losses.golden import EXPECTED, golden_input
from tests.losses.numeric import numeric_gradient

STUDENT = torch.tensor([[1.0, -2.0, 0.5, 0.0], [0.0, 3.0, -1.0, 1.0], [2.0, 1.0, 0.0, -1.0]])
TEACHER = torch.tensor([[2.0, 0.0, -1.0, 0.5], [-0.5, 2.0, 4.0, 0.0], [3.0, 1.5, -1.0, 0.0]])
LABELS = torch.tensor([0, 2, 3])


def kl(of, other):
    return (of * np.log(of / other)).sum()


def reference(student, teacher, labels, *, target_weight=1.0, nontarget_weight=8.0, temperature=4.0):
    values = []
    for s, t, label in zip(softmax(student / temperature, 1), softmax(teacher / temperature, 1), labels, strict=True):
        if label >= 0:
            s_others, t_others = np.delete(s, label), np.delete(t, label)
            target = kl(np.array([t[label], t_others.sum()]), np.array([s[label], s_others.sum()]))
            nontarget = kl(t_others / t_others.sum(), s_others / s_others.sum())
            values.append(target_weight * target + nontarget_weight * nontarget)
    return temperature**2 * np.mean(values)


@pytest.mark.parametrize("labels", [[0, 2, 3], [1, 1, 1], [-100, 2, 0]])
@pytest.mark.parametrize(
    ("target_weight", "nontarget_weight", "temperature"), [(1, 8, 4.0), (0.5, 2, 1.0), (0, 1, 2.5)]
)
def test_matches_the_definition(labels, target_weight, nontarget_weight, temperature):
    settings = dict(target_weight=target_weight, nontarget_weight=nontarget_weight, temperature=temperature)
    expected = reference(STUDENT.double().numpy(), TEACHER.double().numpy(), labels, **settings)
    assert dkd(STUDENT, TEACHER, torch.tensor(labels), **settings).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("nontarget_weight", [8, 2])
def test_matches_mdistiller(nontarget_weight):
    inputs = [golden_input(name) for name in ("student_logits", "teacher_logits", "labels")]
    value = dkd(*inputs, target_weight=1, nontarget_weight=nontarget_weight, temperature=4)
    assert value.item() == pytest.approx(EXPECTED[f"dkd_a1_b{nontarget_weight}_T4"], rel=1e-5)


def test_is_soft_targets_where_the_second_weight_is_the_teachers_probability_of_the_other_classes():
    left = 1 - (TEACHER[:1] / 4).softmax(1)[0, 2].item()
    value = dkd(STUDENT[:1], TEACHER[:1], torch.tensor([2]), target_weight=1, nontarget_weight=left)
    torch.testing.assert_close(value, response_kd(STUDENT[:1], TEACHER[:1], 4.0))


def test_sends_the_numeric_gradient_to_the_student_and_none_to_the_teacher():
    student, teacher = STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    dkd(student, teacher, LABELS).backward()
    expected = numeric_gradient(lambda logits: reference(logits, TEACHER.double().numpy(), LABELS.tolist()), STUDENT)
    torch.testing.assert_close(student.grad, expected, rtol=1e-4, atol=1e-5)
    assert teacher.grad is None


def test_leaves_out_what_has_no_label():
    student = STUDENT.clone().requires_grad_()
    value = dkd(student, TEACHER, torch.tensor([-100, 2, -100]))
    value.backward()
    torch.testing.assert_close(value, dkd(STUDENT[1:2], TEACHER[1:2], torch.tensor([2])))
    assert student.grad[[0, 2]].abs().sum() == 0


def test_is_zero_with_a_zero_gradient_where_nothing_has_a_label():
    student = STUDENT.clone().requires_grad_()
    value = dkd(student, TEACHER, torch.full((3,), -100))
    value.backward()
    assert value.item() == 0
    assert student.grad.abs().sum() == 0


def test_is_zero_for_equal_logits_and_finite_for_certain_networks():
    assert dkd(STUDENT, STUDENT, LABELS).item() == pytest.approx(0, abs=1e-5)
    student = torch.tensor([[0.0, 1e4, 0.0]], requires_grad=True)
    value = dkd(student, torch.tensor([[1e4, 0.0, -1e4]]), torch.tensor([0]), temperature=1.0)
    value.backward()
    assert value.isfinite()
    assert student.grad.isfinite().all()


def test_the_nontarget_part_is_zero_for_two_classes():
    value = dkd(STUDENT[:, :2], TEACHER[:, :2], torch.tensor([0, 1, 1]), target_weight=0)
    assert value.item() == 0


def test_takes_sequences_and_one_sample():
    torch.testing.assert_close(dkd(STUDENT[None], TEACHER[None], LABELS[None]), dkd(STUDENT, TEACHER, LABELS))
    one = reference(STUDENT[:1].double().numpy(), TEACHER[:1].double().numpy(), [3])
    assert dkd(STUDENT[:1], TEACHER[:1], torch.tensor([3])).item() == pytest.approx(one, rel=1e-5)


def test_computes_half_precision_in_float32():
    value = dkd(STUDENT.half(), TEACHER.half(), LABELS)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, dkd(STUDENT.half().float(), TEACHER.half().float(), LABELS))


def test_errors_name_the_rule():
    with pytest.raises(ValueError, match=r"dkd .* one shape, got student \(3, 4\) and teacher \(3, 2\)"):
        dkd(STUDENT, TEACHER[:, :2], LABELS)
    with pytest.raises(ValueError, match="dkd needs a temperature above 0, got 0"):
        dkd(STUDENT, TEACHER, LABELS, temperature=0)
