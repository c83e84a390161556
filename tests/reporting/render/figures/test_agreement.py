from kdlab.reporting.render.figures.agreement import agreement
from kdlab.reporting.render.figures.best_minus_last import best_minus_last
from kdlab.reporting.render.figures.gains import gains
from tests.reporting.made_up import evidence, setting, temperatures


def test_each_setting_is_a_point_of_divergence_and_agreement():
    made = temperatures()
    picture = agreement(made)
    points = picture.figure.axes[0].lines[0].get_xydata().tolist()
    assert points == [[s.figures["kl_to_teacher"].mean, s.figures["agreement"].mean] for s in made.settings]
    assert f"{made.settings[0].label} agrees most" in picture.alt


def test_one_point_is_no_plot():
    assert agreement(evidence([setting("T 4", {})])) is None
    assert best_minus_last(evidence([setting("T 4", {})])) is None


def test_the_caption_of_gains_counts_those_that_exclude_zero():
    settings = [
        setting("a", {}, gain=(2.0, 0.5)),
        setting("b", {}, gain=(0.2, 0.5)),
        setting("c", {}, gain=(-1.0, 0.4)),
    ]
    picture = gains(evidence(settings))
    assert "In 2 of 3 settings it excludes zero." in picture.caption
    assert "from -1.00 to +2.00 points" in picture.alt
    assert gains(evidence([])) is None
