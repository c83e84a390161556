import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets, transforms

from kdlab.data.image.folder import ImageFolder
from kdlab.errors import BadInput
from tests.data.tiny import assert_equal


def write_images(folder, counts, seed=0):
    draws = np.random.default_rng(seed)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = draws.integers(0, 256, (20 + number % 3, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number:03}.png")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    write_images(root, {"cat": 20, "dog": 30, "emu": 10})
    return root


@pytest.fixture
def split_photos(tmp_path):
    for seed, (part, count) in enumerate({"train": 10, "val": 3, "test": 4}.items()):
        write_images(tmp_path / part, {"cat": count, "dog": count}, seed)
    return tmp_path


def ready(root, **settings):
    data = ImageFolder(root=str(root), **{"image_size": 16, "num_workers": 0, "batch_size": 16, **settings})
    data.setup()
    return data


def epoch_of(data, epoch=0, first=0):
    return list(data.train_dataloader().draw(epoch, first))


def assert_all_equal(mine, theirs):
    for one, other in zip(mine, theirs, strict=True):
        assert_equal(one, other)


def test_one_folder_is_cut_into_three_stratified_parts(photos):
    data = ready(photos)
    assert (data.train_size, data.val_size, data.test_size) == (49, 5, 6)
    assert data.class_names == ("cat", "dog", "emu") and data.sample_shape == (3, 16, 16)
    targets = torch.cat([batch.targets for batch in data.test_dataloader()])
    assert torch.equal(targets.bincount(), torch.tensor([2, 3, 1]))


def test_the_parts_of_one_folder_share_no_image(photos):
    data = ready(photos)
    files = [set(data._files["train"]), set(data._files["test"])]
    assert not files[0] & files[1] and len(files[0] | files[1]) == 60
    train = {i for batch in epoch_of(data) for i in batch.index.tolist()}
    val = {i for batch in data.val_dataloader() for i in batch.index.tolist()}
    assert not train & val and train | val == set(range(54))


def test_thumbnails_are_those_test_images(photos):
    data = ready(photos, num_workers=1)
    images = torch.cat([batch.inputs for batch in data.test_dataloader()])
    assert torch.equal(data.thumbnails(torch.tensor([5, 2])), images[[5, 2]])


def test_existing_val_and_test_folders_are_used_as_they_are(split_photos):
    data = ready(split_photos, val_fraction=0.5)
    assert (data.train_size, data.val_size, data.test_size) == (20, 6, 8)


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_files_and_labels_are_numbered_as_in_torchvision(split_photos, part):
    data = ready(split_photos)
    reference = datasets.ImageFolder(split_photos / part)
    assert [str(path) for path in data._files[part]] == [path for path, _ in reference.samples]
    assert data._targets[part].tolist() == reference.targets


def test_evaluation_equals_torchvision(split_photos):
    data = ready(split_photos)
    shape = [transforms.Resize(18), transforms.CenterCrop(16), transforms.PILToTensor()]
    reference = datasets.ImageFolder(split_photos / "test", transforms.Compose(shape))
    batch = next(iter(data.test_dataloader()))
    assert (batch.view == data.views.identity).all()
    for image, label, (expected, target) in zip(batch.inputs, batch.targets, reference, strict=True):
        assert torch.equal(image, expected) and label == target


def test_workers_change_nothing(photos):
    assert_all_equal(epoch_of(ready(photos), 1), epoch_of(ready(photos, num_workers=2), 1))


def test_an_epoch_can_begin_at_any_batch(photos):
    data = ready(photos)
    whole = epoch_of(data, 1)
    assert len(whole) == len(data.train_dataloader()) == 4
    for first in range(5):
        assert_all_equal(epoch_of(data, 1, first), whole[first:])


def test_the_view_is_the_epoch_and_another_epoch_shows_another_crop(photos):
    data = ready(photos)
    first, second = (
        {i: image for b in epoch_of(data, e) for i, image in zip(b.index.tolist(), b.inputs, strict=True)}
        for e in (0, 1)
    )
    assert all((batch.view == 1).all() for batch in epoch_of(data, 1))
    assert not any(torch.equal(first[i], second[i]) for i in first)


def test_each_image_is_shown_in_the_view_of_its_own_index(photos):
    data = ready(photos)
    batch = epoch_of(data, 1)[0]
    for image, index in zip(batch.inputs, batch.index.tolist(), strict=True):
        picture = Image.open(data._files["train"][index])
        assert torch.equal(image, data.views.apply(picture, index, 1))


def test_reading_draws_no_global_random_numbers(photos):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    epoch_of(ready(photos))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_digest_depends_on_names_and_contents_and_not_on_location(photos, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(photos, copy)
    assert ready(copy).digest() == ready(photos).digest()
    (copy / "emu").rename(copy / "fox")
    renamed = ready(copy).digest()
    shutil.copy(copy / "cat/001.png", copy / "cat/002.png")
    assert len({ready(photos).digest(), renamed, ready(copy).digest()}) == 3


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_is_no_image_is_named(tmp_path, workers):
    write_images(tmp_path, {"cat": 10, "dog": 10})
    broken = tmp_path / "dog" / "004.png"
    broken.write_bytes(broken.read_bytes()[:200])
    data = ready(tmp_path, num_workers=workers)
    with pytest.raises(BadInput) as error:
        [*data.train_dataloader(), *data.val_dataloader(), *data.test_dataloader()]
    assert str(error.value).startswith(f"{broken} cannot be decoded as an image (")
    assert str(error.value).endswith("): replace it or remove it")


def test_an_absent_folder_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"data.root=.*/nowhere is not a folder: name one that holds train/<class>/"):
        ready(tmp_path / "nowhere")


def test_a_folder_without_classes_is_named(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "cat.png")
    (tmp_path / ".cache").mkdir()
    with pytest.raises(BadInput, match=f"{tmp_path} has no class folders: data.root must hold one folder of images"):
        ready(tmp_path)


def test_a_class_without_images_is_named(tmp_path):
    write_images(tmp_path, {"cat": 2, "dog": 0})
    (tmp_path / "dog" / "notes.txt").write_text("none yet")
    with pytest.raises(BadInput, match=r"/dog has no images \(.*\.jpg.*\): add some or remove the folder"):
        ready(tmp_path)


def test_a_class_that_is_not_trained_on_is_named(split_photos):
    write_images(split_photos / "test", {"bat": 1})
    with pytest.raises(BadInput, match="test/bat is not a class to train on; those are cat, dog: rename it"):
        ready(split_photos)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            {"test_fraction": 0},
            r"data.test_fraction must be in \(0, 1\), got 0; data.test_fraction=0.1 is the default",
        ),
        ({"num_workers": -1}, "data.num_workers must be a whole number, at least 0, got -1"),
        ({"image_size": None}, "data.image_size must be a whole number, at least 1, got None"),
        ({"min_scale": 0}, r"data.min_scale must be in \(0, 1\], got 0"),
        ({"crop_fraction": 1.5}, r"data.crop_fraction must be in \(0, 1\], got 1.5"),
        ({"flip": 1}, "data.flip must be true or false, got 1"),
        ({"batch_size": 0}, "data.batch_size must be a whole number, at least 1, got 0"),
    ],
)
def test_a_value_outside_its_range_is_refused(settings, text):
    with pytest.raises(BadInput, match=text):
        ImageFolder(root="photos", **settings)
