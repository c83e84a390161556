"""The channel shuffle interleaves groups."""

import torch
from torch import nn

from kdlab.models.shufflenet import shuffle


def test_channels_of_all_groups_are_interleaved():
    features = torch.arange(6.0).view(1, 6, 1, 1)
    assert shuffle(features, 2).flatten().tolist() == [0, 3, 1, 4, 2, 5]
    assert shuffle(features, 3).flatten().tolist() == [0, 2, 4, 1, 3, 5]


def test_equals_torchs_own_shuffle():
    features = torch.randn(2, 12, 3, 3)
    assert torch.equal(shuffle(features, 4), nn.ChannelShuffle(4)(features))
