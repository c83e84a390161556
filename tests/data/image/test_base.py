import pytest
import torch

from kdlab.data.batch import UNLABELLED
from kdlab.data.image.base import ImageData
from kdlab.data.stream import draw_views
from kdlab.errors import BadInput
from tests.data.tiny import Tiny, assert_equal, read_tiny, ready, trainer_on


def on_rank(data, rank, ranks):
    data.trainer = trainer_on(global_rank=rank, world_size=ranks)
    return data


def epoch_of(data, epoch=0):
    return list(data.train_dataloader().draw(epoch, 0))


def test_parts_are_disjoint_and_complete():
    data = ready(val_fraction=0.2)
    train = torch.cat([batch.index for batch in epoch_of(data)])
    val = torch.cat([batch.index for batch in data.val_dataloader()])
    assert (data.train_size, data.val_size, data.test_size) == (40, 10, 20)
    assert torch.equal(torch.cat([train, val]).sort().values, torch.arange(50))


def test_images_and_labels_are_those_of_the_index():
    data = ready()
    train, test = read_tiny("train"), read_tiny("test")
    for batch in [*epoch_of(data), *data.val_dataloader()]:
        assert torch.equal(batch.inputs, train.images[batch.index])
        assert torch.equal(batch.targets, train.labels[batch.index])
    for batch in data.test_dataloader():
        assert torch.equal(batch.inputs, test.images[batch.index])
        assert torch.equal(batch.targets, test.labels[batch.index])


def test_the_view_of_a_sample_does_not_depend_on_its_batch():
    for batch in epoch_of(ready(batch_size=8), 3) + epoch_of(ready(batch_size=5, seed=9), 3):
        assert torch.equal(batch.view, draw_views(81, 0, 3, 50)[batch.index])


def test_seed_changes_the_order_and_view_seed_the_views_alone():
    default, ordered, viewed = (epoch_of(ready(**s))[0] for s in ({}, {"seed": 1}, {"view_seed": 1}))
    assert not torch.equal(default.index, ordered.index)
    assert torch.equal(default.index, viewed.index) and not torch.equal(default.view, viewed.view)


def test_evaluation_covers_every_sample_once_in_order_without_augmentation():
    data = ready(eval_batch_size=7)
    batches = list(data.test_dataloader())
    assert torch.equal(torch.cat([batch.index for batch in batches]), torch.arange(20))
    assert max(len(batch.index) for batch in batches) <= 7
    assert all((batch.view == data.views.identity).all() for batch in batches)
    assert len(list(data.test_dataloader())) == len(data.test_dataloader()) == 3


def test_an_epoch_can_begin_at_any_batch():
    data = ready()
    whole = epoch_of(data, 2)
    assert len(whole) == len(data.train_dataloader()) == 6
    for first in range(7):
        rest = list(data.train_dataloader().draw(2, first))
        assert [b.index.tolist() for b in rest] == [b.index.tolist() for b in whole[first:]]


def test_batch_at_is_the_batch_that_the_loader_yields():
    data = ready()
    batch, same = data.batch_at(2, 3), epoch_of(data, 2)[3]
    assert_equal(batch, same)
    with pytest.raises(IndexError):
        data.batch_at(0, 6)


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_share_each_batch_of_one_process(ranks):
    whole = epoch_of(ready())
    shares = [epoch_of(on_rank(ready(), rank, ranks)) for rank in range(ranks)]
    for batch, *parts in zip(whole, *shares, strict=True):
        for rank, part in enumerate(parts):
            assert torch.equal(part.index, batch.index[rank::ranks])
            assert torch.equal(part.view, batch.view[rank::ranks])


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_evaluate_each_sample_once_in_equally_many_batches(ranks):
    loaders = [on_rank(ready(eval_batch_size=3), rank, ranks).test_dataloader() for rank in range(ranks)]
    assert len({len(loader) for loader in loaders}) == 1
    index = torch.cat([batch.index for loader in loaders for batch in loader])
    assert torch.equal(index.sort().values, torch.arange(20))


def test_the_last_batch_is_kept_unless_drop_last_is_set():
    assert [len(b.index) for b in epoch_of(ready())] == [8, 8, 8, 8, 8, 5]
    assert [len(b.index) for b in epoch_of(ready(drop_last=True))] == [8, 8, 8, 8, 8]
    assert len(ready(drop_last=True).train_dataloader()) == 5


def test_without_validation_there_is_no_loader():
    data = ready(val_fraction=0)
    assert data.val_dataloader() == [] and data.val_size == 0 and data.train_size == 50


def test_unlabelled_samples_stay_in_training_and_the_labelled_are_stratified():
    data = ready(labelled_fraction=0.2, batch_size=64)
    batch = epoch_of(data)[0]
    labelled = batch.targets != UNLABELLED
    assert len(batch.targets) == 45 and labelled.sum() == 9
    assert torch.equal(batch.targets[labelled].bincount(), torch.tensor([3, 3, 3]))
    assert torch.equal(batch.targets[labelled], read_tiny("train").labels[batch.index[labelled]])
    assert all((b.targets >= 0).all() for b in [*data.val_dataloader(), *data.test_dataloader()])


def test_more_labels_include_the_fewer():
    few, many = (epoch_of(ready(labelled_fraction=f, batch_size=64))[0] for f in (0.2, 0.6))
    few, many = (set(b.index[b.targets >= 0].tolist()) for b in (few, many))
    assert few < many


def test_a_short_trial_is_stratified_and_does_not_change_validation():
    short, whole = ready(train_samples=12, batch_size=64), ready(batch_size=64)
    assert short.train_size == 12
    assert torch.equal(epoch_of(short)[0].targets.bincount(), torch.tensor([4, 4, 4]))
    assert torch.equal(next(iter(short.val_dataloader())).index, next(iter(whole.val_dataloader())).index)


def test_setup_twice_changes_nothing():
    data = ready()
    before = epoch_of(data)[0]
    data.setup("test")
    assert torch.equal(epoch_of(data)[0].inputs, before.inputs)


def test_the_training_order_is_not_the_order_of_the_split():
    assert len({tuple(ready(split_seed=s).val_dataloader().draw(0, 0).__next__().index.tolist()) for s in range(5)}) > 1


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            {"batch_size": 0},
            r"data.batch_size must be a whole number, at least 1, got 0; data.batch_size=8 is",
        ),
        ({"batch_size": "many"}, r"data.batch_size must be a whole number, at least 1, got 'many'"),
        ({"batch_size": 1.5}, r"data.batch_size must be a whole number, at least 1, got 1.5"),
        (
            {"eval_batch_size": -1},
            r"data.eval_batch_size must be .* got -1; data.eval_batch_size=512 is the default",
        ),
        ({"val_fraction": 1.0}, r"data.val_fraction must be in \[0, 1\), got 1.0; data.val_fraction=0.1 is"),
        ({"val_fraction": -0.1}, r"data.val_fraction must be in \[0, 1\), got -0.1"),
        ({"labelled_fraction": 0}, r"data.labelled_fraction must be in \(0, 1\], got 0"),
        ({"labelled_fraction": 1.1}, r"data.labelled_fraction must be in \(0, 1\], got 1.1"),
        (
            {"train_samples": 0},
            r"data.train_samples must be .* got 0; data.train_samples=null is the default",
        ),
        ({"seed": -1}, r"data.seed must be a whole number, at least 0, got -1"),
        ({"view_seed": -1}, r"data.view_seed must be a whole number, at least 0, got -1"),
        ({"split_seed": None}, r"data.split_seed must be a whole number, at least 0, got None"),
        (
            {"drop_last": "no"},
            r"data.drop_last must be true or false, got 'no'; data.drop_last=False is the default",
        ),
        ({"flip": "no"}, r"data.flip must be true or false, got 'no'"),
        ({"mean": [0.5]}, r"data.mean must be three numbers, one per channel, got \[0.5\]"),
        (
            {"std": [1, 1, 0]},
            r"data.std must be three numbers above 0, got \[1, 1, 0\]; data.std=\[0.229, 0.224",
        ),
        ({"image_size": 0}, r"data.image_size must be a whole number, at least 1, or null, got 0"),
        ({"padding": -1}, r"data.padding must be a whole number, at least 0, got -1"),
    ],
)
def test_a_value_outside_its_range_is_refused(settings, text):
    with pytest.raises(BadInput, match=text):
        Tiny(**settings)


@pytest.mark.parametrize(
    ("settings", "ranks", "text"),
    [
        (
            {"train_samples": 46},
            1,
            r"data.train_samples must be at most 45, the samples there are to train on, got 46",
        ),
        ({"val_fraction": 0.001}, 1, r"data.val_fraction=0.001 of 50 samples rounds to 0"),
        ({"labelled_fraction": 0.001}, 1, r"data.labelled_fraction=0.001 of 45 samples rounds to 0"),
        (
            {"drop_last": True, "batch_size": 64},
            1,
            r"data.batch_size must be at most 45, .* data.drop_last=true, got 64",
        ),
        ({"batch_size": 2}, 4, r"data.batch_size must be at least 4, one sample for each rank, got 2"),
        (
            {"batch_size": 22},
            4,
            r"data.batch_size=22 leaves 1 of 45 training samples to the last batch, fewer than the 4 ranks: "
            r"set data.drop_last=true",
        ),
    ],
)
def test_what_does_not_fit_the_data_or_the_ranks_is_refused(settings, ranks, text):
    with pytest.raises(BadInput, match=text):
        on_rank(ready(**settings), 0, ranks).train_dataloader()


def test_a_subclass_that_cannot_read_is_not_a_data_set():
    with pytest.raises(TypeError, match="abstract"):
        ImageData()
