import pytest
import torch

from kdlab.benchmarking.images import Noise
from kdlab.benchmarking.noise import noise
from kdlab.errors import BadInput


def test_the_same_images_are_drawn_again_and_labels_cycle():
    images, labels = noise(7, 3, 4)
    assert images.shape == (7, 3, 4, 4) and images.dtype == torch.uint8
    assert labels.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert torch.equal(images, noise(7, 3, 4)[0])


def test_they_are_a_data_set_of_the_given_size():
    data = Noise(samples=40, classes=5, image_size=8, val_fraction=0, batch_size=16)
    data.setup()
    assert (data.train_size, data.val_size, data.num_classes, data.sample_shape) == (40, 0, 5, (3, 8, 8))
    batch = next(iter(data.train_dataloader()))
    images, labels = noise(40, 5, 8)
    assert torch.equal(batch.inputs, images[batch.index])
    assert torch.equal(batch.targets, labels[batch.index])


@pytest.mark.parametrize(("name", "value"), [("samples", 0), ("classes", 1)])
def test_a_size_out_of_range_is_refused(name, value):
    with pytest.raises(BadInput, match=f"data.{name} must be a whole number, at least .*, got {value}"):
        Noise(**{name: value})
