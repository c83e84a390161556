"""Cross-entropy with the labels."""

import torch.nn.functional as F
from torch import Tensor


def ce(student: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of the student's logits with the labels.

    Args:
        student: logits, `(batch, classes)` or `(batch, positions, classes)`.
        labels: class numbers, `(batch,)` or `(batch, positions)`; −100 marks what has no label.
        label_smoothing: in [0, 1): the share of each label that is spread evenly over all classes (arXiv:1512.00567).

    Returns:
        Scalar in nats, averaged over what has a label; 0 where nothing has one. float32 under any autocast.

    Examples:
        >>> from torch import tensor
        >>> from kdlab.losses import ce
        >>> logits = tensor([[0.0, 0.0], [2.0, 0.0]])
        >>> ce(logits, labels=tensor([1, -100]))  # log 2: the second has no label
        tensor(0.6931)
    """
    logits = student.float().flatten(0, -2)
    targets = labels.flatten()
    total = F.cross_entropy(logits, targets, ignore_index=-100, reduction="sum", label_smoothing=label_smoothing)
    return total / (targets != -100).sum().clamp(min=1)
