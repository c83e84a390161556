"""Handwritten digits that come with scikit-learn: real data without a download."""

from dataclasses import dataclass

import torch

from kdlab.data.image.memory import Arrays, InMemory, Reader
from kdlab.data.split import stratified_order

TEST_SAMPLES = 500
TEST_SEED = 1797
"""Fixes which images are the test set: the same for every `split_seed`. The number is that of all images."""


@dataclass(eq=False, kw_only=True)
class Digits(InMemory):
    """1,797 images of 8 by 8 pixels, ten classes; 1,297 to train on and a fixed, stratified test set of 500.

    No mirror images: a mirrored digit is another symbol. With padding 4 there are 81 views.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998: its test part.
    """

    def reader(self) -> Reader:
        """Reads scikit-learn's copy."""
        return read_digits


def read_digits(source: str) -> Arrays:
    """One list of scikit-learn's digits, as published but for the scale: 0..16 becomes 0..255.

    Args:
        source: `train` or `test`.
    """
    from sklearn.datasets import load_digits  # slow to import

    digits = load_digits()
    images = torch.from_numpy(digits.images).mul(255 / 16).round().to(torch.uint8)[:, None]
    labels = torch.from_numpy(digits.target).long()
    order = stratified_order(labels, TEST_SEED)
    chosen = order[:TEST_SAMPLES] if source == "test" else order[TEST_SAMPLES:]
    chosen = chosen.sort().values
    return Arrays(images[chosen], labels[chosen], tuple(str(name) for name in digits.target_names))
