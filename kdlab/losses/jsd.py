"""Generalised Jensen-Shannon divergence: interpolates between forward KL (mode-covering) and reverse KL (mode-seeking).

Agarwal, Vieillard, Zhou, Stanczyk, Ramos, Geist & Bachem, "On-Policy Distillation of Language Models: Learning from
Self-Generated Mistakes", ICLR 2024 (arXiv:2306.13649).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from kdlab.losses.preconditions import check_logits


def generalised_jsd(
    student: Tensor, teacher: Tensor, labels: Tensor, beta: float = 0.5, temperature: float = 1.0
) -> Tensor:
    """beta · KL(teacher ‖ mixture) + (1 − beta) · KL(student ‖ mixture).

    The mixture is beta · teacher + (1 − beta) · student. At the ends, where the sum is 0 for any student, it is
    KL(teacher ‖ student) for beta 0 and KL(student ‖ teacher) for beta 1: what the sum approaches when divided by beta
    or by 1 − beta.

    Args:
        student: logits, `(tokens, vocabulary)` or `(batch, positions, vocabulary)`.
        teacher: logits of the same shape; treated as a constant.
        labels: `(tokens,)` or `(batch, positions)`; −100 marks what is left out; other values are not used.
        beta: in [0, 1].
        temperature: above 0; there is no factor T².

    Returns:
        Scalar in nats: summed over the vocabulary, averaged over what has a label; 0 where nothing has one.
        float32 under any autocast.

    Raises:
        ValueError: the shapes differ, or beta or the temperature is out of its range.

    Examples:
        >>> from torch import tensor
        >>> from kdlab.losses import generalised_jsd
        >>> teacher = tensor([[2.0, 1.0, 0.0, -1.0], [0.5, -0.5, 3.0, 0.0], [1.0] * 4])
        >>> student = tensor([[0.0, 1.0, 2.0, -1.0], [1.0, 0.0, 0.0, 2.0], [5.0] * 4])
        >>> labels = tensor([0, 2, -100])  # the third token is padding
        >>> generalised_jsd(student, teacher, labels, beta=0.5)
        tensor(0.3013)
    """
    check_logits("generalised_jsd", student, teacher, temperature)
    if not 0 <= beta <= 1:
        raise ValueError(f"generalised_jsd needs a beta in [0, 1], got {beta}")
    log_student = F.log_softmax(student.float() / temperature, dim=-1).flatten(0, -2)
    log_teacher = F.log_softmax(teacher.detach().float() / temperature, dim=-1).flatten(0, -2)
    counted = labels.flatten() != -100
    return (_divergence(log_student, log_teacher, beta) * counted).sum() / counted.sum().clamp(min=1)


def _divergence(log_student: Tensor, log_teacher: Tensor, beta: float) -> Tensor:
    if beta == 0:
        return _kl(log_teacher, log_student)
    if beta == 1:
        return _kl(log_student, log_teacher)
    log_mixture = torch.logaddexp(log_teacher + math.log(beta), log_student + math.log1p(-beta))
    return beta * _kl(log_teacher, log_mixture) + (1 - beta) * _kl(log_student, log_mixture)


def _kl(log_of: Tensor, log_from: Tensor) -> Tensor:
    return F.kl_div(log_from, log_of, reduction="none", log_target=True).sum(dim=-1)
