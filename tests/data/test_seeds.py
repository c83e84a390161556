import numpy as np
import torch

from kdlab.data.seeds import Stream, derive_seed, generator
from kdlab.methods.reseed import reseed


def test_every_use_has_a_stream_of_its_own():
    numbers = {generator(stream, 0, 0).integers(2**62) for stream in Stream}
    assert len(numbers) == len(Stream.__members__)


def test_numbers_depend_on_every_counter_and_on_nothing_else():
    first = generator(Stream.ORDER, 3, 4).random(5)
    np.random.seed(1)
    assert (generator(Stream.ORDER, 3, 4).random(5) == first).all()
    assert (generator(Stream.ORDER, 4, 3).random(5) != first).all()
    assert (generator(Stream.ORDER, 3, 5).random(5) != first).all()


def test_torch_draws_what_it_draws_after_its_own_seeding():
    seed = derive_seed(Stream.STEP, 1, 2)
    torch.manual_seed(seed)
    expected = torch.rand(3)
    torch.rand(5)
    reseed(seed, torch.device("cpu"))
    assert torch.equal(torch.rand(3), expected)


def test_a_gpu_is_seeded_too(monkeypatch):
    seen = []
    monkeypatch.setattr(torch.cuda, "manual_seed", seen.append)
    reseed(7, torch.device("cuda", 1))
    assert seen == [7]
