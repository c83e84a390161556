"""Fixed batches: the outputs for a sample depend on that sample alone."""

import pytest
import torch
from torch import nn

from kdlab.models.cifar import resnet20
from kdlab.models.network import Network
from kdlab.models.taps import Outputs
from kdlab.teachers.cache.fixed_batch import FixedBatch, fill_size


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Network(resnet20(10), mean=[0.5] * 3, std=[0.2] * 3, channels_last=True).eval()


@pytest.fixture
def forward(network):
    """Logits, and the mean over pixels and channels as a feature of one number."""
    with torch.no_grad():
        yield lambda images: Outputs(network(images), {"mean": images.float().mean((1, 2, 3))[:, None]})


IMAGES = torch.randint(0, 256, (50, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_the_size_of_its_batch_is_the_next_multiple_of_16():
    assert [fill_size(samples) for samples in (1, 16, 17, 64)] == [16, 16, 32, 64]


@pytest.mark.parametrize("count", [1, 15, 16, 17, 50])
def test_outputs_are_those_of_the_network_in_order(forward, count):
    outputs, expected = FixedBatch(forward, 16)(IMAGES[:count]), forward(IMAGES[:count])
    assert outputs.logits.shape == (count, 10)
    torch.testing.assert_close(outputs.logits, expected.logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(outputs.features["mean"], expected.features["mean"])


def test_no_bit_depends_on_neighbours_or_position(forward):
    fixed = FixedBatch(forward, 16)
    together = fixed(IMAGES).logits
    for chosen in (torch.tensor([7]), torch.tensor([3, 49, 20]), torch.randperm(50)):
        assert torch.equal(fixed(IMAGES[chosen]).logits, together[chosen])
    assert not fixed.depends_on_position(IMAGES[:16])


def test_the_network_gets_batches_of_one_size():
    shapes = []

    def forward(images):
        shapes.append(tuple(images.shape))
        return Outputs(images.float().flatten(1))

    FixedBatch(forward, 32)(IMAGES)
    assert shapes == [(32, 3, 32, 32), (32, 3, 32, 32)]


def test_detects_a_network_that_depends_on_the_position():
    class PositionDependent(nn.Module):
        def forward(self, images):
            return Outputs(images.float().flatten(1) + torch.arange(len(images))[:, None] * 1e-4)

    assert FixedBatch(PositionDependent(), 16).depends_on_position(IMAGES[:16])


def test_inputs_by_keyword_are_padded_too():
    inputs = {"ids": torch.arange(20).view(10, 2), "mask": torch.ones(10)}
    fixed = FixedBatch(lambda given: Outputs(given["ids"] * given["mask"][:, None]), 16)
    assert torch.equal(fixed(inputs).logits, inputs["ids"].float())
