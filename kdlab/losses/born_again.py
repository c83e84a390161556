"""What of the teacher's output helps: two losses that keep one part of it each.

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
    """Cross-entropy with the labels, where a sample counts for as much as the teacher is sure of it (CWTM).

    Of the teacher only its largest probability is used, as a share of the batch's.

    Args:
        student: logits, `(batch, classes)` or `(batch, positions, classes)`.
        teacher: logits of the same shape; treated as a constant.
        labels: class numbers, `(batch,)` or `(batch, positions)`; −100 marks what has no label and is left out.

    Returns:
        Scalar in nats, a weighted mean over what has a label: `ce` where the teacher is equally sure of everything;
        0 where nothing has a label. float32 under any autocast.

    Raises:
        ValueError: the shapes differ.
    """
    check_logits("confidence_weighted_ce", student, teacher)
    targets = labels.flatten()
    confidence = teacher.detach().float().flatten(0, -2).softmax(dim=1).amax(dim=1) * (targets != -100)
    values = F.cross_entropy(student.float().flatten(0, -2), targets, ignore_index=-100, reduction="none")
    return (confidence * values).sum() / confidence.sum().clamp(min=1e-12)


@compares_samples  # for the draw alone: it is of the whole batch, so that ranks make the same one together
def permuted_kd(student: Tensor, teacher: Tensor, seed: int, temperature: float = 1.0) -> Tensor:
    """T² · KL(teacher ‖ student), where the teacher's wrong classes have swapped their probabilities at random (DKPP).

    The class that the teacher prefers keeps its probability; what it thinks of which other class is lost, how unsure
    it is stays.

    Args:
        student: logits, `(batch, classes)` or `(batch, positions, classes)`.
        teacher: logits of the same shape; treated as a constant.
        seed: of the permutations; each sample (and position) has its own.
        temperature: T > 0.

    Returns:
        Scalar in nats: summed over classes, averaged over the batch (and positions). float32 under any autocast.

    Raises:
        ValueError: the shapes differ, or the temperature is not positive.
    """
    check_logits("permuted_kd", student, teacher, temperature)
    return response_kd(student, _permute(teacher, seed), temperature)


def _permute(logits: Tensor, seed: int) -> Tensor:
    draws = torch.rand(logits.shape, generator=torch.Generator().manual_seed(seed)).to(logits.device)
    draws[..., 0] = -1  # the first rank stays first
    ranking = logits.argsort(dim=-1, descending=True)
    return logits.scatter(-1, ranking, logits.gather(-1, ranking.gather(-1, draws.argsort(dim=-1))))
