"""Progressive distillation: what each step of the cascade makes of temperature and alpha."""

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


def at(step, **said):
    """The method of a step."""
    return Progressive(**{"temperature": 4.0, "alpha": 0.8, **said}, step=step)


def decided(step, **said):
    """Its temperature and alpha."""
    method = at(step, **said)
    return method.temperature, method.alpha


def test_the_temperature_rises_and_alpha_falls_from_step_to_step():
    assert [decided(step) for step in range(4)] == [(4.0, 0.8), (5.0, 0.7), (6.0, 0.6), (7.0, 0.5)]
    faster = [decided(step, temperature_step=2.5, alpha_step=0.25) for step in range(3)]
    assert faster == [(4.0, 0.8), (6.5, 0.55), (9.0, 0.3)]


def test_they_stay_within_bounds_however_long_the_cascade_is():
    assert decided(100) == (20.0, 0.1)
    assert [decided(step)[1] for step in (6, 7, 8)] == [0.2, 0.1, 0.1]


def test_what_begins_beyond_a_bound_stays_where_it_begins():
    assert decided(3, temperature=30.0, alpha=0.05) == (30.0, 0.05)


@pytest.mark.parametrize(
    ("step", "temperature", "alpha"), [(0, 4.0, 0.8), (1, 5.0, 0.7), (5, 9.0, 0.3), (50, 20.0, 0.1)]
)
def test_weights_and_temperature_of_the_terms_follow(step, temperature, alpha):
    of = {term.name: term for term in at(step).settings}
    assert of["response_kd"].weight == alpha
    assert of["ce"].weight == pytest.approx(1 - alpha, abs=1e-12)
    assert of["response_kd"].arguments == {"temperature": temperature}


def test_every_stage_of_the_plan_knows_its_step():
    plan = tiny_plan("loss=progressive", "epochs=9", "plan.num_stages=3", "loss.terms.feature.weight=0.2")
    methods = [make_method(step.stage) for step in plan.steps]
    assert [(method.temperature, method.alpha) for method in methods] == [(4.0, 0.8), (5.0, 0.7), (6.0, 0.6)]
    assert [{term.name: term.weight for term in method.settings} for method in methods] == [
        {"ce": 0.2, "response_kd": 0.8, "feature": 0.2},
        {"ce": 0.3, "response_kd": 0.7, "feature": 0.2},
        {"ce": 0.4, "response_kd": 0.6, "feature": 0.2},
    ]
    alone = make_method(plan.control)  # one step is the first
    assert (alone.temperature, alone.alpha) == (4.0, 0.8)


def test_without_a_weight_there_is_no_term_on_features():
    assert {term.name for term in Progressive(4.0, 0.8, terms=TERMS).settings} == {"ce", "response_kd"}


def test_a_term_that_was_removed_is_missed_by_nobody():
    assert [term.weight for term in Progressive(4.0, 0.8, step=2, terms={"ce": None}).settings] == [0.6]
    plan = tiny_plan("loss=progressive", "epochs=9", "plan.num_stages=2", "~loss.terms.ce")
    assert [term.name for term in make_method(plan.student).settings] == ["response_kd"]


@pytest.mark.parametrize(
    ("said", "text"),
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
def test_values_out_of_their_range_are_refused(said, text):
    with pytest.raises(BadInput, match=text):
        Progressive(**{"temperature": 4.0, "alpha": 0.8, **said}, terms=TERMS)


@pytest.mark.parametrize(
    ("term", "said", "text"),
    [
        (
            "response_kd",
            {"weight": 2},
            r"^loss\.terms\.response_kd\.weight follows .*is 0\.8 in the first, got 2\. Set l",
        ),
        ("ce", {"weight": 1.0}, r"^loss\.terms\.ce\.weight follows .*, got 1\.0\. Set loss\.alpha\.$"),
        ("response_kd", {"temperature": 2}, r"^loss\.terms\.response_kd\.temp.*, got 2\. Set loss\.temperature\.$"),
    ],
)
def test_what_a_step_decides_cannot_be_set_beside_it(term, said, text):
    with pytest.raises(BadInput, match=text):
        Progressive(4.0, 0.8, step=1, terms={**TERMS, term: {**TERMS[term], **said}})
