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
CANDIDATES, MORE_CANDIDATES = 4, 64  # candidates for each number drawn, and additional ones; see `draw_distinct`


@compares_samples
class ContrastiveRepresentation(nn.Module):
    """Noise-contrastive estimation between the student's and the teacher's embeddings of the training images.

    Both sides have a linear embedding, trained with the student, and a memory bank with the embedding of every
    training image. An image's embedding is compared with the other side's bank: its own entry there is the positive,
    the entries of images not known to be of its class are the negatives.

    Args:
        student_shape: of the student's features; flattened where they are maps.
        teacher_shape: of the teacher's.
        sample_labels: `(training list length,)`, class numbers; −100 where withheld.
        dimension: of the embeddings.
        negatives: for each image, drawn without replacement; at most the number of images outside the largest class.
        temperature: above 0; smaller values give the closest negatives more weight.
        momentum: in [0, 1), the weight of an image's old entry when its bank is updated.

    Raises:
        BadInput: an argument is out of its range, or the training list has no two classes to contrast.

    Examples:
        >>> import torch
        >>> from kdlab.losses import ContrastiveRepresentation
        >>> labels = torch.tensor([0, 0, 1, 1, 2, 2])  # of the whole training list
        >>> shapes = torch.Size([8]), torch.Size([16])
        >>> loss = ContrastiveRepresentation(*shapes, labels, dimension=4, negatives=3)
        >>> index = torch.tensor([0, 5])
        >>> loss(torch.randn(2, 8), torch.randn(2, 16), index, seed=0).shape
        torch.Size([])
    """

    by_class: Tensor
    class_start: Tensor
    class_size: Tensor
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
        by_class, class_start, class_size = _grouped(sample_labels)
        images = len(by_class)
        self.temperature, self.momentum = temperature, momentum
        self.negatives = min(negatives, images - int(class_size.max()))
        self.embed_student = nn.Linear(student_shape.numel(), dimension)
        self.embed_teacher = nn.Linear(teacher_shape.numel(), dimension)
        self.register_buffer("by_class", by_class, persistent=False)
        self.register_buffer("class_start", class_start, persistent=False)
        self.register_buffer("class_size", class_size, persistent=False)
        self.register_buffer("student_bank", _random_bank(images, dimension))
        self.register_buffer("teacher_bank", _random_bank(images, dimension))
        self.register_buffer("log_normalisers", torch.zeros(2))  # of the student's and of the teacher's scores
        self.register_buffer("has_normalisers", torch.tensor(False))

    def forward(self, student: Tensor, teacher: Tensor, index: Tensor, seed: int) -> Tensor:
        """The loss of one batch; afterwards the banks are updated with its embeddings.

        Args:
            student: `(batch, *student_shape)`.
            teacher: `(batch, *teacher_shape)`; treated as a constant.
            index: `(batch,)`, the images' positions in the training list, each at most once.
            seed: for drawing the negatives.

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
        self._update(self.student_bank, own, index)
        self._update(self.teacher_bank, other, index)
        return self._contrast(scores)

    def draw_negatives(self, index: Tensor, seed: int) -> Tensor:
        """Negatives for a batch: uniform among the allowed images, without replacement.

        Args:
            index: `(batch,)`, the images' positions in the training list.
            seed: the choice depends on it alone.

        Returns:
            `(batch, negatives)`, positions in the training list.
        """
        generator = torch.Generator(index.device).manual_seed(seed)
        images, start, size = len(self.by_class), self.class_start[index, None], self.class_size[index, None]
        ranks = draw_distinct(images - size, self.negatives, images, generator)
        return self.by_class[torch.where(ranks < start, ranks, ranks + size)]

    def _scores(self, embeddings: Tensor, bank: Tensor, compared: Tensor) -> Tensor:
        # Chooses what takes less memory: gathering the compared entries (537 MB for 64 images and 16,384 negatives),
        # or one product with a copy of the whole bank (38 MB on CIFAR, 983 MB on ImageNet).
        # Both copy the entries, which the backward pass needs after the bank is updated.
        dimension = embeddings.shape[1]
        if compared.numel() * dimension < len(bank) * (len(embeddings) + dimension):
            products = (bank[compared] @ embeddings[:, :, None]).squeeze(2)
        else:
            products = (embeddings @ bank.clone().T).gather(1, compared)
        return products / self.temperature

    def _contrast(self, scores: Tensor) -> Tensor:
        """Logistic loss of the positive, in the first column, against the negatives.

        Its logit is the log-ratio of exp(score) / Z to the density of `negatives` uniform draws from the list.
        """
        self._estimate_normalisers(scores.detach())
        log_noise = math.log(self.negatives / len(self.by_class))
        logits = scores - self.log_normalisers[:, None, None] - log_noise
        positives, negatives = logits[..., 0], logits[..., 1:]
        return -(F.logsigmoid(positives) + F.logsigmoid(-negatives).sum(-1)).sum(0).mean()

    def _estimate_normalisers(self, scores: Tensor) -> None:
        """Sets Z from the first batch: the mean of exp(score), times the length of the training list."""
        estimate = scores.flatten(1).logsumexp(1) - math.log(scores[0].numel() / len(self.by_class))
        self.log_normalisers.copy_(torch.where(self.has_normalisers, self.log_normalisers, estimate))
        self.has_normalisers.fill_(True)

    @torch.no_grad()
    def _update(self, bank: Tensor, embeddings: Tensor, index: Tensor) -> None:
        bank[index] = F.normalize(self.momentum * bank[index] + (1 - self.momentum) * embeddings)


def _random_bank(images: int, dimension: int) -> Tensor:
    """Uniform entries from a cube in which the expected squared length is 1."""
    half_width = math.sqrt(3 / dimension)
    return torch.empty(images, dimension).uniform_(-half_width, half_width)


def draw_distinct(limits: Tensor, count: int, largest: int, generator: torch.Generator) -> Tensor:
    """Distinct random integers below a limit, uniform for each row, in memory of a few times `count`.

    Where a limit is small, its candidates are all numbers below it. Where it is large, they are drawn with repetitions
    and each is kept once. By symmetry every set of candidates of one size is then equally probable. With C = 4 n + 64
    candidates below a limit above C, fewer than n are different with a probability of at most
    eⁿ · 4^−(3 n + 64) < 10⁻³⁸.

    Args:
        limits: `(rows, 1)`, int64, each at least `count`.
        count: of the numbers drawn for each row.
        largest: upper bound of the limits.
        generator: on the device of `limits`.

    Returns:
        `(rows, count)`, int64.
    """
    width = min(CANDIDATES * count + MORE_CANDIDATES, largest)
    shape, device = (len(limits), width), limits.device
    candidates = torch.arange(width, device=device).expand(shape)
    excluded = candidates >= limits
    if width < largest:
        drawn = (torch.randint(2**62, shape, generator=generator, device=device) % limits).sort().values
        repeated = drawn.diff(prepend=drawn.new_full((len(drawn), 1), -1)) == 0
        candidates = torch.where(limits <= width, candidates, drawn)
        excluded = torch.where(limits <= width, excluded, repeated)
    keys = torch.rand(shape, generator=generator, device=device).masked_fill_(excluded, -1)
    return candidates.gather(1, keys.topk(count, sorted=False).indices)


def _grouped(labels: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """The images' positions sorted by class; for each image the start of its class there, and its size.

    An image without a label is a class of its own.
    """
    if labels is None:
        raise BadInput(
            "ContrastiveRepresentation draws negatives by their position in the training list, and these data do not "
            "provide its labels (sample_labels is None); choose data that do, such as data=cifar100."
        )
    by_class = labels.argsort(stable=True)
    position = torch.empty_like(by_class).scatter_(0, by_class, torch.arange(len(labels), device=labels.device))
    _, number, sizes = torch.unique(labels, return_inverse=True, return_counts=True)
    is_single = labels == UNLABELLED
    start = torch.where(is_single, position, (sizes.cumsum(0) - sizes)[number])
    size = torch.where(is_single, 1, sizes[number])
    if not (size < len(labels)).any():
        raise BadInput(
            "ContrastiveRepresentation contrasts images of different classes, got a training list of "
            f"{len(labels)} with one class only; choose data with two classes or more."
        )
    return by_class, start, size


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
