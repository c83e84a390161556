import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from kdlab.losses import logit_mse

STUDENT = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]])
TEACHER = torch.tensor([[2.0, 0.0, -1.0], [-0.5, 2.0, 4.0]])


def test_matches_the_definition():
    assert logit_mse(STUDENT, TEACHER).item() == pytest.approx(np.mean((STUDENT.numpy() - TEACHER.numpy()) ** 2))


def test_of_centred_logits_it_is_twice_the_limit_of_response_distillation():
    student, teacher = (logits.double() - logits.double().mean(1, keepdim=True) for logits in (STUDENT, TEACHER))
    log_s, log_t = (log_softmax(logits.numpy() / 1e4, axis=1) for logits in (student, teacher))
    limit = 1e8 * (np.exp(log_t) * (log_t - log_s)).sum(axis=1).mean()
    assert logit_mse(student, teacher).item() == pytest.approx(2 * limit, rel=1e-3)


def test_sends_the_known_gradient_to_the_student_and_none_to_the_teacher():
    student, teacher = STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    logit_mse(student, teacher).backward()
    torch.testing.assert_close(student.grad, 2 * (STUDENT - TEACHER) / STUDENT.numel())
    assert teacher.grad is None


def test_computes_half_precision_in_float32_and_takes_one_sample_and_positions():
    value = logit_mse(STUDENT.half(), TEACHER.half())
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, logit_mse(STUDENT.half().float(), TEACHER.half().float()))
    torch.testing.assert_close(logit_mse(STUDENT[None], TEACHER[None]), logit_mse(STUDENT, TEACHER))
    assert logit_mse(STUDENT[:1], STUDENT[:1]).item() == 0


def test_an_error_names_the_rule():
    with pytest.raises(ValueError, match=r"one shape, got student \(2, 3\) and teacher \(2, 2\)"):
        logit_mse(STUDENT, TEACHER[:, :2])
