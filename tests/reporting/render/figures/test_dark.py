import numpy as np
import pytest
import scipy.special
import scipy.stats
from safetensors.numpy import load_file

from kdlab.reporting.render.figures.dark import dark_knowledge
from kdlab.tasks.dark_knowledge import TEMPERATURES
from tests.reporting.made_up import evidence, setting, with_run


def test_bars_are_the_teachers_softened_probabilities_with_their_entropy(tmp_path):
    pictures = dark_knowledge(evidence([with_run(setting("T 4", {}), tmp_path / "run")]))
    logits = load_file(tmp_path / "run" / "teacher" / "predictions.safetensors")["logits"].astype(float)
    entropies = scipy.stats.entropy(scipy.special.softmax(logits, axis=-1), axis=-1)
    uncertain = logits[entropies.argmax()]
    axes = pictures[0].figure.axes[0]
    widths = np.reshape([bar.get_width() for bar in axes.patches], (len(TEMPERATURES), 10))
    expected = [scipy.special.softmax(uncertain / temperature) for temperature in TEMPERATURES]
    np.testing.assert_allclose(widths, 0.9 * np.array(expected), rtol=1e-5)
    assert [text.get_text().split("\n")[1] for text in axes.texts] == [
        f"{scipy.stats.entropy(one):.2f}" for one in expected
    ]
    assert [text.get_text() for text in axes.get_yticklabels()][:4] == ["airplane", "automobile", "bird", "polar cat"]
    (picture,) = pictures[0].figure.axes[1].images
    np.testing.assert_array_equal(picture.get_array(), np.full((4, 6, 3), entropies.argmax()))


@pytest.mark.parametrize("content", [None, b"damaged", b"\x02\0\0\0\0\0\0\0{}"])
def test_without_examples_of_the_stage_there_are_numbers_and_no_picture(content, tmp_path):
    one = with_run(setting("T 4", {}), tmp_path / "run")
    file = tmp_path / "run" / "teacher" / "examples.safetensors"
    file.write_bytes(content) if content else file.unlink()
    samples, similarity = dark_knowledge(evidence([one]))[:3], dark_knowledge(evidence([one]))[3]
    for picture in samples:
        (axes,) = picture.figure.axes
        assert [text.get_text() for text in axes.get_yticklabels()] == [str(label) for label in range(10)]
    assert [text.get_text() for text in similarity.figure.axes[0].get_xticklabels()] == list("0123456789")


def test_the_strongest_similarity_is_named(tmp_path):
    *_, picture = dark_knowledge(evidence([with_run(setting("T 4", {}), tmp_path / "run")]))
    content = load_file(tmp_path / "run" / "teacher" / "predictions.safetensors")
    probabilities = scipy.special.softmax(content["logits"].astype(float) / 4, axis=-1)
    means = np.array([probabilities[content["targets"] == label].mean(0) for label in range(10)])
    np.fill_diagonal(means, 0)
    assert f"{100 * means.max():.1f} %" in picture.alt
    (shown,) = picture.figure.axes[0].images
    np.testing.assert_allclose(shown.get_array().filled(0), 100 * means, rtol=1e-6)


def test_without_a_teachers_predictions_there_is_nothing(tmp_path):
    one = with_run(setting("T 4", {}), tmp_path / "run")
    (tmp_path / "run" / "teacher" / "predictions.safetensors").unlink()
    assert dark_knowledge(evidence([one])) == []
