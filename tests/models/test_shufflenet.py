"""The channel shuffle deals out groups as cards."""

import torch
from torch import nn

from kdlab.models.shufflenet import shuffle


def test_channels_come_in_turn_from_every_group():
    features = torch.arange(6.0).view(1, 6, 1, 1)
    assert shuffle(features, 2).flatten().tolist() == [0, 3, 1, 4, 2, 5]
    assert shuffle(features, 3).flatten().tolist() == [0, 2, 4, 1, 3, 5]


def test_it_is_torchs_own_shuffle():
    features = torch.randn(2, 12, 3, 3)
    assert torch.equal(shuffle(features, 4), nn.ChannelShuffle(4)(features))
