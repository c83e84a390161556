"""Which sample is in which batch, on which rank, in which view."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from kdlab.data.stream import TrainingStream, draw_views, evaluation_batches, sample_order

POSITIONS = torch.arange(100, 145)


def stream(**settings):
    """Its views differ for every epoch and sample."""
    arguments = {"batch_size": 8, "views": lambda epoch, samples: 1000 * epoch + samples} | settings
    return TrainingStream(POSITIONS, **arguments)


def as_lists(batches):
    return [(batch.samples.tolist(), batch.view.tolist()) for batch in batches]


def test_an_epoch_is_its_order_cut_into_batches():
    order = POSITIONS[sample_order(3, 2, 45)].tolist()
    batches = as_lists(stream(seed=3).batches(2))
    assert batches == [
        (order[start : start + 8], [2000 + sample for sample in order[start : start + 8]]) for start in range(0, 45, 8)
    ]
    assert len(stream()) == 6 and len(stream(drop_last=True)) == 5
    assert as_lists(stream(seed=3, drop_last=True).batches(2)) == batches[:5]


def test_without_a_seed_every_epoch_has_the_order_of_the_positions():
    for epoch in (0, 1):
        assert torch.equal(stream(seed=None).epoch(epoch).samples, POSITIONS)


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_have_disjoint_shares_that_make_up_the_batch(ranks):
    shares = [stream().batches(1, rank, ranks) for rank in range(ranks)]
    for whole, *parts in zip(stream().batches(1), *shares, strict=True):
        for rank, part in enumerate(parts):
            assert torch.equal(part.samples, whole.samples[rank::ranks])
            assert torch.equal(part.view, whole.view[rank::ranks])


def test_views_may_depend_on_the_batch_since_they_are_drawn_for_all_ranks_in_order():
    def first_of_batch(epoch, samples):
        return torch.cat([part[:1].expand(len(part)) for part in torch.split(samples, 8)])

    for rank in range(2):
        shares, whole = stream(views=first_of_batch).batches(0, rank, 2), stream().batches(0)
        assert [set(share.view.tolist()) for share in shares] == [{int(batch.samples[0])} for batch in whole]


@pytest.mark.parametrize(("settings", "left"), [({}, 5), ({"drop_last": True}, 0), ({"batch_size": 9}, 0)])
def test_left_over_is_the_size_of_a_last_batch_that_is_not_full(settings, left):
    assert stream(**settings).left_over == left


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_ranks_evaluate_each_sample_once_in_order_and_in_equally_many_batches(ranks, batch_size):
    shares = [evaluation_batches(POSITIONS, batch_size, rank, ranks) for rank in range(ranks)]
    assert len({len(share) for share in shares}) == 1
    assert max(len(batch) for share in shares for batch in share) <= batch_size
    evaluated = [torch.cat(share) for share in shares]
    assert torch.equal(torch.cat(evaluated).sort().values, POSITIONS)
    assert all(torch.equal(one, one.sort().values) for one in evaluated)


def test_views_are_uniform():
    drawn = draw_views(162, view_seed=0, epoch=0, samples=162_000)
    counts = np.bincount(drawn.numpy(), minlength=162)
    assert len(counts) == 162 and chisquare(counts).pvalue > 0.001


def test_views_of_epochs_and_seeds_are_independent():
    drawn = [draw_views(162, seed, epoch, 10_000) for seed, epoch in [(0, 0), (0, 1), (1, 0), (1, 1)]]
    agreement = [(a == b).float().mean() for i, a in enumerate(drawn) for b in drawn[:i]]
    assert max(agreement) < 0.01  # 1/162 is expected
    assert torch.equal(drawn[3], draw_views(162, 1, 1, 10_000))


def test_the_order_is_a_permutation_that_changes_with_epoch_and_seed():
    orders = [sample_order(seed, epoch, 1000) for seed, epoch in [(0, 0), (0, 1), (1, 0)]]
    for order in orders:
        assert torch.equal(order.sort().values, torch.arange(1000))
    agreement = [(a == b).float().mean() for i, a in enumerate(orders) for b in orders[:i]]
    assert max(agreement) < 0.02  # 1/1000 is expected
    assert torch.equal(orders[1], sample_order(0, 1, 1000))
