"""Progressive distillation: temperature and alpha at each step of the cascade."""

import pytest

from kdlab.errors import BadInput
from kdlab.jobs.training.parts import make_method
from kdlab.methods import Progressive
from tests.small import tiny_plan

TERMS = {
    "ce": {"weight": 0.2},
    "response_kd": {"weight": 0.8, "temperature": 4.0},
    "feature": {"_target_": "kdlab.losses.normalised_distance", "weight": 0.0, "taps": ["mid"]},
}


def at(step, **arguments):
    """The method of a step."""
    return Progressive(**{"temperature": 4.0, "alpha": 0.8, **arguments}, step=step)


def temperature_and_alpha(step, **arguments):
    """Its temperature and alpha."""
    method = at(step, **arguments)
    return method.temperature, method.alpha


def test_the_temperature_rises_and_alpha_falls_from_step_to_step():
    assert [temperature_and_alpha(step) for step in range(4)] == [(4.0, 0.8), (5.0, 0.7), (6.0, 0.6), (7.0, 0.5)]
    faster = [temperature_and_alpha(step, temperature_step=2.5, alpha_step=0.25) for step in range(3)]
    assert faster == [(4.0, 0.8), (6.5, 0.55), (9.0, 0.3)]


def test_temperature_and_alpha_stay_within_bounds_in_long_cascades():
    assert temperature_and_alpha(100) == (20.0, 0.1)
    assert [temperature_and_alpha(step)[1] for step in (6, 7, 8)] == [0.2, 0.1, 0.1]


def test_initial_values_beyond_a_bound_stay_constant():
    assert temperature_and_alpha(3, temperature=30.0, alpha=0.05) == (30.0, 0.05)


@pytest.mark.parametrize(
    ("step", "temperature", "alpha"), [(0, 4.0, 0.8), (1, 5.0, 0.7), (5, 9.0, 0.3), (50, 20.0, 0.1)]
)
def test_weights_and_temperature_of_the_terms_follow(step, temperature, alpha):
    of = {term.name: term for term in at(step).settings}
    assert of["response_kd"].weight == alpha
    assert of["ce"].weight == pytest.approx(1 - alpha, abs=1e-12)
    assert of["response_kd"].arguments == {"temperature": temperature}


def test_the_plan_sets_the_step_of_every_stage():
    plan = tiny_plan("loss=progressive", "epochs=9", "plan.num_stages=3", "loss.terms.feature.weight=0.2")
    methods = [make_method(step.stage) for step in plan.steps]
    assert [(method.temperature, method.alpha) for method in methods] == [(4.0, 0.8), (5.0, 0.7), (6.0, 0.6)]
    assert [{term.name: term.weight for term in method.settings} for method in methods] == [
        {"ce": 0.2, "response_kd": 0.8, "feature": 0.2},
        {"ce": 0.3, "response_kd": 0.7, "feature": 0.2},
        {"ce": 0.4, "response_kd": 0.6, "feature": 0.2},
    ]
    control = make_method(plan.control)  # one step: the first
    assert (control.temperature, control.alpha) == (4.0, 0.8)


def test_without_a_weight_there_is_no_term_on_features():
    assert {term.name for term in Progressive(4.0, 0.8, terms=TERMS).settings} == {"ce", "response_kd"}


def test_a_term_can_be_removed():
    assert [term.weight for term in Progressive(4.0, 0.8, step=2, terms={"ce": None}).settings] == [0.6]
    plan = tiny_plan("loss=progressive", "epochs=9", "plan.num_stages=2", "~loss.terms.ce")
    assert [term.name for term in make_method(plan.student).settings] == ["response_kd"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"alpha_step": -0.1}, r"^loss\.alpha_step must be a finite number, 0 or more; got -0\.1\. For example 1\.$"),
        ({"temperature_step": "fast"}, r"^loss\.temperature_step must be a finite number, 0 or more; got 'fast'"),
        ({"step": float("inf")}, r"^loss\.step must be a finite number, 0 or more; got inf"),
        ({"temperature": "hot"}, r"^loss\.temperature must be above 0, got 'hot'"),
        ({"temperature": -1.0, "step": 3}, r"^loss\.temperature must be above 0, got -1\.0"),
        ({"alpha": "much"}, r"^loss\.alpha must lie in \[0, 1\] .*, got 'much'"),
        ({"alpha": 1.2, "step": 3}, r"^loss\.alpha must lie in \[0, 1\] .*, got 1\.2"),
    ],
)
def test_values_out_of_their_range_are_refused(arguments, text):
    with pytest.raises(BadInput, match=text):
        Progressive(**{"temperature": 4.0, "alpha": 0.8, **arguments}, terms=TERMS)


@pytest.mark.parametrize(
    ("term", "settings", "text"),
    [
        (
            "response_kd",
            {"weight": 2},
            r"^loss\.terms\.response_kd\.weight is set by .*, 0\.8 in the first, got 2\. Set l",
        ),
        ("ce", {"weight": 1.0}, r"^loss\.terms\.ce\.weight is set by .*, got 1\.0\. Set loss\.alpha\.$"),
        ("response_kd", {"temperature": 2}, r"^loss\.terms\.response_kd\.temp.*, got 2\. Set loss\.temperature\.$"),
    ],
)
def test_settings_that_the_step_determines_cannot_be_overridden(term, settings, text):
    with pytest.raises(BadInput, match=text):
        Progressive(4.0, 0.8, step=1, terms={**TERMS, term: {**TERMS[term], **settings}})
