"""Response distillation: the student matches the teacher's softened class probabilities.

Hinton, Vinyals & Dean, "Distilling the Knowledge in a Neural Network", 2015 (arXiv:1503.02531).
"""

import torch.nn.functional as F
from torch import Tensor

from kdlab.losses.preconditions import check_logits


def response_kd(student: Tensor, teacher: Tensor, temperature: float = 4.0) -> Tensor:
    """T² · KL(teacher ‖ student) between class probabilities at temperature T.

    Args:
        student: logits, `(batch, classes)` or `(batch, positions, classes)`.
        teacher: logits of the same shape; treated as a constant.
        temperature: T > 0; the factor T² keeps the gradient's scale as T changes.

    Returns:
        Scalar in nats: summed over classes, averaged over the batch (and positions). float32 under any autocast.

    Raises:
        ValueError: the shapes differ, or the temperature is not positive.

    Examples:
        >>> from torch import tensor
        >>> from kdlab.losses import response_kd
        >>> student, teacher = tensor([[1.0, 0.0, -1.0]]), tensor([[3.0, 0.0, -1.0]])
        >>> response_kd(student, teacher, temperature=2.0)
        tensor(0.4402)
    """
    check_logits("response_kd", student, teacher, temperature)
    log_student = F.log_softmax(student.float() / temperature, dim=-1).flatten(0, -2)
    log_teacher = F.log_softmax(teacher.detach().float() / temperature, dim=-1).flatten(0, -2)
    return temperature**2 * F.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True)
