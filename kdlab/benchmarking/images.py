"""Images of noise: a data set of any size without a download."""

from dataclasses import dataclass

from kdlab.benchmarking.noise import noise
from kdlab.data.image.memory import Arrays, InMemory, Reader
from kdlab.settings.numbers import is_whole

TEST_SAMPLES = 32


@dataclass(frozen=True)
class ReadNoise:
    """Draws `samples` images to train on, the same ones each time.

    Args:
        samples: of the training set.
        classes: the labels cycle through them.
        side: in pixels.
    """

    samples: int
    classes: int
    side: int

    def __call__(self, source: str) -> Arrays:
        """The samples of one source, `train` or `test`."""
        count = self.samples if source == "train" else TEST_SAMPLES
        return Arrays(*noise(count, self.classes, self.side), tuple(map(str, range(self.classes))))


@dataclass(eq=False, kw_only=True)
class Noise(InMemory):
    """Noise of uint8.

    Args:
        samples: to train on, at least 1; there are 32 to test on.
        classes: at least 2.
    """

    samples: int = 4096
    classes: int = 100

    def check(self) -> None:
        """Refuse values outside their range."""
        super().check()
        self.require("samples", is_whole(self.samples, 1), "a whole number, at least 1")
        self.require("classes", is_whole(self.classes, 2), "a whole number, at least 2")

    def reader(self) -> Reader:
        """What draws the images."""
        return ReadNoise(self.samples, self.classes, self.image_size or 32)
