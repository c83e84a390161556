import numpy as np

from kdlab.seeds import Stream, generator


def test_every_use_has_a_stream_of_its_own():
    numbers = {generator(stream, 0, 0).integers(2**62) for stream in Stream}
    assert len(numbers) == len(Stream.__members__)


def test_numbers_depend_on_every_counter_and_on_nothing_else():
    first = generator(Stream.ORDER, 3, 4).random(5)
    np.random.seed(1)
    assert (generator(Stream.ORDER, 3, 4).random(5) == first).all()
    assert (generator(Stream.ORDER, 4, 3).random(5) != first).all()
    assert (generator(Stream.ORDER, 3, 5).random(5) != first).all()
