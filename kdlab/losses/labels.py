"""Learning from labels."""

import torch.nn.functional as F
from torch import Tensor


def ce(student: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of the student's logits with the labels.

    Args:
        student: logits, `(batch, classes)` or `(batch, positions, classes)`.
        labels: class numbers, `(batch,)` or `(batch, positions)`; −100 marks what has no label.

    Returns:
        Scalar in nats, averaged over what has a label; 0 where nothing has one. float32 under any autocast.
    """
    logits = student.float().flatten(0, -2)
    targets = labels.flatten()
    total = F.cross_entropy(logits, targets, ignore_index=-100, reduction="sum")
    return total / (targets != -100).sum().clamp(min=1)
