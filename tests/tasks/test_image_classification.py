import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from kdlab.tasks.image_classification import ImageClassification

RNG = np.random.default_rng(0)
LOGITS, TEACHER = RNG.normal(size=(2, 200, 7)) * 3
TASK = ImageClassification()
TARGETS = RNG.integers(0, 7, size=200)


def expected_calibration_error(logits, targets):
    """Guo et al. 2017, equation 3, with 15 bins."""
    probabilities = softmax(logits, axis=1)
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == targets
    bins = np.minimum((confidence * 15).astype(int), 14)
    gaps = [abs(correct[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)]
    return sum(gaps)


def test_figures_match_their_definitions():
    figures = TASK.figures(torch.tensor(LOGITS), torch.tensor(TARGETS))
    assert figures["accuracy"] == pytest.approx(100 * (LOGITS.argmax(1) == TARGETS).mean())
    assert figures["nll"] == pytest.approx(-log_softmax(LOGITS, axis=1)[np.arange(200), TARGETS].mean(), rel=1e-6)
    assert figures["ece"] == pytest.approx(expected_calibration_error(LOGITS, TARGETS), abs=1e-5)


def test_samples_without_a_label_are_left_out():
    targets = torch.tensor(TARGETS)
    targets[100:] = -100
    kept = TASK.figures(torch.tensor(LOGITS[:100]), torch.tensor(TARGETS[:100]))
    assert TASK.figures(torch.tensor(LOGITS), targets) == kept


def test_similarity_to_a_teacher_matches_its_definition():
    student, teacher = torch.tensor(LOGITS), torch.tensor(TEACHER)
    found = TASK.compare(student, teacher)
    assert found["agreement"] == pytest.approx(100 * (LOGITS.argmax(1) == TEACHER.argmax(1)).mean())
    log_s, log_t = log_softmax(LOGITS, axis=1), log_softmax(TEACHER, axis=1)
    assert found["kl_to_teacher"] == pytest.approx((np.exp(log_t) * (log_t - log_s)).sum(1).mean(), rel=1e-6)


def test_validation_metrics_over_batches_equal_those_of_the_whole_set():
    logits, targets = torch.tensor(LOGITS), torch.tensor(TARGETS)
    metrics = TASK.metrics()
    for rows in torch.arange(200).split(37):
        metrics.update(logits[rows], targets[rows])
    whole = TASK.figures(logits, targets)
    assert {name: value.item() for name, value in metrics.compute().items()} == pytest.approx(
        {name: whole[name] for name in ("accuracy", "nll")}, rel=1e-12
    )


def test_the_majority_class_is_that_of_the_training_labels():
    train, test = torch.tensor([2, 2, 2, 0, 1, 1]), torch.tensor([2, 1, 1, 1, 0])
    assert TASK.references(train, test) == {"majority class": {"accuracy": 20.0}}
