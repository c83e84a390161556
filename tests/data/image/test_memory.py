from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.fabric.utilities.apply_func import move_data_to_device
from PIL import Image
from torchvision.transforms import functional

import kdlab.data.image.memory
from kdlab.data.image.memory import Arrays, read_resized, resize
from tests.data.tiny import Tiny, read_tiny, ready, trainer_on


@pytest.mark.parametrize(("side", "size"), [(8, 32), (28, 32), (32, 12), (32, 224)])
def test_resizing_agrees_with_torchvision(side, size):
    images = torch.randint(0, 256, (5, 3, side, side), dtype=torch.uint8)
    exact = functional.resize(images.double(), [size, size], antialias=True)
    clear = (exact % 1 - 0.5).abs() > 1e-4  # halfway between two integers float32 may round the other way
    assert clear.double().mean() > 0.9
    assert torch.equal(resize(images, size)[clear], exact.round().to(torch.uint8)[clear])


def test_resizing_is_close_to_pillow():
    image = torch.randint(0, 256, (1, 3, 40, 40), dtype=torch.uint8)
    pillow = Image.fromarray(image[0].permute(1, 2, 0).numpy()).resize((16, 16), Image.Resampling.BILINEAR)
    difference = resize(image, 16)[0].permute(1, 2, 0).numpy().astype(int) - np.array(pillow).astype(int)
    assert np.abs(difference).max() <= 1


def test_many_images_are_resized_as_one_is():
    images = torch.randint(0, 256, (1030, 1, 8, 8), dtype=torch.uint8)
    assert torch.equal(resize(images, 12)[1025:], resize(images[1025:], 12))


def test_images_of_the_requested_size_are_not_touched():
    images = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    assert resize(images, 8) is images


def test_one_grey_channel_becomes_three():
    grey = torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8)
    shown = read_resized(lambda source: Arrays(grey, torch.zeros(4), ("a",)), "train", None).images
    assert shown.is_contiguous() and torch.equal(shown, torch.cat([grey] * 3, dim=1))


def test_the_stages_of_a_run_read_once():
    calls = []

    def reader(source):
        calls.append(source)
        return read_tiny(source)

    class Counted(Tiny):
        def reader(self):
            return reader

    for seed in range(3):
        Counted(seed=seed).setup()
    assert sorted(calls) == ["test", "train"]
    Counted(image_size=16).setup()
    assert len(calls) == 4


def test_views_are_applied_while_training_only():
    data = ready()
    batch = data.batch_at(0, 0)
    assert torch.equal(data.on_after_batch_transfer(batch, 0).inputs, batch.inputs)
    for training in (True, False):
        data.trainer = SimpleNamespace(training=training)
        shown = data.on_after_batch_transfer(batch, 0)
        expected = data.views.apply(batch.inputs, batch.view) if training else batch.inputs
        assert torch.equal(shown.inputs, expected) and shown[1:] == batch[1:]
    assert not torch.equal(data.views.apply(batch.inputs, batch.view), batch.inputs)


def test_a_batch_on_the_way_to_a_gpu_keeps_index_and_view_on_the_host_and_still_gets_its_view():
    data = ready()
    batch = data.batch_at(0, 0)
    data.trainer = SimpleNamespace(training=True)
    apply, seen = data.views.apply, []
    data.views = SimpleNamespace(apply=lambda images, view: seen.append(view) or apply(images, view))
    moved = move_data_to_device(batch, torch.device("meta"))  # a second device that every machine has
    shown = data.on_after_batch_transfer(moved, 0)
    tensors = [shown.inputs, shown.targets, shown.index, shown.view]
    assert [tensor.device.type for tensor in tensors] == ["meta", "meta", "cpu", "cpu"]
    assert seen[0].is_meta and shown.inputs.shape == batch.inputs.shape and torch.equal(shown.view, batch.view)


def test_images_stay_on_the_gpu_that_trains():
    data, moves = ready(), []
    shapes = [batch.inputs.shape for batch in data.train_dataloader()]
    data.trainer = trainer_on("meta", training=True, global_rank=0, world_size=1)
    for epoch in range(2):
        batches = list(data.train_dataloader().draw(epoch, 0))
        assert all(batch.inputs.is_meta for batch in batches)
        assert not any(tensor.is_meta for batch in batches for tensor in (batch.targets, *batch.indices))
        assert [batch.inputs.shape for batch in batches] == shapes
        moves.append(data._images["train"])
    assert moves[0].is_meta and moves[0] is moves[1]  # they were moved once
    assert not data._images["test"].is_meta and not read_resized(data.reader(), "train", None).images.is_meta


def test_images_too_many_for_a_gpu_stay_on_the_host(monkeypatch):
    monkeypatch.setattr(kdlab.data.image.memory, "RESIDENT_BYTES", 50 * 3 * 8 * 8 - 1)
    data = ready()
    data.trainer = trainer_on("meta", global_rank=0, world_size=1)
    assert not data.batch_at(0, 0).inputs.is_meta


def test_an_epoch_without_remaining_batches_is_empty():
    data = ready()
    assert list(data.train_dataloader().draw(0, len(data.train_dataloader()))) == []


def test_the_digest_depends_on_content_alone():
    class Changed(Tiny):
        def reader(self):
            return changed

    def changed(source):
        arrays = read_tiny(source)
        images = arrays.images.clone()
        images[0, 0, 0, 0] ^= source == "test"
        return arrays._replace(images=images)

    assert Tiny().digest() == Tiny(seed=1, image_size=16, val_fraction=0).digest()
    assert Tiny().digest() != Changed().digest()


def test_the_digest_notices_a_changed_label():
    class Relabelled(Tiny):
        def reader(self):
            return lambda source: read_tiny(source)._replace(labels=read_tiny(source).labels.flip(0))

    assert Tiny().digest() != Relabelled().digest()


def test_thumbnails_are_test_images_no_side_longer_than_64_pixels():
    samples = torch.tensor([7, 0])
    assert torch.equal(ready().thumbnails(samples), read_tiny("test").images[samples])
    large = ready(image_size=96)
    shown = large.thumbnails(samples)
    assert (shown.dtype, shown.shape) == (torch.uint8, (2, 3, 64, 64))
    assert torch.equal(shown, resize(read_resized(read_tiny, "test", 96).images[samples], 64))
