import numpy as np
import pytest
import scipy.special
import scipy.stats

from kdlab.tasks.dark_knowledge import TEMPERATURES, class_similarity, entropy, illustrative_samples, softened

LOGITS = np.random.default_rng(0).normal(scale=4, size=(40, 6))
TARGETS = np.random.default_rng(1).integers(0, 5, 40)  # the sixth class has no sample


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_probabilities_and_entropy_match_scipy(temperature):
    probabilities = softened(LOGITS, temperature)
    np.testing.assert_allclose(probabilities, scipy.special.softmax(LOGITS / temperature, axis=-1), rtol=1e-12)
    np.testing.assert_allclose(entropy(probabilities), scipy.stats.entropy(probabilities, axis=-1), rtol=1e-9)


def test_a_certain_prediction_has_no_entropy_and_large_logits_do_not_overflow():
    certain = softened(np.array([2000.0, 0.0, 0.0]), 1)
    assert certain.tolist() == [1.0, 0.0, 0.0]
    assert entropy(certain) == 0


def test_the_samples_have_the_highest_median_and_lowest_entropy():
    entropies = scipy.stats.entropy(scipy.special.softmax(LOGITS, axis=-1), axis=-1)
    chosen = illustrative_samples(LOGITS)
    assert chosen["most torn"] == entropies.argmax()
    assert chosen["surest"] == entropies.argmin()
    assert sorted(entropies)[20] == entropies[chosen["typical"]]


def test_similarity_is_the_mean_probability_by_true_class_without_the_diagonal():
    matrix = class_similarity(LOGITS, TARGETS, 4)
    for row in range(6):
        members = [scipy.special.softmax(LOGITS[i] / 4) for i in range(40) if TARGETS[i] == row]
        for column in range(6):
            if row == column or not members:
                assert np.isnan(matrix[row, column])
            else:
                assert matrix[row, column] == pytest.approx(np.mean([one[column] for one in members]))
