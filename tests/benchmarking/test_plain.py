"""The plain loop against the definition of distillation, written a second time."""

import copy

import pytest
import torch
from torch import nn

from kdlab.benchmarking.noise import noise
from kdlab.benchmarking.plain import plain_loader, plain_loop, plain_step
from kdlab.data.image.views import CropFlip

RATE, TEMPERATURE, ALPHA = 0.1, 4.0, 0.7
IMAGES, LABELS = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0, 1, 2])


def loss_by_definition(student, teacher):
    """Cross-entropy, and T² times the divergence of softened probabilities, sample by sample."""
    total = torch.zeros(())
    for image, label in zip(IMAGES, LABELS, strict=True):
        logits = student(image)
        total = total - (1 - ALPHA if teacher else 1) * torch.log(torch.exp(logits) / torch.exp(logits).sum())[label]
        if teacher:
            soft, target = ((one(image) / TEMPERATURE).exp() for one in (student, teacher))
            soft, target = soft / soft.sum(), (target / target.sum()).detach()
            total = total + ALPHA * TEMPERATURE**2 * (target * (target.log() - soft.log())).sum()
    return total / len(IMAGES)


@pytest.mark.parametrize("distilled", [True, False])
def test_a_step_matches_the_definition(distilled):
    torch.manual_seed(0)
    student, teacher = nn.Linear(5, 3), nn.Linear(5, 3) if distilled else None
    expected = copy.deepcopy(student)
    loss = loss_by_definition(expected, teacher)
    gradients = torch.autograd.grad(loss, list(expected.parameters()))
    actual = plain_step(student, teacher, IMAGES, LABELS, torch.optim.SGD(student.parameters(), RATE))
    torch.testing.assert_close(actual, loss.detach())
    for moved, before, gradient in zip(student.parameters(), expected.parameters(), gradients, strict=True):
        torch.testing.assert_close(moved, before - RATE * gradient)


def test_the_teacher_is_in_eval_mode_and_does_not_change():
    teacher = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(48), nn.Linear(48, 3)).train()
    before = copy.deepcopy(teacher.state_dict())
    student = nn.Sequential(nn.Flatten(), nn.Linear(48, 3)).eval()
    loader = [(torch.randn(4, 3, 4, 4), torch.tensor([0, 1, 2, 0]))]
    steps = plain_loop(student, teacher, loader, torch.optim.SGD(student.parameters(), RATE), torch.device("cpu"))
    next(steps), next(steps)  # the second is of the next epoch
    assert student.training and not teacher.training
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())


def test_its_batches_are_crops_and_mirror_images_normalised():
    images, labels = noise(6, 3, 8)
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.3, 0.4])
    loader = plain_loader(images, labels, batch_size=4, mean=mean.tolist(), std=std.tolist(), padding=1, num_workers=0)
    views = CropFlip(padding=1, flip=True)
    batches = list(loader)
    assert [len(shown) for shown, _ in batches] == [4, 2]
    for shown, label in zip(*(torch.cat(parts) for parts in zip(*batches, strict=True)), strict=True):
        raw = (255 * (shown * std[:, None, None] + mean[:, None, None])).round().to(torch.uint8)
        of_its_class = [image for image, own in zip(images, labels, strict=True) if own == label]
        every = (
            views.apply(image.expand(views.count, -1, -1, -1), torch.arange(views.count)) for image in of_its_class
        )
        assert any((raw == view).all() for crops in every for view in crops)
