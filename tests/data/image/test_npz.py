"""Arrays of one's own: what is read, in every layout, and what is refused."""

import numpy as np
import pytest

from kdlab.data import NpzImages
from kdlab.errors import BadInput

DRAW = np.random.default_rng(0)
IMAGES = DRAW.integers(0, 256, (30, 8, 6, 3), dtype=np.uint8)
LABELS = np.arange(30) % 3


def arrays(**changed):
    lists = {"train_images": IMAGES, "train_labels": LABELS, "test_images": IMAGES[::-1], "test_labels": LABELS[::-1]}
    return {name: value for name, value in {**lists, **changed}.items() if value is not None}


def written(folder, **changed):
    np.savez(folder / "mine.npz", **arrays(**changed))
    return str(folder / "mine.npz")


def ready(file, **settings):
    data = NpzImages(file=file, val_fraction=0, batch_size=30, **settings)
    data.setup()
    return data


@pytest.mark.parametrize(
    ("layout", "channels"),
    [
        (lambda images: images, [0, 1, 2]),
        (lambda images: images.transpose(0, 3, 1, 2), [0, 1, 2]),
        (lambda images: images[..., :1], [0, 0, 0]),
        (lambda images: images[..., 0], [0, 0, 0]),
    ],
)
def test_images_are_read_with_channels_in_front_behind_or_without(layout, channels, tmp_path):
    data = ready(written(tmp_path, train_images=layout(IMAGES), test_images=layout(IMAGES[::-1])))
    assert data.sample_shape == (3, 8, 6) and data.num_classes == 3
    for batch, images, labels in (
        (data.batch_at(0, 0), IMAGES, LABELS),
        (next(iter(data.test_dataloader())), IMAGES[::-1], LABELS[::-1]),
    ):
        assert np.array_equal(batch.inputs.numpy(), images[batch.index][..., channels].transpose(0, 3, 1, 2))
        assert np.array_equal(batch.targets.numpy(), labels[batch.index])


def test_classes_have_numbers_or_the_names_in_the_file(tmp_path):
    assert ready(written(tmp_path)).class_names == ("0", "1", "2")
    assert ready(written(tmp_path, class_names=["cat", "dog", "fox"])).class_names == ("cat", "dog", "fox")


def test_the_digest_depends_on_content_and_not_on_location(tmp_path):
    for name in ("here", "there", "changed"):
        (tmp_path / name).mkdir()
    one, other = ready(written(tmp_path / "here")), ready(written(tmp_path / "there"))
    changed = ready(written(tmp_path / "changed", test_images=IMAGES))
    assert one.digest() == other.digest() != changed.digest()
    assert one.cache_key() == other.cache_key()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"train_images": IMAGES / 255}, "train_images must be of type uint8, got float64 .* For values in \\[0, 1\\]"),
        ({"test_images": IMAGES.reshape(30, -1)}, "test_images must be .samples, height, width.*, got \\(30, 144\\)"),
        (
            {"train_labels": LABELS[1:]},
            "train_labels must be 30 whole numbers from 0.*, got int64 of shape \\(29,\\)",
        ),
        ({"train_labels": LABELS - 1}, "Number the classes from 0"),
        ({"train_labels": LABELS / 2}, "got float64 of shape"),
        ({"test_labels": None}, "test_labels must be in it, got train_images, train_labels, test_images in"),
        ({"class_names": ["cat"]}, "class_names must name all 3 classes, got 1 names"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_fix(changed, message, tmp_path):
    with pytest.raises(BadInput, match=f"data.file: .*{message}"):
        ready(written(tmp_path, **changed))


def test_a_file_that_is_absent_or_of_another_kind_is_refused(tmp_path):
    (tmp_path / "text.npz").write_text("not numpy's")
    np.save(tmp_path / "one.npy", IMAGES)
    np.savez(tmp_path / "pickled.npz", **arrays(class_names=np.array([{"a": 1}], dtype=object)))
    for name, message in (
        ("absent.npz", "must be a file that exists"),
        ("text.npz", "must be an .npz file of plain arrays"),
        ("one.npy", "must be an .npz file of plain arrays"),
        ("pickled.npz", "must be an .npz file of plain arrays"),
    ):
        with pytest.raises(BadInput, match=f"data.file {message}, got .*Write it: numpy.savez"):
            ready(str(tmp_path / name))


def test_a_value_that_is_no_path_is_refused():
    with pytest.raises(BadInput, match=r"data\.file must be a file that exists, got .*None"):
        ready(None)
