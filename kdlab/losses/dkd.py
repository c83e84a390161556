"""Decoupled distillation: the teacher's probability of the label, and its distribution over the other classes.

Zhao, Cui, Song, Qiu & Liang, "Decoupled Knowledge Distillation", CVPR 2022 (arXiv:2203.08679).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from kdlab.losses.preconditions import check_logits


def dkd(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    *,
    target_weight: float = 1.0,
    nontarget_weight: float = 8.0,
    temperature: float = 4.0,
) -> Tensor:
    """T² · (target_weight · KL of label against rest + nontarget_weight · KL among the other classes).

    Ordinary soft targets are the case where the second weight is the teacher's total probability of the other
    classes: nearly 0 for a confident teacher.

    Args:
        student: logits, `(batch, classes)` or `(batch, positions, classes)`; at least two classes.
        teacher: logits of the same shape; treated as a constant.
        labels: class numbers, `(batch,)` or `(batch, positions)`; −100 marks what has no label and is left out.
        target_weight: alpha of the paper.
        nontarget_weight: beta of the paper, 1 to 10; larger for a more confident teacher.
        temperature: T > 0.

    Returns:
        Scalar in nats: summed over classes, averaged over what has a label; 0 where nothing has one.
        float32 under any autocast.

    Raises:
        ValueError: the shapes differ, or the temperature is not positive.

    Examples:
        >>> from torch import tensor
        >>> from kdlab.losses import dkd
        >>> student, teacher = tensor([[1.0, 0.0, -1.0]]), tensor([[3.0, 1.0, -1.0]])
        >>> dkd(student, teacher, labels=tensor([0]))
        tensor(1.2038)
    """
    check_logits("dkd", student, teacher, temperature)
    labelled, classes = labels.flatten() != -100, labels.flatten().clamp(min=0)
    student_target, student_others = _decouple(student.float().flatten(0, -2) / temperature, classes)
    teacher_target, teacher_others = _decouple(teacher.detach().float().flatten(0, -2) / temperature, classes)
    target, nontarget = _kl(student_target, teacher_target), _kl(student_others, teacher_others)
    values = target_weight * target + nontarget_weight * nontarget
    return temperature**2 * (values * labelled).sum() / labelled.sum().clamp(min=1)


def _decouple(logits: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Logits of the two events "the class" and "another", `(batch, 2)`, and of the others, `(batch, classes − 1)`."""
    number = torch.arange(logits.shape[1] - 1, device=logits.device)
    others = logits.gather(1, number + (number >= classes[:, None]))
    target = logits.gather(1, classes[:, None])
    return torch.cat([target, others.logsumexp(1, keepdim=True)], dim=1), others


def _kl(student: Tensor, teacher: Tensor) -> Tensor:
    log_student, log_teacher = F.log_softmax(student, dim=1), F.log_softmax(teacher, dim=1)
    return F.kl_div(log_student, log_teacher, reduction="none", log_target=True).sum(dim=1)
