import pytest
import torch

from kdlab.errors import BadInput
from kdlab.methods.terms import Outputs, Term


def distance(student, teacher, power=1.0):
    return ((student - teacher).abs() ** power).sum()


def outputs(value):
    return Outputs(torch.full((2, 3), value), {"low": torch.full((2,), value), "high": torch.full((4,), value)})


def term(**settings):
    return Term.from_settings("distance", {"_target_": f"{__name__}.distance", **settings})


def test_finds_a_loss_by_the_name_of_the_term():
    assert Term.from_settings("response_kd", {"weight": 0.5, "temperature": 2.0}).arguments == {"temperature": 2.0}


def test_reads_logits_without_taps_and_sums_over_taps_with_them():
    student, teachers = outputs(3.0), [(outputs(1.0), 1.0)]
    assert term()(student, teachers, torch.zeros(2)).item() == 6 * 2
    assert term(taps=["low", "high"])(student, teachers, torch.zeros(2)).item() == 2 * 2 + 4 * 2
    assert term(taps=["low"], power=2.0)(student, teachers, torch.zeros(2)).item() == 2 * 4


def test_averages_teachers_by_their_weights():
    teachers = [(outputs(1.0), 3.0), (outputs(3.0), 1.0)]
    assert term()(outputs(3.0), teachers, torch.zeros(2)).item() == pytest.approx(0.75 * 12)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("responze_kd", {}, "did you mean 'response_kd'"),
        ("response_kd", {"temprature": 2}, r"loss\.terms\.response_kd\.temprature.*did you mean 'temperature'"),
        (
            "mine",
            {"_target_": "no.such.thing"},
            r"loss\.terms\.mine\._target_ must name what can be imported.*got no\.such\.thing",
        ),
        ("response_kd", {"weight": -1}, r"loss\.terms\.response_kd\.weight must be a finite number, 0 or more; got -1"),
        ("response_kd", {"weight": float("nan")}, "got nan"),
    ],
)
def test_refuses_what_does_not_fit(name, settings, message):
    with pytest.raises(BadInput, match=message):
        Term.from_settings(name, settings)
