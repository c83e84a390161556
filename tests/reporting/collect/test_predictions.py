import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torchmetrics.functional.classification import multiclass_calibration_error

from kdlab.models.saved import save_examples
from kdlab.reporting.collect.predictions import correctness, examples, predictions, reliability


@pytest.fixture
def stage(tmp_path):
    random = np.random.default_rng(3)
    logits = random.normal(scale=3, size=(500, 10)).astype(np.float32)
    targets = np.where(random.random(500) < 0.6, logits.argmax(1), random.integers(10, size=500))
    save_file({"logits": logits, "targets": targets}, tmp_path / "predictions.safetensors")
    return tmp_path, logits, targets


def test_the_bins_add_up_to_the_calibration_error_of_torchmetrics(stage):
    folder, logits, targets = stage
    bins = reliability(folder)
    error = sum(count * abs(confidence - accuracy) for confidence, accuracy, count in bins) / 500
    probabilities = torch.tensor(logits).softmax(-1)
    expected = multiclass_calibration_error(probabilities, torch.tensor(targets), num_classes=10, n_bins=15)
    assert error == pytest.approx(expected.item(), abs=1e-6)
    assert sum(count for *_, count in bins) == 500
    assert all(index / 15 <= confidence <= (index + 1) / 15 for confidence, index in _bin_indices(bins))


def _bin_indices(bins):
    return [(confidence, int(confidence * 15)) for confidence, *_ in bins]


def test_correctness_compares_the_prediction_with_the_target(stage):
    folder, logits, targets = stage
    assert (correctness(folder) == (logits.argmax(1) == targets)).all()


def test_unlabelled_positions_of_sequences_do_not_count(tmp_path):
    logits = np.zeros((2, 3, 4), dtype=np.float32)
    logits[..., 1] = 1
    save_file(
        {"logits": logits, "targets": np.array([[1, -100, 0], [1, 1, -100]])}, tmp_path / "predictions.safetensors"
    )
    assert correctness(tmp_path).tolist() == [True, False, True, True]


@pytest.mark.parametrize("content", [None, b"", b"damaged"])
def test_without_a_readable_file_there_are_no_predictions(tmp_path, content):
    if content is not None:
        (tmp_path / "predictions.safetensors").write_bytes(content)
    assert predictions(tmp_path) is correctness(tmp_path) is reliability(tmp_path) is None


def test_examples_are_as_they_were_saved(tmp_path):
    pictures = {17: torch.arange(60, dtype=torch.uint8).view(3, 4, 5), 3: torch.zeros(1, 2, 2, dtype=torch.uint8)}
    save_examples(tmp_path, ("cat", "polar_bear"), pictures)
    found = examples(tmp_path, 2)
    assert found.names == ("cat", "polar bear")
    assert set(found.pictures) == {3, 17}
    for sample, picture in found.pictures.items():
        np.testing.assert_array_equal(picture, pictures[sample].permute(1, 2, 0).numpy())


def test_classes_have_their_numbers_where_names_are_missing_or_of_other_classes(tmp_path):
    assert examples(tmp_path, 3).names == ("0", "1", "2")
    save_examples(tmp_path, ("cat", "dog"), {})
    assert examples(tmp_path, 3).names == ("0", "1", "2")
