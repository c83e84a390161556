import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from torch import nn

from kdlab.tasks.metrics import agreement, classification_figures, flops, kl_to_teacher, parameter_count, predict

RNG = np.random.default_rng(0)
LOGITS, TEACHER = RNG.normal(size=(2, 200, 7)) * 3
TARGETS = RNG.integers(0, 7, size=200)


def expected_calibration_error(logits, targets):
    """Guo et al. 2017, equation 3, with 15 bins."""
    probabilities = softmax(logits, axis=1)
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == targets
    bins = np.minimum((confidence * 15).astype(int), 14)
    gaps = [abs(correct[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)]
    return sum(gaps)


def test_figures_match_their_definitions():
    figures = classification_figures(torch.tensor(LOGITS), torch.tensor(TARGETS))
    assert figures["accuracy"] == pytest.approx(100 * (LOGITS.argmax(1) == TARGETS).mean())
    assert figures["nll"] == pytest.approx(-log_softmax(LOGITS, axis=1)[np.arange(200), TARGETS].mean(), rel=1e-6)
    assert figures["ece"] == pytest.approx(expected_calibration_error(LOGITS, TARGETS), abs=1e-5)


def test_samples_without_a_label_are_left_out():
    targets = torch.tensor(TARGETS)
    targets[100:] = -100
    kept = classification_figures(torch.tensor(LOGITS[:100]), torch.tensor(TARGETS[:100]))
    assert classification_figures(torch.tensor(LOGITS), targets) == kept


def test_likeness_to_a_teacher_matches_its_definition():
    student, teacher = torch.tensor(LOGITS), torch.tensor(TEACHER)
    assert agreement(student, teacher) == pytest.approx(100 * (LOGITS.argmax(1) == TEACHER.argmax(1)).mean())
    log_s, log_t = log_softmax(LOGITS, axis=1), log_softmax(TEACHER, axis=1)
    assert kl_to_teacher(student, teacher) == pytest.approx((np.exp(log_t) * (log_t - log_s)).sum(1).mean(), rel=1e-6)


def test_flops_of_a_convolution_count_a_multiply_add_as_two():
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.Flatten(), nn.Linear(8 * 25, 4))
    assert flops(network, torch.zeros(1, 3, 5, 5)) == 2 * (8 * 3 * 9 * 25 + 8 * 25 * 4)
    assert network.training


def test_shared_parameters_count_once():
    layer = nn.Linear(3, 3)
    assert parameter_count(nn.ModuleList([layer, layer])) == 12


def test_predicting_keeps_order_and_mode():
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5))
    inputs = torch.arange(10.0).view(5, 1, 2)
    batches = [(inputs[:3], torch.arange(3)), (inputs[3:], torch.arange(3, 5))]
    logits, targets = predict(network, batches, torch.device("cpu"))
    torch.testing.assert_close(logits, inputs.flatten(1))
    assert targets.tolist() == [0, 1, 2, 3, 4]
    assert network.training
