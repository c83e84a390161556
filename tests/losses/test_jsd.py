import numpy as np
import pytest
import torch
from scipy.special import rel_entr, softmax

from kdlab.losses import generalised_jsd
from tests.losses.golden import EXPECTED, golden_input
from tests.losses.numeric import numeric_gradient

STUDENT = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0], [0.5, 0.0, 0.0]])
TEACHER = torch.tensor([[2.0, 0.0, -1.0], [-0.5, 2.0, 4.0], [0.0, 1.0, -1.0]])
LABELS = torch.tensor([0, 2, -100])


def reference(student, teacher, labels, beta, temperature=1.0):
    known = np.asarray(labels) != -100
    s, t = softmax(student / temperature, -1)[known], softmax(teacher / temperature, -1)[known]
    mixture = beta * t + (1 - beta) * s
    if beta == 0:
        return rel_entr(t, s).sum(-1).mean()
    if beta == 1:
        return rel_entr(s, t).sum(-1).mean()
    return (beta * rel_entr(t, mixture) + (1 - beta) * rel_entr(s, mixture)).sum(-1).mean()


@pytest.mark.parametrize("beta", [0, 0.1, 0.5, 0.9, 1])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_matches_the_definition(beta, temperature):
    expected = reference(STUDENT.double().numpy(), TEACHER.double().numpy(), LABELS, beta, temperature)
    value = generalised_jsd(STUDENT, TEACHER, LABELS, beta, temperature)
    assert value.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("beta", "temperature", "key"),
    [(0, 1, "jsd_beta0"), (0.5, 1, "jsd_beta0.5"), (1, 1, "jsd_beta1"), (0, 2, "jsd_beta0_T2")],
)
def test_matches_trl(beta, temperature, key):
    inputs = [golden_input(name) for name in ("student_tokens", "teacher_tokens", "token_labels")]
    assert generalised_jsd(*inputs, beta, temperature).item() == pytest.approx(EXPECTED[key], rel=1e-5)


@pytest.mark.parametrize("beta", [0, 0.3, 1])
def test_sends_the_numeric_gradient_to_the_student_and_none_to_the_teacher(beta):
    student, teacher = STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    generalised_jsd(student, teacher, LABELS, beta).backward()
    expected = numeric_gradient(lambda logits: reference(logits, TEACHER.double().numpy(), LABELS, beta), STUDENT)
    torch.testing.assert_close(student.grad, expected, rtol=1e-4, atol=1e-6)
    assert teacher.grad is None


def test_divided_by_beta_approaches_the_forward_divergence():
    near = generalised_jsd(STUDENT, TEACHER, LABELS, 1e-3) / 1e-3
    assert near.item() == pytest.approx(generalised_jsd(STUDENT, TEACHER, LABELS, 0).item(), rel=1e-2)


def test_at_one_half_is_symmetric_and_at_most_ln_2():
    opposite = torch.tensor([[1e4, 0.0]]), torch.tensor([[0.0, 1e4]])
    assert generalised_jsd(*opposite, torch.tensor([0])).item() == pytest.approx(np.log(2), rel=1e-6)
    torch.testing.assert_close(generalised_jsd(STUDENT, TEACHER, LABELS), generalised_jsd(TEACHER, STUDENT, LABELS))


@pytest.mark.parametrize("beta", [0, 0.5, 1])
def test_is_zero_for_equal_logits_and_finite_for_certain_networks(beta):
    assert generalised_jsd(STUDENT, STUDENT, LABELS, beta).item() == pytest.approx(0, abs=1e-6)
    student = torch.tensor([[1e4, 0.0]], requires_grad=True)
    value = generalised_jsd(student, torch.tensor([[0.0, 1e4]]), torch.tensor([0]), beta)
    value.backward()
    assert value.isfinite()
    assert student.grad.isfinite().all()


def test_is_zero_with_a_zero_gradient_where_nothing_has_a_label():
    student = STUDENT.clone().requires_grad_()
    value = generalised_jsd(student, TEACHER, torch.full((3,), -100))
    value.backward()
    assert value.item() == 0
    assert student.grad.abs().sum() == 0


def test_takes_sequences_and_one_token():
    sequences = generalised_jsd(STUDENT[None], TEACHER[None], LABELS[None])
    torch.testing.assert_close(sequences, generalised_jsd(STUDENT, TEACHER, LABELS))
    one = reference(STUDENT[:1].double().numpy(), TEACHER[:1].double().numpy(), [0], 0.5)
    assert generalised_jsd(STUDENT[:1], TEACHER[:1], LABELS[:1]).item() == pytest.approx(one, rel=1e-5)


def test_computes_half_precision_in_float32():
    value = generalised_jsd(STUDENT.half(), TEACHER.half(), LABELS)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, generalised_jsd(STUDENT.half().float(), TEACHER.half().float(), LABELS))


def test_errors_name_the_rule():
    with pytest.raises(ValueError, match=r"generalised_jsd .* one shape, got student \(3, 3\) and teach"):
        generalised_jsd(STUDENT, TEACHER[:, :2], LABELS)
    with pytest.raises(ValueError, match="generalised_jsd needs a temperature above 0, got 0"):
        generalised_jsd(STUDENT, TEACHER, LABELS, temperature=0)
    for beta in (-0.1, 1.1):
        with pytest.raises(ValueError, match=rf"generalised_jsd needs a beta in \[0, 1\], got {beta}"):
            generalised_jsd(STUDENT, TEACHER, LABELS, beta)
