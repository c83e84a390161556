import itertools

import numpy as np

from kdlab.reporting.evidence import Interval
from kdlab.reporting.render.figures.effects import effects, grid
from tests.reporting.made_up import evidence, setting, temperatures


def test_a_grid_has_each_value_in_its_cell_and_the_mean_of_several():
    arranged = grid([(4, 0.9, 1.0), (2, 0.5, 2.0), (4, 0.5, 3.0), (4, 0.9, 5.0)])
    assert arranged.columns == (2, 4)
    assert arranged.rows == (0.5, 0.9)
    np.testing.assert_array_equal(arranged.cells, [[2.0, 3.0], [np.nan, 3.0]])


def test_two_numbers_make_heatmaps_that_write_and_frame_their_values():
    validation, gain = effects(temperatures())
    (axes,) = validation.figure.axes
    written = {(t.get_position(), t.get_text()) for t in axes.texts}
    expected = {  # validation accuracy is 95 + T / 10 + alpha - 0.3
        ((column + 0.5, row + 0.5), f"{95 + t / 10 + alpha - 0.3:.1f}")
        for (column, t), (row, alpha) in itertools.product(enumerate((2, 4, 8)), enumerate((0.5, 0.9)))
    }
    assert written == expected
    (frame,) = axes.patches
    assert (frame.get_x(), frame.get_y()) == (2, 1)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("loss.temperature", "loss.alpha")
    assert "highest, 96.40, at loss.temperature 8 and loss.alpha 0.9" in validation.alt
    assert gain.name == "effect-gain"


def test_one_number_makes_a_line_with_the_band_of_its_intervals():
    settings = [setting(f"T {t}", {"loss.temperature": t}, 90 + t) for t in (8, 2, 4)]
    validation, _ = effects(evidence(settings, {"loss.temperature": (2, 4, 8)}))
    (axes,) = validation.figure.axes
    (line,) = axes.lines
    np.testing.assert_allclose(line.get_xydata(), [(2, 91.7), (4, 93.7), (8, 97.7)])
    (band,) = axes.collections
    heights = band.get_paths()[0].vertices[:, 1]
    np.testing.assert_allclose([heights.min(), heights.max()], [91.7 - 0.55, 97.7 + 0.55])


def test_the_band_of_a_share_ends_at_100_percent():
    wide = {"student/val/accuracy": Interval(98.5, 3.0, 3)}
    settings = [setting(f"T {t}", {"loss.temperature": t}, **wide) for t in (2, 4)]
    validation, _ = effects(evidence(settings, {"loss.temperature": (2, 4)}))
    (band,) = validation.figure.axes[0].collections
    heights = band.get_paths()[0].vertices[:, 1]
    np.testing.assert_allclose([heights.min(), heights.max()], [95.5, 100])


def test_a_search_is_points_in_the_plane():
    draw = np.random.default_rng(0)
    settings = [setting(f"s{i}", {"lr": 10 ** draw.uniform(-4, -1), "wd": draw.uniform()}) for i in range(30)]
    pictures = effects(evidence(settings, {"lr": tuple(range(30)), "wd": tuple(range(30))}))
    axes = pictures[0].figure.axes[0]
    np.testing.assert_allclose(
        sorted(axes.collections[0].get_offsets()[:, 0]), sorted(one.values["lr"] for one in settings)
    )
    assert axes.get_xscale() == "log"


def test_settings_that_are_text_have_no_axis():
    settings = [setting(loss, {"loss": loss}) for loss in ("dkd", "response")]
    assert effects(evidence(settings, {"loss": ("dkd", "response")})) == []
