import pytest
from torch import nn

from kdlab.errors import BadInput
from kdlab.losses.batchwise import compares_samples
from kdlab.methods.term_settings import TermSettings


def distance(student, teacher, power=1.0):
    return ((student - teacher).abs() ** power).sum()


@compares_samples
class Learned(nn.Module):
    def __init__(self, student_shape, teacher_shape, rate):
        super().__init__()

    def forward(self, student, teacher, index):
        return 0.0


def read(**settings):
    return TermSettings.read("distance", {"_target_": f"{__name__}.distance", **settings})


def test_finds_a_loss_by_the_name_of_the_term():
    assert TermSettings.read("response_kd", {"weight": 0.5, "temperature": 2.0}).arguments == {"temperature": 2.0}


def test_lists_the_inputs_of_the_loss():
    assert read().inputs == {"student", "teacher"}
    assert read().needs_teacher
    assert not read().compares_samples
    learned = TermSettings.read("mine", {"_target_": f"{__name__}.Learned", "rate": 0.5, "taps": ["high"]})
    assert learned.inputs == {"student", "teacher", "index"}
    assert learned.compares_samples
    assert not TermSettings.read("ce", {}).needs_teacher


def test_reads_taps_one_by_one_or_together():
    settings = read(taps=["low", ["mid", "high"]])
    assert settings.taps == settings.teacher_taps == (("low",), ("mid", "high"))
    assert settings.roles == settings.teacher_roles == ["low", "mid", "high"]


def test_the_student_can_be_its_own_teacher():
    settings = read(taps=["low"], teacher_taps=["high"], source="self")
    assert not settings.needs_teacher
    assert settings.roles == ["low", "high"]
    assert settings.teacher_roles == []


def test_a_weight_rises_over_its_warmup_and_is_active_in_its_window():
    rising = read(weight=2.0, warmup=4)
    assert [rising.weight_at(epoch) for epoch in range(6)] == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]
    window = read(weight=2.0, from_epoch=1, until_epoch=3)
    assert [window.weight_at(epoch) for epoch in range(4)] == [0.0, 2.0, 2.0, 0.0]
    assert read(weight=2.0).weight_at(0) == 2.0


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("responze_kd", {}, "did you mean 'response_kd'"),
        ("response_kd", {"temprature": 2}, r"loss\.terms\.response_kd\.temprature.*did you mean 'temperature'"),
        ("response_kd", {"wieght": 2}, "did you mean 'weight'"),
        (
            "mine",
            {"_target_": "no.such.thing"},
            r"loss\.terms\.mine\._target_ must name what can be imported.*got no\.such\.thing",
        ),
        ("mine", {"_target_": f"{__name__}.Learned"}, r"loss\.terms\.mine\.rate is missing: Learned has no default"),
        ("response_kd", {"weight": -1}, r"loss\.terms\.response_kd\.weight must be a finite number, 0 or more; got -1"),
        ("response_kd", {"weight": float("nan")}, "got nan"),
        (
            "hint",
            {"taps": "high"},
            r"loss\.terms\.hint\.taps must be a list of roles such as \[mid, high\], got 'high'",
        ),
        ("hint", {"taps": [3]}, r"must be a list of roles.*got \[3\]"),
        (
            "hint",
            {"taps": ["low", "mid"], "teacher_taps": ["high"]},
            r"hint\.teacher_taps must name one role for each of taps \[low, mid\], got \[high\]",
        ),
        ("hint", {"source": "self"}, r"hint\.source=self compares features.*taps=\[low\] and teacher_taps=\[high\]"),
        ("hint", {"source": "peer"}, r"hint\.source must be one of teacher, self; got 'peer'"),
        (
            "hint",
            {"adapter": "both"},
            r"hint\.adapter must be one of none, student, teacher, or a class such as .*; got 'both'",
        ),
        ("hint", {"warmup": 1.5}, r"hint\.warmup must be a whole number of epochs, 0 or more; got 1\.5"),
        ("hint", {"until_epoch": 0}, r"hint\.until_epoch must be a whole number of epochs, 1 or more; got 0"),
    ],
)
def test_refuses_invalid_settings(name, settings, message):
    with pytest.raises(BadInput, match=message):
        TermSettings.read(name, settings)
