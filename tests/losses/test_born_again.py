import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from kdlab.losses import ce, confidence_weighted_ce, permuted_kd, response_kd
from tests.losses.golden import golden_input
from tests.losses.numeric import numeric_gradient

STUDENT = torch.tensor([[1.0, -2.0, 0.5, 0.0], [0.0, 3.0, -1.0, 1.0], [2.0, 1.0, 0.0, -1.0]])
TEACHER = torch.tensor([[2.0, 0.0, -1.0, 0.5], [-0.5, 2.0, 4.0, 0.0], [3.0, 1.5, -1.0, 0.0]])
LABELS = torch.tensor([0, 2, 3])


def reference(student, teacher, labels):
    known = [i for i, label in enumerate(labels) if label >= 0]
    weights = softmax(teacher, axis=1).max(axis=1)[known]
    values = [-log_softmax(student[i])[labels[i]] for i in known]
    return np.average(values, weights=weights)


@pytest.mark.parametrize("labels", [[0, 2, 3], [1, 1, 1], [0, -100, 1]])
def test_confidence_weighs_the_cross_entropy(labels):
    expected = reference(STUDENT.double().numpy(), TEACHER.double().numpy(), labels)
    assert confidence_weighted_ce(STUDENT, TEACHER, torch.tensor(labels)).item() == pytest.approx(expected, rel=1e-5)


def test_confidence_makes_no_difference_where_the_teacher_is_equally_confident_everywhere():
    labels = torch.tensor([0, -100, 3])
    torch.testing.assert_close(confidence_weighted_ce(STUDENT, STUDENT[:1].repeat(3, 1), labels), ce(STUDENT, labels))


def test_confidence_sends_the_numeric_gradient_to_the_student_and_none_to_the_teacher():
    student, teacher = STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    confidence_weighted_ce(student, teacher, LABELS).backward()
    expected = numeric_gradient(lambda logits: reference(logits, TEACHER.double().numpy(), LABELS.tolist()), STUDENT)
    torch.testing.assert_close(student.grad, expected, rtol=1e-4, atol=1e-6)
    assert teacher.grad is None


def test_confidence_is_zero_with_a_zero_gradient_where_nothing_has_a_label():
    student = STUDENT.clone().requires_grad_()
    value = confidence_weighted_ce(student, TEACHER, torch.full((3,), -100))
    value.backward()
    assert value.item() == 0
    assert student.grad.abs().sum() == 0


def test_confidence_takes_sequences_and_one_sample():
    sequences = confidence_weighted_ce(STUDENT[None], TEACHER[None], LABELS[None])
    torch.testing.assert_close(sequences, confidence_weighted_ce(STUDENT, TEACHER, LABELS))
    one = confidence_weighted_ce(STUDENT[:1], TEACHER[:1], LABELS[:1])
    torch.testing.assert_close(one, ce(STUDENT[:1], LABELS[:1]))


def test_confidence_needs_the_whole_batch():
    assert confidence_weighted_ce.compares_samples


def test_confidence_computes_half_precision_in_float32():
    value = confidence_weighted_ce(STUDENT.half(), TEACHER.half(), LABELS)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, confidence_weighted_ce(STUDENT.half().float(), TEACHER.half().float(), LABELS))


def test_confidence_errors_name_the_rule():
    with pytest.raises(ValueError, match=r"confidence_weighted_ce .* one shape, got student \(3, 4\) and .* \(3, 2\)"):
        confidence_weighted_ce(STUDENT, TEACHER[:, :2], LABELS)


def permuted_teacher(seed, temperature=1.0, teacher=TEACHER):
    """The target probabilities of the loss, from its gradient: (student − teacher) · T / batch."""
    student = torch.zeros_like(teacher, requires_grad=True)
    permuted_kd(student, teacher, seed, temperature).backward()
    return 1 / teacher.shape[1] - student.grad * len(teacher) / temperature


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_permutation_keeps_the_teachers_probabilities_and_its_first_class(temperature):
    permuted = permuted_teacher(0, temperature)
    probabilities = (TEACHER / temperature).softmax(1)
    torch.testing.assert_close(permuted.sort(dim=1).values, probabilities.sort(dim=1).values)
    torch.testing.assert_close(permuted.amax(1), permuted.gather(1, probabilities.argmax(1, keepdim=True))[:, 0])
    s = log_softmax(np.zeros(4))
    p = permuted.double().numpy()
    expected = temperature**2 * (p * (np.log(p) - s)).sum(1).mean()
    value = permuted_kd(torch.zeros(3, 4), TEACHER, 0, temperature)
    assert value.item() == pytest.approx(expected, rel=1e-4)


def test_permutation_draws_all_orders_of_the_other_classes_equally_often_and_per_sample():
    samples = 6000
    permuted = permuted_teacher(1, teacher=TEACHER[:1].repeat(samples, 1))
    orders = permuted[:, 1:].argsort(dim=1)
    counts = orders.unique(dim=0, return_counts=True)[1]
    assert len(counts) == 6
    assert (counts - samples / 6).abs().max() < 5 * (samples / 6) ** 0.5


def test_permutation_is_decided_by_the_seed():
    logits = golden_input("student_logits"), golden_input("teacher_logits")
    values = [permuted_kd(*logits, seed) for seed in (3, 3, 4)]
    assert values[0] == values[1] != values[2]


def test_permutation_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    permuted_kd(STUDENT, TEACHER, 0)
    assert torch.equal(before, torch.get_rng_state())


def test_permutation_makes_no_difference_where_the_other_classes_are_equal():
    teacher = torch.tensor([[5.0, 1.0, 1.0, 1.0], [0.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(permuted_kd(STUDENT, teacher, 0, 2.0), response_kd(STUDENT, teacher, 2.0))


def test_permutation_sends_no_gradient_to_the_teacher():
    teacher = TEACHER.clone().requires_grad_()
    permuted_kd(STUDENT.clone().requires_grad_(), teacher, 0).backward()
    assert teacher.grad is None


def test_permutation_takes_sequences_and_one_sample():
    torch.testing.assert_close(permuted_kd(STUDENT[None], TEACHER[None], 5), permuted_kd(STUDENT, TEACHER, 5))
    assert permuted_teacher(0, teacher=TEACHER[:1]).argmax() == TEACHER[:1].argmax()


def test_permutation_needs_the_whole_batch():
    assert permuted_kd.compares_samples


def test_permutation_computes_half_precision_in_float32():
    value = permuted_kd(STUDENT.half(), TEACHER.half(), 0)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, permuted_kd(STUDENT.half().float(), TEACHER.half().float(), 0))


def test_permutation_errors_name_the_rule():
    with pytest.raises(ValueError, match=r"permuted_kd .* one shape, got student \(3, 4\) and teacher \(3, 2\)"):
        permuted_kd(STUDENT, TEACHER[:, :2], 0)
    with pytest.raises(ValueError, match="permuted_kd needs a temperature above 0, got 0"):
        permuted_kd(STUDENT, TEACHER, 0, 0)
