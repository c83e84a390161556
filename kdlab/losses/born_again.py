"""Born-again treatments: two losses that each keep one part of the teacher's output.

Furlanello, Lipton, Tschannen, Itti & Anandkumar, "Born-Again Neural Networks", ICML 2018 (arXiv:1805.04770).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from kdlab.losses.batchwise import compares_samples
from kdlab.losses.preconditions import check_logits
from kdlab.losses.response import response_kd


@compares_samples
def confidence_weighted_ce(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy with the labels, each sample weighted by the teacher's confidence (CWTM).

    The weight is the teacher's largest probability, divided by the sum over the batch.

    Args:
        student: logits, `(batch, classes)` or `(batch, positions, classes)`.
        teacher: logits of the same shape; treated as a constant.
        labels: class numbers, `(batch,)` or `(batch, positions)`; −100 marks what has no label and is left out.

    Returns:
        Scalar in nats, a weighted mean over what has a label: `ce` where the teacher is equally confident everywhere;
        0 where nothing has a label. float32 under any autocast.

    Raises:
        ValueError: the shapes differ.

    Examples:
        >>> from torch import tensor
        >>> from kdlab.losses import confidence_weighted_ce
        >>> logits, labels = tensor([[0.0, 0.0], [2.0, 0.0]]), tensor([1, 0])
        >>> teacher = tensor([[0.0, 0.0], [20.0, 0.0]])  # confidence ½ and 1
        >>> confidence_weighted_ce(logits, teacher, labels)  # ⅓ · 0.6931 + ⅔ · 0.1269
        tensor(0.3157)
    """
    check_logits("confidence_weighted_ce", student, teacher)
    targets = labels.flatten()
    confidence = teacher.detach().float().flatten(0, -2).softmax(dim=1).amax(dim=1) * (targets != -100)
    values = F.cross_entropy(student.float().flatten(0, -2), targets, ignore_index=-100, reduction="none")
    return (confidence * values).sum() / confidence.sum().clamp(min=1e-12)


@compares_samples  # because of the random permutation: drawn for the whole batch, so that all ranks use the same one
def permuted_kd(student: Tensor, teacher: Tensor, seed: int, temperature: float = 1.0) -> Tensor:
    """T² · KL(teacher ‖ student), with the teacher's non-maximum probabilities permuted at random (DKPP).

    The class with the largest probability keeps it. Which other class has which probability is lost; the entropy stays.

    Args:
        student: logits, `(batch, classes)` or `(batch, positions, classes)`.
        teacher: logits of the same shape; treated as a constant.
        seed: of the permutations; each sample (and position) has its own.
        temperature: T > 0.

    Returns:
        Scalar in nats: summed over classes, averaged over the batch (and positions). float32 under any autocast.

    Raises:
        ValueError: the shapes differ, or the temperature is not positive.

    Examples:
        >>> import torch
        >>> from kdlab.losses import permuted_kd
        >>> teacher = torch.tensor([[3.0, 0.0, -1.0]])
        >>> student = torch.zeros(1, 3)  # uniform: log 3 − entropy
        >>> permuted_kd(student, teacher, seed=0)
        tensor(0.8243)
    """
    check_logits("permuted_kd", student, teacher, temperature)
    return response_kd(student, _permute(teacher, seed), temperature)


def _permute(logits: Tensor, seed: int) -> Tensor:
    draws = torch.rand(logits.shape, generator=torch.Generator().manual_seed(seed)).to(logits.device)
    draws[..., 0] = -1  # the largest logit stays first
    ranking = logits.argsort(dim=-1, descending=True)
    return logits.scatter(-1, ranking, logits.gather(-1, ranking.gather(-1, draws.argsort(dim=-1))))
