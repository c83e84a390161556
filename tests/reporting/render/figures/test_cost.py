from kdlab.reporting.evidence import Interval
from kdlab.reporting.render.figures.cost import costs
from kdlab.reporting.render.figures.style import in_style
from tests.reporting.made_up import evidence, setting

SIZES = {"small": (1000, 90.0), "wasteful": (3000, 89.0), "large": (5000, 95.0)}


def made():
    return evidence(
        [
            setting(name, {"model/student": name}, accuracy, **{"student/params": Interval(size, 0.0, 3)})
            for name, (size, accuracy) in SIZES.items()
        ]
    )


def test_the_front_is_named_cheapest_first_and_leaves_out_what_is_beaten():
    params = costs(made())[0]
    assert params.name == "cost-params"
    assert "cheapest first: small, 1 k, 90.00 %; large, 5 k, 95.00 %; teacher, 43.7 k, 98.40 %." in params.alt


def test_students_baselines_and_the_one_teacher_have_their_markers():
    (axes,) = costs(made())[0].figure.axes
    markers = {line.get_label(): list(line.get_xdata()) for line in axes.lines if line.get_marker() != "None"}
    assert markers["student"] == [1000, 3000, 5000]
    assert markers["teacher"] == [43_674]
    assert markers["best setting"] == [1000]


def test_a_cost_that_is_the_same_for_all_has_no_plot():
    assert {picture.name for picture in costs(made())} == {"cost-params", "cost-seconds"}


def test_the_labels_of_a_logarithmic_axis_are_short_numbers_at_1_2_and_5():
    far = evidence([setting("far", {}, 90.0, **{"student/params": Interval(4_000, 0.0, 3)})])
    with in_style():
        (axes,) = costs(far)[0].figure.axes
        axes.figure.canvas.draw()
    assert axes.get_xscale() == "log"
    low, high = axes.get_xlim()
    labels = {at: label.get_text() for at, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)}
    assert {at: text for at, text in labels.items() if low <= at <= high} == {
        5_000: "5 k",
        10_000: "10 k",
        20_000: "20 k",
    }
    assert {label.get_text() for label in axes.get_xticklabels(minor=True)} <= {""}
