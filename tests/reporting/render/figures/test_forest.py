from kdlab.reporting.evidence import Interval
from kdlab.reporting.render.figures.forest import MOST_ROWS, Row, forest


def rows(count):
    return [Row(f"T {index}", Interval(count - index, 0.5, 3), (0.0, 1.0), index == 0) for index in range(count)]


def dots(axes):
    return [line for line in axes.lines if line.get_marker() == "o"]


def test_each_row_has_its_dot_and_its_interval_in_order():
    (axes,) = forest(rows(3), "gain").axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["T 0", "T 1", "T 2"]
    assert [(dot.get_xdata()[0], dot.get_ydata()[0]) for dot in dots(axes)] == [(3, 0), (2, -1), (1, -2)]
    drawn = {tuple(line.get_xdata()) for line in axes.lines}
    assert {(2.5, 3.5), (1.5, 2.5), (0.5, 1.5)} <= drawn


def test_of_hundreds_the_first_and_last_are_shown_and_the_rest_counted():
    (axes,) = forest(rows(200), "gain").axes
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert (labels[0], labels[-1]) == ("T 0", "T 199")
    assert len(labels) == MOST_ROWS
    (gap,) = [label for label in labels if "more" in label]
    assert gap == f"… {200 - (len(labels) - 1)} more …"
    assert len(dots(axes)) == len(labels) - 1


def test_one_seed_has_a_dot_without_an_interval():
    (axes,) = forest([Row("T 4", Interval(1.0, None, 1))], "gain").axes
    assert len(dots(axes)) == 1
    assert len(axes.lines) == 2  # the dot and the line at zero
