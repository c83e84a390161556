"""Contrastive representation distillation: an image's two embeddings agree, those of different images do not.

Tian, Krishnan & Isola, "Contrastive Representation Distillation", ICLR 2020 (arXiv:1910.10699).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdlab.errors import BadInput
from kdlab.losses.batchwise import compares_samples

UNLABELLED = -100


@compares_samples
class ContrastiveRepresentation(nn.Module):
    """Noise-contrastive estimation between the student's and the teacher's embeddings of the training images.

    Both sides have a linear embedding, trained with the student, and a bank that remembers the embedding of every
    training image. An image's embedding is compared with the other side's bank: its own entry there is the positive,
    the entries of images not known to be of its class are the negatives.

    Args:
        student_shape: of the student's features; flattened where they are maps.
        teacher_shape: of the teacher's.
        sample_labels: `(training list length,)`, class numbers; −100 where withheld.
        dimension: of the embeddings.
        negatives: for each image, drawn without replacement; at most as many as the largest class leaves.
        temperature: above 0; smaller values weigh the closest negatives more.
        momentum: in [0, 1), how much of its old entry an image keeps in a bank.

    Raises:
        BadInput: an argument is out of its range, or the training list leaves nothing to contrast with.
    """

    labels: Tensor
    student_bank: Tensor
    teacher_bank: Tensor
    log_normalisers: Tensor
    has_normalisers: Tensor

    def __init__(
        self,
        student_shape: torch.Size,
        teacher_shape: torch.Size,
        sample_labels: Tensor | None,
        *,
        dimension: int = 128,
        negatives: int = 16384,
        temperature: float = 0.07,
        momentum: float = 0.5,
    ) -> None:
        super().__init__()
        _check_settings(dimension, negatives, temperature, momentum)
        labels = _checked_labels(sample_labels)
        self.temperature, self.momentum = temperature, momentum
        self.negatives = min(negatives, _fewest_negatives(labels))
        self.embed_student = nn.Linear(student_shape.numel(), dimension)
        self.embed_teacher = nn.Linear(teacher_shape.numel(), dimension)
        self.register_buffer("labels", labels, persistent=False)
        self.register_buffer("student_bank", _random_bank(len(labels), dimension))
        self.register_buffer("teacher_bank", _random_bank(len(labels), dimension))
        self.register_buffer("log_normalisers", torch.zeros(2))  # of the student's and of the teacher's scores
        self.register_buffer("has_normalisers", torch.tensor(False))

    def forward(self, student: Tensor, teacher: Tensor, index: Tensor, seed: int) -> Tensor:
        """The loss of one batch, which the banks then remember.

        Args:
            student: `(batch, *student_shape)`.
            teacher: `(batch, *teacher_shape)`; treated as a constant.
            index: `(batch,)`, the images' positions in the training list, each at most once.
            seed: of the choice of negatives.

        Returns:
            Scalar in nats: summed over the positive, the negatives and both directions, averaged over the batch; the
            weight 0.8 is published for that. float32 under any autocast.
        """
        own = F.normalize(self.embed_student(student.float().flatten(1)))
        other = F.normalize(self.embed_teacher(teacher.detach().float().flatten(1)))
        compared = torch.cat([index[:, None], self.draw_negatives(index, seed)], dim=1)
        scores = torch.stack(
            [self._scores(own, self.teacher_bank, compared), self._scores(other, self.student_bank, compared)]
        )
        self._remember(self.student_bank, own, index)
        self._remember(self.teacher_bank, other, index)
        return self._contrast(scores)

    def draw_negatives(self, index: Tensor, seed: int) -> Tensor:
        """What a batch is compared with: uniform among the images that may be negatives, without replacement.

        Args:
            index: `(batch,)`, the images' positions in the training list.
            seed: the choice depends on it alone.

        Returns:
            `(batch, negatives)`, positions in the training list.
        """
        generator = torch.Generator(index.device).manual_seed(seed)
        keys = torch.rand(len(index), len(self.labels), generator=generator, device=index.device)
        label = self.labels[index, None]
        keys.masked_fill_((label == self.labels) & (label != UNLABELLED), -1)
        keys.scatter_(1, index[:, None], -1)
        return keys.topk(self.negatives, sorted=False).indices

    def _scores(self, embeddings: Tensor, bank: Tensor, compared: Tensor) -> Tensor:
        # One product with the whole bank makes batch × images numbers. To gather entries first would make
        # batch × negatives × dimension: 537 MB instead of 13 MB for 64 images of CIFAR and 16,384 negatives.
        # The copy stays as it was compared with until the backward pass, while the bank goes on.
        return (embeddings @ bank.clone().T).gather(1, compared) / self.temperature

    def _contrast(self, scores: Tensor) -> Tensor:
        """Logistic regression that tells the positive, in the first column, from the negatives.

        Its logit is the log-ratio of exp(score) / Z to the density of `negatives` uniform draws from the list.
        """
        self._estimate_normalisers(scores.detach())
        log_noise = math.log(self.negatives / len(self.labels))
        logits = scores - self.log_normalisers[:, None, None] - log_noise
        positives, negatives = logits[..., 0], logits[..., 1:]
        return -(F.logsigmoid(positives) + F.logsigmoid(-negatives).sum(-1)).sum(0).mean()

    def _estimate_normalisers(self, scores: Tensor) -> None:
        """Sets Z by the first batch: the mean of exp(score), times the length of the training list."""
        estimate = scores.flatten(1).logsumexp(1) - math.log(scores[0].numel() / len(self.labels))
        self.log_normalisers.copy_(torch.where(self.has_normalisers, self.log_normalisers, estimate))
        self.has_normalisers.fill_(True)

    @torch.no_grad()
    def _remember(self, bank: Tensor, embeddings: Tensor, index: Tensor) -> None:
        bank[index] = F.normalize(self.momentum * bank[index] + (1 - self.momentum) * embeddings)


def _random_bank(images: int, dimension: int) -> Tensor:
    """Entries from a cube in which the expected squared length is 1."""
    half_width = math.sqrt(3 / dimension)
    return torch.empty(images, dimension).uniform_(-half_width, half_width)


def _fewest_negatives(labels: Tensor) -> int:
    """What is left of the list for an image of the largest class; one without a label excludes only itself."""
    known = labels[labels != UNLABELLED]
    largest = int(known.bincount().max()) if len(known) else 1
    return len(labels) - largest


def _checked_labels(labels: Tensor | None) -> Tensor:
    if labels is None:
        raise BadInput(
            "ContrastiveRepresentation draws negatives by their position in the training list, and these data do not "
            "say what it holds (sample_labels is None); choose data that do, such as data=cifar100."
        )
    if _fewest_negatives(labels) < 1:
        raise BadInput(
            "ContrastiveRepresentation contrasts images of different classes, got a training list of "
            f"{len(labels)} with one class only; choose data with two classes or more."
        )
    return labels


def _check_settings(dimension: int, negatives: int, temperature: float, momentum: float) -> None:
    if dimension < 1 or negatives < 1:
        raise BadInput(
            "ContrastiveRepresentation needs dimension and negatives of 1 or more, got dimension "
            f"{dimension} and negatives {negatives}; dimension: 128, negatives: 16384"
        )
    if not 0 < temperature < math.inf:
        raise BadInput(f"ContrastiveRepresentation needs a temperature above 0, got {temperature}; temperature: 0.07")
    if not 0 <= momentum < 1:
        raise BadInput(f"ContrastiveRepresentation needs a momentum in [0, 1), got {momentum}; momentum: 0.5")
