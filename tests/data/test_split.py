import pytest
import torch

from kdlab.data.split import portion, stratified_order
from kdlab.errors import BadInput

LABELS = torch.tensor([0] * 300 + [1] * 150 + [2] * 50)[torch.randperm(500, generator=torch.Generator().manual_seed(0))]


@pytest.mark.parametrize("first", [1, 7, 50, 123, 250, 499, 500])
@pytest.mark.parametrize("start", [0, 37])
def test_every_part_holds_each_class_in_proportion(start, first):
    order = stratified_order(LABELS, seed=0)
    part = LABELS[order[start : start + first]]
    for label, members in enumerate((300, 150, 50)):
        assert abs((part == label).sum() - len(part) * members / 500) < 2


def test_parts_are_disjoint_and_complete():
    assert torch.equal(stratified_order(LABELS, seed=0).sort().values, torch.arange(500))


def test_the_seed_chooses_other_samples_of_each_class():
    chosen = [set(stratified_order(LABELS, seed)[:50].tolist()) for seed in (0, 1)]
    assert len(chosen[0] & chosen[1]) < 20  # 5 are expected


def test_no_class_leads_every_part():
    labels = torch.arange(1000) % 10
    leads = {int(labels[stratified_order(labels, seed)[0]]) for seed in range(40)}
    assert len(leads) > 5


@pytest.mark.parametrize(("fraction", "count"), [(0, 0), (0.1, 5), (1, 50)])
def test_a_portion_is_rounded(fraction, count):
    assert portion("data.val_fraction", fraction, 50) == count


@pytest.mark.parametrize(("fraction", "count"), [(0.001, 0), (0.999, 50)])
def test_a_portion_of_nothing_or_all_is_refused(fraction, count):
    text = f"data.val_fraction={fraction} of 50 samples rounds to {count}: set it to at least 0.02 and"
    with pytest.raises(BadInput, match=text):
        portion("data.val_fraction", fraction, 50)
