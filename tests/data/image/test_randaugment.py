"""RandAugment of torchvision, replayed from position and view."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import RandAugment

from kdlab.data.batch import BatchIndices
from kdlab.data.image.digits import Digits
from kdlab.data.image.folder import ImageFolder
from kdlab.data.image.randaugment import randaugmented
from kdlab.data.seeds import Stream, derive_seed

IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (5, 3, 32, 32), dtype=np.uint8))
SAMPLES, VIEW = torch.tensor([4, 9, 9, 0, 4]), torch.tensor([7, 7, 8, 1, 7])


def test_it_is_torchvisions_with_a_seed_of_position_and_view():
    found = randaugmented(IMAGES, SAMPLES, VIEW, 9)
    for image, index, view, changed in zip(IMAGES, SAMPLES.tolist(), VIEW.tolist(), found, strict=True):
        with torch.random.fork_rng():
            torch.manual_seed(derive_seed(Stream.RANDAUGMENT, index, view))
            assert torch.equal(RandAugment(num_ops=2, magnitude=9)(image), changed)


def test_an_image_depends_on_no_other_and_the_global_generator_stays():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    found = randaugmented(IMAGES[[1, 3]], SAMPLES[[1, 3]], VIEW[[1, 3]], 9)
    assert torch.equal(torch.rand(2), expected)
    assert torch.equal(found, randaugmented(IMAGES, SAMPLES, VIEW, 9)[[1, 3]])
    assert not torch.equal(found[0], randaugmented(IMAGES[[1]], SAMPLES[[1]], VIEW[[2]], 9)[0])


def test_a_data_set_augments_what_it_trains_on_and_nothing_else():
    plain, augmented = Digits(), Digits(randaugment=9)
    for data in (plain, augmented):
        data.setup("fit")
    indices = BatchIndices(torch.tensor([3, 50]), torch.tensor([0, 60]))
    (before,), (after,) = (list(data.training_inputs([indices])) for data in (plain, augmented))
    assert torch.equal(after, randaugmented(before, *indices, 9))
    for split in ("val_dataloader", "test_dataloader"):
        one, other = (next(iter(getattr(data, split)())).inputs for data in (plain, augmented))
        assert torch.equal(one, other)
    assert augmented.pixels()["randaugment"] == 9 and "randaugment" not in plain.pixels()


@pytest.mark.parametrize("workers", [0, 1])
def test_image_files_are_augmented_in_their_views(workers, tmp_path):
    for split in ("train", "test"):
        for name in ("a", "b"):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(4):
                pixels = np.random.default_rng(number).integers(0, 256, (40, 40, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / split / name / f"{number}.png")
    settings = {"root": str(tmp_path), "image_size": 32, "val_fraction": 0, "num_workers": workers}
    plain, augmented = ImageFolder(**settings), ImageFolder(**settings, randaugment=9)
    for data in (plain, augmented):
        data.setup("fit")
    indices = BatchIndices(torch.tensor([1, 6]), torch.tensor([2, 2]))
    (before,), (after,) = (list(data.training_inputs([indices])) for data in (plain, augmented))
    assert torch.equal(after, randaugmented(before, *indices, 9))
    one, other = (next(iter(data.test_dataloader())).inputs for data in (plain, augmented))
    assert torch.equal(one, other)
