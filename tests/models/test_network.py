"""A network's own preprocessing equals torchvision's transforms exactly."""

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import transforms

from kdlab.errors import BadInput
from kdlab.models import cifar
from kdlab.models.network import Network

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


def every_pixel_value():
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    return np.stack([values, values.T, values[::-1]], axis=-1)


def test_uint8_images_equal_totensor_and_normalize_bit_for_bit():
    image = every_pixel_value()
    expected = transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, STD)])(image)
    batch = torch.tensor(image).permute(2, 0, 1)[None]
    assert torch.equal(Network(nn.Identity(), mean=MEAN, std=STD)(batch)[0], expected)


def test_float_images_are_taken_as_already_between_zero_and_one():
    image = transforms.ToTensor()(every_pixel_value())
    expected = transforms.Normalize(MEAN, STD)(image)
    assert torch.equal(Network(nn.Identity(), mean=MEAN, std=STD)(image[None])[0], expected)


def test_without_mean_and_std_pixels_are_only_scaled():
    batch = torch.tensor(every_pixel_value()).permute(2, 0, 1)[None]
    assert torch.equal(Network(nn.Identity(), mean=None, std=None)(batch), batch.float() / 255)


def test_other_sizes_are_resized_as_torchvision_does():
    images = torch.rand(2, 3, 32, 32)
    network = Network(nn.Identity(), mean=None, std=None, image_size=13)
    assert torch.equal(network(images), transforms.Resize((13, 13), antialias=True)(images))


def test_images_of_the_right_size_pass_untouched():
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(Network(nn.Identity(), mean=None, std=None, image_size=32)(images), images)


def test_channels_last_changes_the_layout_and_no_value():
    images = torch.rand(2, 3, 8, 8)
    output = Network(nn.Identity(), mean=None, std=None, channels_last=True)(images)
    assert output.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(output, images)


class Keywords(nn.Module):
    def forward(self, input_ids, attention_mask):
        return {"logits": input_ids * attention_mask}


def test_a_dict_is_passed_by_keyword_untouched():
    ids, mask = torch.tensor([[3, 4]]), torch.tensor([[1, 0]])
    network = Network(Keywords(), mean=None, std=None)
    assert torch.equal(network({"input_ids": ids, "attention_mask": mask}), ids * mask)


class Output:
    def __init__(self, logits):
        self.logits = logits


class Returns(nn.Module):
    def __init__(self, make):
        super().__init__()
        self.make = make

    def forward(self, images):
        return self.make(images)


@pytest.mark.parametrize("make", [Output, lambda images: {"logits": images}, lambda images: images])
def test_logits_are_found_in_what_the_network_returns(make):
    images = torch.rand(1, 3, 4, 4)
    assert torch.equal(Network(Returns(make), mean=None, std=None)(images), images)


@pytest.mark.parametrize("make", [lambda images: (images,), lambda images: {"hidden": images}])
def test_an_output_without_logits_is_explained(make):
    with pytest.raises(BadInput, match=r"must return a tensor of logits.* got \w+; choose a classifier"):
        Network(Returns(make), mean=None, std=None)(torch.rand(1, 3, 4, 4))


def test_the_state_dict_holds_the_bare_network_only():
    network = Network(cifar.resnet8(10), mean=MEAN, std=STD)
    assert set(network.state_dict()) == {f"module.{name}" for name in cifar.resnet8(10).state_dict()}


@pytest.mark.parametrize(("mean", "std"), [(MEAN, None), (None, STD), (MEAN, (0.5,))])
def test_mean_and_std_come_together(mean, std):
    with pytest.raises(BadInput, match="mean and std: give both, one number a channel, or neither; got"):
        Network(nn.Identity(), mean=mean, std=std)
