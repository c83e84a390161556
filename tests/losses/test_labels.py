import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from kdlab.losses import ce

LOGITS = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0], [2.0, 2.0, 2.0]])


def reference(logits, labels):
    chosen = [-log_softmax(row)[label] for row, label in zip(logits.numpy(), labels, strict=True) if label >= 0]
    return np.mean(chosen)


@pytest.mark.parametrize("labels", [[0, 1, 2], [2, 2, 2], [0, -100, 1]])
def test_is_the_mean_over_what_has_a_label(labels):
    assert ce(LOGITS, torch.tensor(labels)).item() == pytest.approx(reference(LOGITS, labels), rel=1e-6)


def test_is_zero_with_a_zero_gradient_where_nothing_has_a_label():
    logits = LOGITS.clone().requires_grad_()
    value = ce(logits, torch.full((3,), -100))
    value.backward()
    assert value.item() == 0
    assert logits.grad.abs().sum() == 0


def test_takes_sequences():
    labels = torch.tensor([0, -100, 2])
    torch.testing.assert_close(ce(LOGITS[None], labels[None]), ce(LOGITS, labels))


def test_label_smoothing_spreads_a_share_of_each_label_over_all_classes():
    labels, share = [0, -100, 1], 0.3
    known = [row for row, label in enumerate(labels) if label >= 0]
    targets = share / 3 + (1 - share) * np.eye(3)[[labels[row] for row in known]]
    expected = np.mean([-(targets[i] * log_softmax(LOGITS[row].numpy())).sum() for i, row in enumerate(known)])
    assert ce(LOGITS, torch.tensor(labels), label_smoothing=share).item() == pytest.approx(expected, rel=1e-6)
