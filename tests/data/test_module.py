"""Order, ranks, resume and the cache for inputs that are no images."""

from types import SimpleNamespace

import lightning as L
import pytest
import torch
import torch.nn.functional as F

from kdlab.data.batch import BatchIndices
from kdlab.errors import BadInput
from tests.data.tiny import trainer_on
from tests.data.toy_text import BUCKETS, Bag, ToyText


def ready(rank=0, ranks=1, **settings):
    data = ToyText(**settings)
    data.trainer = trainer_on(global_rank=rank, world_size=ranks) if ranks > 1 else None
    data.setup()
    return data


def epoch_of(data, epoch=0):
    return list(data.train_dataloader().draw(epoch, 0))


def test_batches_are_padded_to_the_bucket_of_their_longest_document():
    seen, lengths = [], set()
    data = ready()
    for batch in epoch_of(data):
        longest = int(batch.inputs["attention_mask"].sum(1).max())
        assert batch.inputs["input_ids"].shape == (len(batch.targets), min(b for b in BUCKETS if b >= longest))
        seen += batch.index.tolist()
        lengths |= set(batch.view.tolist())
        for index, ids in zip(batch.index.tolist(), batch.inputs["input_ids"], strict=True):
            assert torch.equal(ids[ids > 0], data.documents["train"][index])
    assert sorted(seen) == list(range(8, 73)) and len(lengths) > 1 and lengths <= set(BUCKETS.tolist())


def test_ranks_have_disjoint_shares_of_one_padded_length_that_make_up_the_batch():
    shares = [epoch_of(ready(rank, 2), 1) for rank in range(2)]
    for whole, *parts in zip(epoch_of(ready(), 1), *shares, strict=True):
        for rank, part in enumerate(parts):
            assert torch.equal(part.inputs["input_ids"], whole.inputs["input_ids"][rank::2])
            assert torch.equal(part.targets, whole.targets[rank::2])
            assert torch.equal(part.index, whole.index[rank::2]) and torch.equal(part.view, whole.view[rank::2])


class Reader(L.LightningModule):
    """Trains on text; saves a checkpoint after step `save_at` and stops."""

    def __init__(self, save_at=None, path=None):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.network = Bag(3)
        self.save_at, self.path = save_at, path

    def training_step(self, batch, batch_idx):
        return F.cross_entropy(self.network(**batch.inputs), batch.targets)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.1)

    def on_train_batch_end(self, outputs, batch, batch_idx):
        if self.global_step == self.save_at:
            self.trainer.save_checkpoint(self.path)
            raise KeyboardInterrupt


def train(reader, resume=None):
    trainer = L.Trainer(max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False,
                        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0)  # fmt: skip
    trainer.fit(reader, datamodule=ToyText(), ckpt_path=resume)
    return reader.state_dict()


@pytest.mark.parametrize("step", [3, 22, 30])
def test_a_text_run_resumes_bit_identically_in_the_middle_of_an_epoch(step, tmp_path):
    undisturbed, path = train(Reader()), tmp_path / "last.ckpt"
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(Reader(step, path))
    for name, tensor in train(Reader(), path).items():
        assert torch.equal(tensor, undisturbed[name]), name


def test_a_share_without_samples_is_refused():
    with pytest.raises(BadInput, match=r"data.batch_size=4 leaves 1 of 65 training samples to the last batch, fewer"):
        ready(0, 2, batch_size=4).train_dataloader()
    with pytest.raises(BadInput, match=r"data.batch_size must be at least 2, one sample for each rank, got 1"):
        ready(batch_size=1).check_ranks(2)


def test_views_of_one_length_are_filled_together():
    """Missing outputs are computed in batches of one view: other views may have another shape."""
    from kdlab.jobs.cache_fill import _missing

    data = ready(batch_size=2)
    missing = torch.arange(65)[::2]
    teacher = SimpleNamespace(
        missing=lambda visits: missing, device=torch.device("cpu"), spec=SimpleNamespace(batch=16)
    )
    batches = list(_missing(teacher, data, 0))
    pairs = [pair for _, indices in batches for pair in zip(*map(torch.Tensor.tolist, indices), strict=True)]
    expected = data.visits(0).select(missing)
    assert sorted(pairs) == sorted(zip(*map(torch.Tensor.tolist, expected), strict=True))
    for inputs, indices in batches:
        assert set(indices.view.tolist()) == {inputs["input_ids"].shape[1]} and len(indices.view) <= 16


def test_indices_select_samples_and_views_together():
    indices = BatchIndices(torch.tensor([5, 6, 7]), torch.tensor([0, 1, 2])).select(torch.tensor([2, 0]))
    assert (indices.samples.tolist(), indices.view.tolist()) == ([7, 5], [2, 0])
