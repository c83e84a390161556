import pytest

from kdlab.reporting.evidence import Interval
from kdlab.reporting.render.figures.cascade import generations, steps
from tests.reporting.made_up import evidence, setting, with_run


def link(accuracy, params=5006):
    return {"test/accuracy": accuracy, "params": params}


def step(accuracy, params):
    return {"name": "step", "params": params, "figures": link(accuracy, params)}


def test_each_generation_is_the_mean_over_seeds_and_the_control_stands_beside_the_last(tmp_path):
    one = setting("three", {}, **{"control/test/accuracy": Interval(91.5, 0.3, 2)})
    one = with_run(one, tmp_path / "0", result={"generations": [link(90), link(92), link(93)]})
    one = with_run(one, tmp_path / "1", result={"generations": [link(91), link(93), link(95)]})
    picture = generations(evidence([one]))
    chain, control = picture.figure.axes[0].lines
    assert chain.get_xydata().tolist() == [[1, 90.5], [2, 92.5], [3, 94]]
    assert control.get_xydata().tolist() == [[3, 91.5]]
    assert "90.50 %, 92.50 %, 94.00 %; the control 91.50 %" in picture.alt


def test_steps_go_down_from_the_teacher_by_size(tmp_path):
    one = with_run(setting("two", {}), tmp_path / "0", result={"steps": [step(95, 20_000), step(93, 5_000)]})
    (axes,) = steps(evidence([one])).figure.axes
    assert axes.lines[0].get_xydata().tolist() == [[20_000, 95], [5_000, 93]]
    assert [43_674, pytest.approx(98.4)] in [line.get_xydata()[0].tolist() for line in axes.lines[1:]]
    assert axes.xaxis_inverted()


def test_runs_of_one_stage_or_with_figures_missing_have_no_chain(tmp_path):
    one = with_run(setting("one", {}), tmp_path / "0", result={"generations": [link(None), link(93)]})
    assert generations(evidence([one])) is None
    assert steps(evidence([one])) is None
