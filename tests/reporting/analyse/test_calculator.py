"""The compression calculator against numbers computed by hand."""

import pytest

from kdlab.errors import BadInput
from kdlab.reporting.analyse.calculator import (
    Service,
    assumptions,
    compression,
    cores,
    cost,
    monthly,
    per_core,
    reduction,
    retention,
)
from kdlab.tasks.description import Metric

ACCURACY = Metric("accuracy", "accuracy", unit="%", decimals=2)
PERPLEXITY = Metric("perplexity", "perplexity", higher_is_better=False, is_relative=True)


def test_a_core_does_as_many_samples_as_calls_fit_a_second():
    assert per_core(1, 1, 0.002) == pytest.approx(500)
    assert per_core(32, 1, 0.016) == pytest.approx(2000)
    assert per_core(32, 4, 0.016) == pytest.approx(500)


def test_a_service_needs_whole_cores_with_headroom():
    """5000 a second over 0.7 × 500 are 14.29 cores; 700 over 0.7 × 500 are exactly 2."""
    assert cores(Service(), 500) == 15
    assert cores(Service(requests_per_second=700), 500) == 2
    assert cores(Service(requests_per_second=701), 500) == 3
    assert cores(Service(requests_per_second=1000, utilisation=1), 500) == 2


def test_a_month_has_730_hours():
    assert monthly(Service(), 15) == pytest.approx(438)
    assert monthly(Service(price_per_core_hour=0.1), 1) == pytest.approx(73)


def test_the_cost_of_a_measurement():
    found = cost(Service(), {"batch": 32, "threads": 1, "p50": 0.016})
    assert found == {"batch": 32, "threads": 1, "per_core": pytest.approx(2000), "cores": 4, "per_month": 116.8}


def test_ratios_to_the_teacher():
    assert compression(3.46e6, 0.32e6) == pytest.approx(10.8125)
    assert reduction(80e6, 60e6) == pytest.approx(25)
    assert reduction(60e6, 80e6) == pytest.approx(-33.3333, rel=1e-4)


def test_what_is_kept_of_the_teacher():
    assert retention(91.79, 93.39, ACCURACY) == pytest.approx(98.2868, rel=1e-5)
    assert retention(25.0, 20.0, PERPLEXITY) == pytest.approx(80)


def test_every_number_is_among_the_assumptions():
    text = " ".join(assumptions(Service(requests_per_second=200, price_per_core_hour=0.11, utilisation=0.5)))
    for number in ("200 samples a second", "50 % of the time", "0.11 an hour", "730 hours"):
        assert number in text
    assert "It leaves out" in text


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"requests_per_second": 0}, "requests_per_second must be a number, above 0; got 0. For example:"),
        ({"requests_per_second": "many"}, "requests_per_second must be a number, above 0; got 'many'."),
        ({"requests_per_second": float("inf")}, "requests_per_second must be a number, above 0; got inf."),
        ({"price_per_core_hour": -1}, "price_per_core_hour must be a number, above 0; got -1."),
        (
            {"utilisation": 1.2},
            "utilisation must be a number, above 0, 1 or less; got 1.2. For example:",
        ),
        ({"max_drop": -0.1}, "max_drop must be a number, 0 or more, 100 or less; got -0.1. For example: max_drop=1"),
        ({"max_drop": True}, "max_drop must be a number, 0 or more, 100 or less; got True."),
    ],
)
def test_a_number_out_of_its_range_is_refused(given, text):
    with pytest.raises(BadInput) as refused:
        Service(**given)
    assert str(refused.value).startswith(text)


def test_no_drop_at_all_may_be_asked_for():
    assert Service(max_drop=0).max_drop == 0
