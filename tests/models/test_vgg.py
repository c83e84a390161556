"""VGG for CIFAR: the number of layers in its name, and valid widths."""

import pytest
from torch import nn

from kdlab.errors import BadInput
from kdlab.models import cifar


@pytest.mark.parametrize(("name", "layers"), [("vgg8", 5 + 1), ("vgg13", 10 + 1)])
def test_one_linear_layer_replaces_the_three_of_the_paper(name, layers):
    parts = [part for part in getattr(cifar, name)(10).modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    assert len(parts) == layers == int(name.removeprefix("vgg")) - 2


@pytest.mark.parametrize("widths", [[[8], [8]], [[8], [], [8], [8], [8]]])
def test_other_than_five_blocks_are_explained(widths):
    with pytest.raises(BadInput, match=r"kwargs\.widths: five lists of channels are needed, one for each block, got"):
        cifar.vgg8(10, widths=widths)
