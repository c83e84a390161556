"""Dark knowledge: a teacher's probabilities of the other classes, at higher temperatures.

Hinton, Vinyals & Dean, "Distilling the Knowledge in a Neural Network", 2015 (arXiv:1503.02531).
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

TEMPERATURES = (1, 2, 4, 8, 20)


def softened(logits: Array, temperature: float) -> Array:
    """Probabilities `softmax(logits / temperature)`.

    Args:
        logits: `(…, classes)`.
        temperature: above 0.
    """
    scaled = logits / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def entropy(probabilities: Array) -> Array:
    """Shannon entropy in nats.

    Args:
        probabilities: `(…, classes)`, each row summing to 1.
    """
    logarithms = np.log(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0)
    return np.asarray(-(probabilities * logarithms).sum(axis=-1))


def illustrative_samples(logits: Array) -> dict[str, int]:
    """Three samples: highest, median and lowest entropy of the predictions at temperature 1.

    Args:
        logits: `(samples, classes)`.

    Returns:
        The index of each: `most torn` (highest), `typical` (median), `surest` (lowest).
    """
    order = np.argsort(entropy(softened(logits, 1)), kind="stable")
    return {"most torn": int(order[-1]), "typical": int(order[len(order) // 2]), "surest": int(order[0])}


def class_similarity(logits: Array, targets: NDArray[np.int64], temperature: float) -> Array:
    """Mean probability of each class for samples of each other class.

    Args:
        logits: `(samples, classes)`.
        targets: `(samples,)`, the true classes.
        temperature: above 0.

    Returns:
        `(classes, classes)`: row `i` is the mean softened probability over the samples of class `i`. The diagonal,
        and the rows of classes without a sample, are NaN.
    """
    probabilities = softened(logits, temperature)
    classes = logits.shape[1]
    similarity = np.full((classes, classes), np.nan)
    for label in np.unique(targets):
        similarity[label] = probabilities[targets == label].mean(axis=0)
    np.fill_diagonal(similarity, np.nan)
    return similarity
