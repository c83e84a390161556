"""Knowledge distillation as tutorials write it: the loop that kdlab's speed is compared with.

It follows PyTorch's tutorial (docs.pytorch.org/tutorials/beginner/knowledge_distillation_tutorial.html) and
`train_distill` of RepDistiller (github.com/HobbitLong/RepDistiller): torchvision's transforms, one image at a time, in
the processes of a `DataLoader`; the teacher in eval mode without gradients, on each batch; all in float32.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

LOG_EVERY = 100  # steps
TEMPERATURE, ALPHA = 4.0, 0.7  # of conf/loss/response.yaml


class ImageDataset(Dataset[tuple[Tensor, int]]):
    """Images in memory, transformed one by one as torchvision's CIFAR classes do.

    Args:
        images: `(samples, height, width, channels)`, uint8.
        labels: integers from 0 on.
        transform: from a PIL image to a tensor.
    """

    def __init__(self, images: NDArray[Any], labels: Sequence[int], transform: Any) -> None:
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def plain_loader(
    images: Tensor,
    labels: Tensor,
    *,
    batch_size: int,
    mean: Sequence[float],
    std: Sequence[float],
    padding: int,
    num_workers: int,
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Shuffled batches, cropped and mirrored at random.

    Args:
        images: `(samples, channels, height, width)`, uint8.
        labels: `(samples,)`.
        batch_size: of one step.
        mean: per channel of images in [0, 1].
        std: likewise.
        padding: zeros around an image before it is cropped.
        num_workers: of the `DataLoader`.
    """
    transform = transforms.Compose(
        [
            transforms.RandomCrop(images.shape[-1], padding=padding),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(mean, std),
        ]
    )
    dataset: Any = ImageDataset(images.permute(0, 2, 3, 1).contiguous().numpy(), labels.tolist(), transform)
    return DataLoader(dataset, batch_size, shuffle=True, num_workers=num_workers, pin_memory=torch.cuda.is_available())


def plain_loop(
    student: nn.Module,
    teacher: nn.Module | None,
    loader: DataLoader[tuple[Tensor, Tensor]],
    optimizer: Optimizer,
    device: torch.device,
) -> Iterator[None]:
    """Trains for ever, and yields after each step.

    Args:
        student: takes the loader's images.
        teacher: likewise; None trains from the labels only.
        loader: of `(images, labels)`.
        optimizer: of the student's parameters.
        device: to train on.
    """
    student.to(device).train()
    if teacher is not None:
        teacher.to(device).eval()
    for step, (images, labels) in enumerate(_batches(loader)):
        loss = plain_step(student, teacher, images.to(device), labels.to(device), optimizer)
        if step % LOG_EVERY == 0:
            print(f"step {step}: loss {loss.item():.4f}")
        yield


def plain_step(
    student: nn.Module, teacher: nn.Module | None, images: Tensor, labels: Tensor, optimizer: Optimizer
) -> Tensor:
    """One step on one batch; returns its loss."""
    optimizer.zero_grad()
    logits = student(images)
    loss: Tensor = nn.CrossEntropyLoss()(logits, labels)
    if teacher is not None:
        with torch.no_grad():
            targets = F.softmax(teacher(images) / TEMPERATURE, dim=1)
        divergence = nn.KLDivLoss(reduction="batchmean")(F.log_softmax(logits / TEMPERATURE, dim=1), targets)
        loss = ALPHA * TEMPERATURE**2 * divergence + (1 - ALPHA) * loss
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.detach()


def _batches(loader: DataLoader[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        yield from loader
