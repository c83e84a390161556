import numpy as np
import pytest
import scipy.special
from safetensors.numpy import load_file

from kdlab.reporting.render.figures.reliability import calibration
from tests.reporting.made_up import evidence, setting, with_run


def test_the_lines_are_those_of_the_bins_and_the_error_is_that_of_the_definition(tmp_path):
    picture = calibration(evidence([with_run(setting("T 4", {}), tmp_path / "run")]))
    content = load_file(tmp_path / "run" / "student" / "predictions.safetensors")
    probabilities = scipy.special.softmax(content["logits"].astype(float), axis=-1)
    confidence, right = probabilities.max(-1), probabilities.argmax(-1) == content["targets"]
    bins = [(confidence >= i / 15) & (confidence < (i + 1) / 15) for i in range(15)]
    error = sum(abs(confidence[one].mean() - right[one].mean()) * one.mean() for one in bins if one.any())
    assert f"student {error:.3f}" in picture.alt
    (line,) = [line for line in picture.figure.axes[0].lines if line.get_label().startswith("student")]
    assert line.get_ydata() == pytest.approx([100 * right[one].mean() for one in bins if one.any()])
    assert line.get_xdata() == pytest.approx([100 * confidence[one].mean() for one in bins if one.any()], rel=1e-5)


def test_only_networks_with_predictions_are_shown(tmp_path):
    one = with_run(setting("T 4", {}), tmp_path / "run")
    (tmp_path / "run" / "baseline" / "predictions.safetensors").unlink()
    labels = [line.get_label() for line in calibration(evidence([one])).figure.axes[0].lines]
    assert np.any([label.startswith("student") for label in labels])
    assert not any(label.startswith("baseline") for label in labels)
    assert calibration(evidence([setting("T 4", {})])) is None
