"""Which images, labels and counters a transfer set uses."""

from dataclasses import dataclass
from types import SimpleNamespace

import lightning as L
import pytest
import torch

from kdlab.data import UNLABELLED, Transfer
from kdlab.data.image.memory import Arrays, Reader
from kdlab.data.image.transfer import transfer_settings
from kdlab.errors import BadInput
from tests.data.test_loader import Recorder
from tests.data.tiny import Tiny, assert_equal, trainer_on

OF = {"_target_": "tests.data.tiny.Tiny", "batch_size": 8}
IMAGES = {"_target_": "tests.data.image.test_transfer.Others", "batch_size": 8}


def read_others(source: str) -> Arrays:
    images = torch.randint(0, 256, (31, 3, 8, 8), generator=torch.Generator().manual_seed(7))
    return Arrays(images.to(torch.uint8), torch.arange(31) % 5, tuple("vwxyz"))


@dataclass(eq=False, kw_only=True)
class Others(Tiny):
    """Other images than Tiny's, of other classes, in other views."""

    padding: int = 1
    flip: bool = True

    def reader(self) -> Reader:
        return read_others


def ready(of=None, images=None, seed=0, trainer=None):
    data = Transfer(of=OF | (of or {}), images=IMAGES | (images or {}), seed=seed)
    data.trainer = trainer
    data.setup()
    return data


def set_up(make, **settings):
    data = make(**settings)
    data.setup()
    return data


def epoch_of(data, epoch=0):
    return list(data.train_dataloader().draw(epoch, 0))


def assert_all_equal(batches, others):
    assert len(batches) == len(others) > 0
    for batch, other in zip(batches, others, strict=True):
        assert_equal(batch, other)


def fitted(recorder, resume=None):
    trainer = L.Trainer(max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False,
                        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0)  # fmt: skip
    trainer.fit(recorder, datamodule=Transfer(of=OF, images=IMAGES), ckpt_path=resume)
    return recorder


def test_training_uses_the_images_of_the_transfer_set_by_its_own_counters_without_their_labels():
    batches, expected = epoch_of(ready(), 2), epoch_of(set_up(Others), 2)
    assert len(batches) == 4
    assert_all_equal(batches, [one._replace(targets=torch.full_like(one.targets, UNLABELLED)) for one in expected])
    assert torch.equal(batches[0].inputs, read_others("train").images[batches[0].index])


def test_validation_and_test_are_those_of_the_labelled_data():
    data, of = ready(), set_up(Tiny)
    assert_all_equal(list(data.val_dataloader()), list(of.val_dataloader()))
    assert_all_equal(list(data.test_dataloader()), list(of.test_dataloader()))
    assert ready(of={"val_fraction": 0}).val_dataloader() == []


def test_thumbnails_are_of_the_labelled_datas_test_set():
    samples = torch.tensor([19, 3])
    assert torch.equal(ready().thumbnails(samples), set_up(Tiny).thumbnails(samples))


def test_it_has_the_classes_of_the_labelled_data_and_the_training_list_of_the_transfer_set():
    data = ready()
    assert (data.num_classes, data.class_names, data.sample_shape) == (3, ("a", "b", "c"), (3, 8, 8))
    assert (data.train_size, data.val_size, data.test_size) == (28, 5, 20)
    assert torch.equal(data.sample_labels, torch.full((31,), -100))


def test_what_the_transfer_set_holds_out_is_not_trained_on():
    few, every = (ready(images={"val_fraction": fraction}) for fraction in (0.5, 0))
    assert (few.train_size, every.train_size) == (15, 31)
    assert sum(len(batch.index) for batch in epoch_of(every)) == 31


def test_the_seed_is_that_of_both_sets():
    data = ready(of={"seed": 1}, images={"seed": 2}, seed=5)
    assert (data.of.seed, data.images.seed) == (5, 5)
    assert torch.equal(epoch_of(data)[0].index, epoch_of(set_up(Others, seed=5))[0].index)
    assert not torch.equal(epoch_of(data)[0].index, epoch_of(ready())[0].index)


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_share_each_batch_and_each_test_sample(ranks):
    every = [ready(trainer=trainer_on(global_rank=rank, world_size=ranks)) for rank in range(ranks)]
    for whole, *parts in zip(epoch_of(ready()), *map(epoch_of, every), strict=True):
        for rank, part in enumerate(parts):
            assert torch.equal(part.index, whole.index[rank::ranks]) and (part.targets == UNLABELLED).all()
    tested = torch.cat([batch.index for data in every for batch in data.test_dataloader()])
    assert torch.equal(tested.sort().values, torch.arange(20))


def test_images_get_the_views_of_the_set_they_come_from():
    data = ready()
    batch, views = epoch_of(data)[0], set_up(Others).views
    assert data.on_after_batch_transfer(batch, 0) is batch
    for training in (True, False):
        data.trainer = SimpleNamespace(training=training)
        shown = data.on_after_batch_transfer(batch, 0).inputs
        assert torch.equal(shown, views.apply(batch.inputs, batch.view) if training else batch.inputs)
    assert batch.view.max() < views.count == 18


@pytest.fixture(scope="module")
def undisturbed():
    return fitted(Recorder())


def test_a_trainer_trains_on_every_batch_in_its_views_and_validates_on_the_labelled_data(undisturbed):
    images, of = set_up(Others), set_up(Tiny)
    assert [moment[:2] for moment in undisturbed.seen] == [(epoch, batch) for epoch in range(3) for batch in range(4)]
    for epoch, number, index, view, pixels in undisturbed.seen:
        raw = images.batch_at(epoch, number)
        assert (index, view) == (raw.index.tolist(), raw.view.tolist())
        assert pixels == images.views.apply(raw.inputs, raw.view).double().sum().item()
    (validated,) = of.val_dataloader()
    assert undisturbed.validated == [(validated.index.tolist(), validated.inputs.double().sum().item())] * 3


@pytest.mark.filterwarnings("error:.*not resumable")
@pytest.mark.parametrize("moment", [("batch", 0, 1), ("batch", 1, 3), ("epoch", 0, 3), ("validation", 1, 3)])
def test_resuming_gives_exactly_the_remaining_batches(undisturbed, tmp_path, moment):
    path = tmp_path / "last.ckpt"
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fitted(Recorder(_recorder_moment(moment), path))
    done = moment[1] * 4 + moment[2] + 1
    assert fitted(Recorder(), resume=path).seen == undisturbed.seen[done:]


def _recorder_moment(moment):
    """`Recorder` gives the end of an epoch the number of Tiny's last batch."""
    return moment if moment[0] == "batch" else (*moment[:2], 5)


def test_the_digest_is_that_of_both_sets_in_their_parts():
    digests = {Transfer(of=of, images=images).digest() for of in (OF, IMAGES) for images in (OF, IMAGES)}
    assert len(digests) == 4
    assert ready().digest() == ready(seed=3, images={"padding": 2}).digest()


def test_settings_take_steps_and_seed_from_the_data_and_leave_out_what_has_no_effect():
    data = {"_target_": "A", "root": "here", "batch_size": 32, "drop_last": True, "seed": 4, "val_fraction": 0.2}
    ignored = {"batch_size": 64, "drop_last": False, "seed": 0, "eval_batch_size": 1, "labelled_fraction": 0.1}
    transfer = {"_target_": "B", "root": "there", "padding": 2, "view_seed": 3, "mean": [0], "std": [1], **ignored}
    assert transfer_settings(data, transfer) == {
        "_target_": "kdlab.data.Transfer",
        "of": {"_target_": "A", "root": "here", "batch_size": 32, "drop_last": True, "val_fraction": 0.2},
        "images": {"_target_": "B", "root": "there", "padding": 2, "view_seed": 3, "batch_size": 32, "drop_last": True},
        "seed": 4,
    }


def test_images_of_another_shape_are_refused():
    text = (
        r"^data.image_size and transfer.image_size must give images of one shape, got 3x8x8 and 3x12x12 "
        r"\(channels x height x width\). Set both, for example to 8.$"
    )
    with pytest.raises(BadInput, match=text):
        ready(images={"image_size": 12})
    assert ready(of={"image_size": 12}, images={"image_size": 12}).sample_shape == (3, 12, 12)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"padding": -1}, r"^transfer.padding must be .* got -1; transfer.padding=1 is the default$"),
        ({"paddng": 1}, r"^transfer.paddng is not a setting, got 1 for it. Did you mean transfer.padding\?$"),
        ({"train_samples": 99}, r"^transfer.train_samples must be at most 28, .* got 99"),
        ({"val_fraction": 0.001}, r"^transfer.val_fraction=0.001 of 31 samples rounds to 0"),
        (
            {"_target_": "kdlab.data.ImageFolder", "root": "my.data.set"},
            r"^transfer.root=my.data.set is not a folder: name one that holds",
        ),
        (
            {"_target_": "lightning.LightningDataModule", "batch_size": 1},
            r"^transfer must be an image set of kdlab.data where there is a transfer set, got lightning.Lightning.*\. "
            r"Choose another one, or leave data@transfer out.$",
        ),
    ],
)
def test_an_error_of_the_transfer_set_names_transfer(settings, text):
    with pytest.raises(BadInput, match=text):
        ready(images=settings)


def test_an_error_of_the_labelled_data_names_data():
    with pytest.raises(BadInput, match=r"^data.padding must be .* got -1"):
        ready(of={"padding": -1})
    with pytest.raises(BadInput, match=r"^data.train_samples must be at most 45"):
        ready(of={"train_samples": 99})


def test_the_error_of_absent_files_names_the_set_that_lacks_them(tmp_path):
    absent = {"_target_": "kdlab.data.CIFAR100", "root": str(tmp_path)}
    with pytest.raises(BadInput, match=r"Set transfer.download=true to fetch it, or paths.data \(KDLAB_DATA\), now"):
        Transfer(of=OF, images=absent).setup()
