"""A user's own loaders: their order, their shares, and which are refused."""

import random
from itertools import chain

import lightning as L
import numpy as np
import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from kdlab.data import Digits
from kdlab.data.loader import EpochLoader
from kdlab.data.user_module import check_ranks, shard_loader
from kdlab.errors import BadInput
from tests.data.tiny import trainer_on

SAMPLES = 23


class Noisy(Dataset):
    """The index of a sample, and a random number from each generator of the process."""

    def __len__(self):
        return SAMPLES

    def __getitem__(self, index):
        return index, torch.tensor([torch.rand(()).item(), np.random.rand(), random.random()])


class Users(L.LightningDataModule):
    def __init__(self, make=lambda: DataLoader(Noisy(), 6, shuffle=True), make_val=lambda: DataLoader(Noisy(), 4)):
        super().__init__()
        self.make, self.make_val = make, make_val

    def train_dataloader(self):
        return self.make()

    def val_dataloader(self):
        return self.make_val()


class Shards(Users):
    shards_itself = True


class Words(IterableDataset):
    def __iter__(self):
        return iter(range(SAMPLES))


def shared(rank=0, ranks=1, seed=0, **made):
    data = Users(**made)
    data.trainer = trainer_on(global_rank=rank, world_size=ranks) if ranks > 1 else None
    shard_loader(data, seed)
    return data


def epoch_of(data, epoch=0, first=0):
    return list(data.train_dataloader().draw(epoch, first))


def indices(batches):
    return [batch[0].tolist() for batch in batches]


def loader(**given):
    return lambda: DataLoader(Noisy(), **{"batch_size": 6} | given)


def test_each_sample_comes_once_in_an_order_that_epoch_and_seed_determine():
    orders = [indices(epoch_of(shared(seed=seed), epoch)) for seed, epoch in [(0, 0), (0, 1), (1, 0)]]
    for order in orders:
        assert sorted(chain(*order)) == list(range(SAMPLES)) and [len(batch) for batch in order] == [6, 6, 6, 5]
    assert orders[0] != orders[1] != orders[2] != orders[0]
    torch.rand(3)  # earlier draws change nothing
    assert indices(epoch_of(shared(), 1)) == orders[1]


def test_without_shuffle_the_order_and_batches_are_those_of_the_loader():
    for given in ({}, {"drop_last": True}):
        assert indices(epoch_of(shared(make=loader(**given)))) == indices(loader(**given)())
        assert len(shared(make=loader(**given)).train_dataloader()) == len(loader(**given)())


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("given", [{}, {"persistent_workers": True}], ids=["", "persistent"])
def test_random_numbers_of_a_sample_depend_on_seed_epoch_and_index_alone(workers, given):
    def drawn(data, epoch=0, first=0):
        batches = epoch_of(data, epoch, first)
        return {int(i): tuple(row.tolist()) for at, rows in batches for i, row in zip(at, rows, strict=True)}

    if not workers and given:
        pytest.skip("persistent workers need workers")
    data = shared(make=loader(shuffle=True, num_workers=workers, **given))
    whole = drawn(shared(), 2)
    assert len(set(whole.values())) == SAMPLES and all(len(set(row)) == 3 for row in whole.values())
    assert drawn(data, 2) == whole
    assert drawn(data, 2, first=3).items() < whole.items()  # resumed
    assert {**drawn(shared(0, 2), 2), **drawn(shared(1, 2), 2)} == whole
    assert drawn(data, 1)[0] != whole[0] != drawn(shared(seed=1), 2)[0]


def test_the_generators_of_the_process_are_left_as_they_were():
    before = torch.get_rng_state(), np.random.get_state()[1], random.getstate()
    epoch_of(shared())
    after = torch.get_rng_state(), np.random.get_state()[1], random.getstate()
    assert torch.equal(before[0], after[0]) and np.array_equal(before[1], after[1]) and before[2] == after[2]


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_share_each_batch_of_one_process(ranks):
    shares = [indices(epoch_of(shared(rank, ranks), 1)) for rank in range(ranks)]
    for whole, *parts in zip(indices(epoch_of(shared(), 1)), *shares, strict=True):
        assert parts == [whole[rank::ranks] for rank in range(ranks)]


@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize(
    ("given", "samples"), [({}, 23), ({"drop_last": True}, 20), ({"batch_size": 1, "shuffle": True}, 23)]
)
def test_ranks_validate_each_sample_once(ranks, given, samples):
    loaders = [shared(r, ranks, make_val=loader(**{"batch_size": 4} | given)).val_dataloader() for r in range(ranks)]
    assert len({len(one) for one in loaders}) == 1
    assert sorted(chain(*(chain(*indices(one)) for one in loaders))) == list(range(samples))


def test_one_process_keeps_the_validation_loader_and_loaders_that_cannot_be_sharded():
    weighted = DataLoader(Noisy(), 6, sampler=WeightedRandomSampler([1.0] * SAMPLES, SAMPLES))
    data = shared(make=lambda: weighted)
    assert data.train_dataloader() is weighted and type(data.val_dataloader()) is DataLoader
    assert isinstance(shared().train_dataloader(), EpochLoader)


def test_a_module_that_shards_itself_and_kdlabs_own_are_not_changed():
    for data in (Shards(), Digits()):
        before = type(data).train_dataloader
        shard_loader(data, 0)
        assert data.train_dataloader.__func__ is before
    check_ranks(Shards(make=lambda: DataLoader(Words(), 6)), 2)


def test_a_module_without_validation_has_none_on_ranks():
    class NoVal(L.LightningDataModule):
        def train_dataloader(self):
            return loader()()

    data = NoVal()
    check_ranks(data, 2)
    shard_loader(data, 0)
    assert "val_dataloader" not in vars(data)
    assert shared(0, 2, make_val=lambda: []).val_dataloader() == []


class Recorder(L.LightningModule):
    """Records its batches; saves a checkpoint after step `save_at` and stops."""

    def __init__(self, save_at=None, path=None):
        super().__init__()
        self.number = torch.nn.Parameter(torch.zeros(()))
        self.save_at, self.path, self.seen = save_at, path, []

    def training_step(self, batch, batch_idx):
        self.seen.append((self.current_epoch, batch_idx, batch[0].tolist(), batch[1].tolist()))
        torch.manual_seed(len(self.seen))  # the state that a step leaves changes no sample
        return self.number**2

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def on_train_batch_end(self, outputs, batch, batch_idx):
        if self.global_step == self.save_at:
            self.trainer.save_checkpoint(self.path)
            raise KeyboardInterrupt


def fitted(recorder, shuffle, resume=None):
    trainer = L.Trainer(max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False,
                        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0)  # fmt: skip
    data = Users(loader(shuffle=shuffle), lambda: [])
    shard_loader(data, 0)
    trainer.fit(recorder, datamodule=data, ckpt_path=resume)
    return recorder.seen


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("step", [1, 6, 8])
def test_resuming_gives_exactly_the_remaining_batches(step, shuffle, tmp_path):
    undisturbed, path = fitted(Recorder(), shuffle), tmp_path / "last.ckpt"
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fitted(Recorder(step, path), shuffle)
    assert fitted(Recorder(), shuffle, path) == undisturbed[step:]


HOW = (
    r"\. kdlab can shard a torch DataLoader over a map-style data set, in order or with shuffle=True. Return one, or "
    r"set trainer.devices=1, or shard the data yourself by self.trainer.global_rank and self.trainer.world_size "
    r"\(all of it where self.trainer is None\) and set shards_itself = True in the class.$"
)


class Own(BatchSampler):
    pass


class Faster(DataLoader):
    pass


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda: DataLoader(Words(), 6), "a DataLoader over an iterable data set, Words"),
        (
            loader(sampler=WeightedRandomSampler([1.0] * SAMPLES, SAMPLES)),
            "a DataLoader with the sampler WeightedRandomSampler",
        ),
        (loader(sampler=SequentialSampler(range(9))), "a DataLoader with the sampler SequentialSampler"),
        (
            lambda: DataLoader(Noisy(), batch_sampler=Own(SequentialSampler(Noisy()), 6, False)),
            "a DataLoader with the batch sampler Own",
        ),
        (lambda: DataLoader(Noisy(), batch_size=None), "a DataLoader with batch_size=None"),
        (
            lambda: DataLoader(data := Noisy(), 6, sampler=RandomSampler(data, replacement=True)),
            "a DataLoader with replacement, num_samples or a generator of its own",
        ),
        (
            loader(shuffle=True, generator=torch.Generator()),
            "a DataLoader with replacement, num_samples or a generator of its own",
        ),
        (lambda: Faster(TensorDataset(torch.zeros(9)), 3), "a Faster"),
        (lambda: [loader()()], "a list"),
    ],
)
def test_loaders_that_cannot_be_shared_are_refused_before_and_in_the_ranks(make, found):
    text = rf"^data: each of 2 ranks needs its own share of the data, and Users.{{}}\(\) returns {found}" + HOW
    with pytest.raises(BadInput, match=text.format("train_dataloader")):
        check_ranks(Users(make), 2)
    with pytest.raises(BadInput, match=text.format("train_dataloader")):
        shared(0, 2, make=make).train_dataloader()
    with pytest.raises(BadInput, match=text.format("val_dataloader")):
        check_ranks(Users(make_val=make), 2)
    with pytest.raises(BadInput, match=text.format("val_dataloader")):
        shared(0, 2, make_val=make).val_dataloader()


@pytest.mark.parametrize(
    ("given", "ranks", "text"),
    [
        ({"batch_size": 2}, 3, r"has batch_size=2, less than one sample for each of the 3 ranks that share it: raise"),
        ({"batch_size": 11}, 2, r"=11, which leaves 1 of 23 samples to the last batch, fewer than the 2 ranks: set dr"),
        ({"batch_size": 30, "drop_last": True}, 2, r"=30 and drop_last=True, which leaves no batch of 23 samples: low"),
    ],
)
def test_a_batch_size_that_leaves_a_rank_without_samples_is_refused(given, ranks, text):
    with pytest.raises(BadInput, match=rf"^data: Users.train_dataloader\(\) .*{text}"):
        check_ranks(Users(loader(**given)), ranks)


def test_kdlabs_own_data_check_ranks_themselves():
    data = Digits(batch_size=1)
    data.setup()
    with pytest.raises(BadInput, match=r"data.batch_size must be at least 2, one sample for each rank, got 1"):
        check_ranks(data, 2)
