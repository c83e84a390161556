"""What a config names by `_target_`."""

import pytest
import torch

from kdlab.errors import BadInput
from kdlab.settings.targets import build, check_arguments, check_known, find


class Picky:
    def __init__(self, sides: int, colour: str = "red") -> None:
        if sides < 3:
            raise ValueError("too few sides\nby far")
        self.sides, self.colour = sides, colour


class Strict:
    def __init__(self) -> None:
        raise BadInput("strict.rule must hold, got nothing. Set strict.rule=1.")


PICKY = "tests.settings.test_targets.Picky"


def test_builds_what_is_named_with_plain_nested_values():
    made = build({"_target_": PICKY, "sides": 4, "colour": {"_target_": "not.built"}}, "shape")
    assert (made.sides, made.colour) == (4, {"_target_": "not.built"})


def test_a_partial_takes_its_remaining_arguments():
    make = build({"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.25}, "optimizer")
    assert make([torch.nn.Parameter(torch.zeros(1))]).defaults["lr"] == 0.25


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"_target_": PICKY, "sides": 2}, f"^shape: {PICKY} refuses sides=2: too few sides. Change the value"),
        ({"_target_": PICKY, "side": 2}, r"^shape.side is not a setting, got 2 for it. Did you mean shape.sides\?$"),
        ({"_target_": PICKY, "x": 2}, r"^shape.x is not a setting, got 2 for it. It takes: sides, colour.$"),
        (
            {"_target_": PICKY},
            "^shape: .* refuses a call without arguments: .*missing 1 required positional argument: 'sides'",
        ),
        ({"_target_": f"{PICKY}x"}, rf"^shape._target_ must name what can be imported, .*; got {PICKY}x\."),
        ({"_target_": "nowhere.Thing"}, r"got nowhere.Thing. \(No module named 'nowhere'\)$"),
        ({"sides": 2}, r"^shape needs a class or function to build, got {'sides': 2}.*shape._target_="),
        (None, "^shape needs a class or function to build, got None"),
        (
            {"_target_": "tests.settings.test_targets.Strict"},
            r"^strict.rule must hold, got nothing. Set strict.rule=1.$",
        ),
    ],
)
def test_errors_name_setting_rule_value_and_fix(settings, text):
    with pytest.raises(BadInput, match=text):
        build(settings, "shape")


def test_a_target_with_kwargs_takes_any_argument():
    check_arguments({"_target_": "tests.settings.test_targets.any_keyword", "anything": 1}, "node")


def any_keyword(**anything):
    return anything


def test_known_keys_pass():
    check_known("node", {"a": 1}, ["a", "b"])


def test_finding_a_target_prints_nothing(capfd):
    assert find("torch.optim.SGD", "optimizer") is torch.optim.SGD
    with pytest.raises(BadInput):
        find("torch.optim.SDG", "optimizer")
    assert capfd.readouterr() == ("", "")
