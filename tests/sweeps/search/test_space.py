"""Hydra's sweep syntax as optuna's distributions, and values back as overrides."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from kdlab.errors import BadInput
from kdlab.sweeps.search.space import Space, distribution


def parsed(*lines):
    return OverridesParser.create().parse_overrides([*lines])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("interval(1,16)", FloatDistribution(1.0, 16.0)),
        ("tag(log, interval(1e-3, 1))", FloatDistribution(1e-3, 1.0, log=True)),
        ("int(interval(1,16))", IntDistribution(1, 16)),
        ("tag(log, int(interval(1,64)))", IntDistribution(1, 64, log=True)),
        ("range(2,10,2)", IntDistribution(2, 8, step=2)),
        ("range(10,2,-3)", IntDistribution(4, 10, step=3)),
        ("range(0.5,2,0.5)", FloatDistribution(0.5, 1.5, step=0.5)),
        ("response,dkd", CategoricalDistribution(("response", "dkd"))),
        ("2,4,null", CategoricalDistribution(("2", "4", "null"))),
        ("shuffle(b,a,c)", CategoricalDistribution(("b", "a", "c"))),
        ("[8,16],[16,32]", CategoricalDistribution(("[8,16]", "[16,32]"))),
    ],
)
def test_each_kind_of_sweep_is_the_distribution_that_it_describes(text, expected):
    (override,) = parsed(f"key={text}")
    assert distribution(override) == expected


@pytest.mark.parametrize("value", [0.1 + 0.2, 1e-05, 1.5e-300, 1e22, 7, -0.25])
def test_a_number_comes_back_from_its_override_exactly(value):
    (varied,) = parsed("++loss.temperature=interval(0,1)")
    (line,) = Space.of([varied]).overrides({"loss.temperature": value})
    (again,) = parsed(line)
    assert (again.get_key_element(), again.value()) == ("++loss.temperature", value)


def test_choices_with_special_characters_come_back_as_they_were():
    (varied,) = parsed("name='a b','c,d'")
    space = Space.of([varied])
    read = [parsed(*space.overrides({"name": choice}))[0].value() for choice in space.distributions["name"].choices]
    assert read == ["a b", "c,d"]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (
            "optimizer.lr=interval(1,1)",
            "optimizer.lr=interval(1,1): an interval goes from a smaller to a larger number.",
        ),
        ("optimizer.lr=tag(log,interval(0,1))", "from a smaller to a larger number, above 0 with tag"),
        ("epochs=range(3,3)", "epochs=range(3,3): this range has no numbers in it"),
        ("seed=0,1,2", "seed=0,1,2: a search would choose the luckiest seed. Search with one seed, such as seed=0, "),
        ("model.teacher.train.seed=range(0,3)", "such as model.teacher.train.seed=0, and train its best trial with"),
        ("data.split_seed=0,1", "the luckiest seed"),
        ("data=cifar10,cifar100", "data=cifar10,cifar100: a search compares trials on the same validation samples"),
        ("data.val_fraction=interval(0.1,0.5)", "Search on each by itself: data.val_fraction=…"),
    ],
)
def test_what_no_search_can_choose_is_refused(line, text):
    with pytest.raises(BadInput) as refused:
        Space.of(parsed(line))
    assert text in str(refused.value)


def test_a_search_over_nothing_is_refused():
    with pytest.raises(BadInput, match=r"nothing varies\. Give some key several values or an interval"):
        Space.of([])
