import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits

from kdlab.data.image.digits import Digits, read_digits

FIRST_LABELS = [2, 7, 0, 3, 5, 6, 0, 3, 9, 0, 0, 9, 7, 5, 2, 2, 2, 3, 9, 5]


def test_both_lists_together_are_scikit_learns_digits():
    digits = load_digits()
    pixels = np.rint(digits.images * 255 / 16).astype(np.uint8)
    expected = sorted((image.tobytes(), label) for image, label in zip(pixels, digits.target, strict=True))
    parts = [read_digits(source) for source in ("train", "test")]
    found = [(i.numpy().tobytes(), int(label)) for p in parts for i, label in zip(p.images, p.labels, strict=True)]
    assert sorted(found) == expected
    assert [len(part.labels) for part in parts] == [1297, 500]


def test_the_test_set_is_stratified_and_does_not_change():
    test = read_digits("test")
    share = np.bincount(load_digits().target) * 500 / 1797
    assert np.abs(test.labels.bincount().numpy() - share).max() < 1
    assert test.labels[:20].tolist() == FIRST_LABELS
    kept, moved = Digits(split_seed=0), Digits(split_seed=1)
    kept.setup(), moved.setup()
    assert torch.equal(next(iter(kept.test_dataloader())).inputs, next(iter(moved.test_dataloader())).inputs)
    assert not torch.equal(next(iter(kept.val_dataloader())).index, next(iter(moved.val_dataloader())).index)


def test_images_are_grey_in_three_channels_of_32_pixels():
    data = Digits()
    data.setup()
    assert data.sample_shape == (3, 32, 32) and data.num_classes == 10 and data.class_names[3] == "3"
    assert (data.train_size, data.val_size, data.test_size, data.views.count) == (1167, 130, 500, 81)
    batch = data.batch_at(0, 0)
    small = Image.fromarray(read_digits("train").images[batch.index[0], 0].numpy())
    large = np.array(small.resize((32, 32), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(batch.inputs[0].numpy().astype(int) - large).max() <= 1
    assert torch.equal(batch.inputs[:, 0], batch.inputs[:, 2])


def test_mean_and_std_in_the_config_are_those_of_the_training_images():
    data = Digits(val_fraction=0, batch_size=1297)
    data.setup()
    pixels = data.batch_at(0, 0).inputs.double() / 255
    assert abs(pixels.mean() - 0.3054) < 5e-5 and abs(pixels.std() - 0.3233) < 5e-5
