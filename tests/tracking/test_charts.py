"""Charts of a cell: confusion matrices with the names of classes, counted a second way by scikit-learn."""

from collections import Counter

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix

from kdlab.models.saved import save_examples, save_predictions
from kdlab.tracking.charts import CONFUSIONS, LARGEST_MATRIX, confusion

ANIMALS = ["cat", "dog", "polar_bear"]


def stage(folder, classes, names, samples=400):
    """A folder with predictions, and what was predicted of what."""
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(samples, classes, generator=generator)
    targets = torch.randint(classes, (samples,), generator=generator)
    save_predictions(folder, logits, targets)
    if names:
        save_examples(folder, names, {0: torch.zeros(3, 4, 4, dtype=torch.uint8)})
    return targets.numpy(), logits.argmax(-1).numpy()


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (ANIMALS, ["cat", "dog", "polar bear"]),
        ([], ["0", "1", "2"]),
        (["cat", "dog"], ["0", "1", "2"]),  # of other data
    ],
)
def test_a_confusion_matrix_names_its_classes(tmp_path, names, shown):
    actual, predicted = stage(tmp_path, 3, names)
    rows = confusion(tmp_path).table.data
    expected = confusion_matrix(actual, predicted, labels=range(3))
    assert {(true, guess): count for true, guess, count in rows} == {
        (shown[i], shown[j]): expected[i, j] for i in range(3) for j in range(3)
    }


def test_the_pairs_of_many_classes_have_names_too(tmp_path):
    names = [f"breed_{number}" for number in range(LARGEST_MATRIX + 1)]
    actual, predicted = stage(tmp_path, len(names), names)
    table = confusion(tmp_path)
    wrong = Counter(
        (f"breed {true}", f"breed {guess}") for true, guess in zip(actual, predicted, strict=True) if true != guess
    )
    assert table.columns == ["Actual", "Predicted", "nPredictions"]
    assert len(table.data) == CONFUSIONS
    assert all(wrong[true, guess] == count for true, guess, count in table.data)
    assert [count for *_, count in table.data] == sorted(wrong.values(), reverse=True)[:CONFUSIONS]


def test_without_predictions_there_is_no_matrix(tmp_path):
    assert confusion(tmp_path) is None
    np.testing.assert_equal(list(tmp_path.iterdir()), [])
