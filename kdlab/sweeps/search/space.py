"""Hydra's sweep syntax for optuna: a distribution for each key that varies, and values as overrides."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from kdlab.errors import BadInput

VALIDATION_DATA = ("data", "data.val_fraction")  # validation metrics compare only where these are equal


@dataclass(frozen=True)
class Space:
    """The keys that a search varies.

    Attributes:
        written: each key as in an override, with its plus if it needs one.
        distributions: of each key.
    """

    written: Mapping[str, str]
    distributions: Mapping[str, BaseDistribution]

    @classmethod
    def of(cls, varied: Iterable[Override]) -> "Space":
        """From overrides with several values.

        Raises:
            BadInput: there are none, or a search must not choose one of them.
        """
        written, distributions = {}, {}
        for override in varied:
            _check_choosable(override)
            name = override.get_key_element().lstrip("+")
            written[name], distributions[name] = override.get_key_element(), distribution(override)
        if not distributions:
            raise BadInput(
                "hydra/sweeper=optuna: nothing varies. Give some key several values or an interval, such as "
                "'loss.temperature=interval(1,16)'."
            )
        return cls(written, distributions)

    def overrides(self, values: Mapping[str, Any]) -> list[str]:
        """The values of one trial as overrides; numbers in full, so that the same text gives the same number."""
        return [f"{self.written[name]}={values[name]}" for name in self.written]


def distribution(override: Override) -> BaseDistribution:
    """The distribution of a sweep override.

    `interval(a,b)` is a real number in [a, b), `int(interval(a,b))` a whole one in [a, b], `tag(log, …)` makes either
    log-uniform, `range(a,b,step)` is a number on a grid, and everything else is a choice without order.

    Raises:
        BadInput: an empty range, an empty interval, or a logarithm of a number not above 0.
    """
    value = override.value()
    if isinstance(value, IntervalSweep):
        return _interval(override, value)
    if isinstance(value, RangeSweep) and not value.shuffle:
        return _range(override, value)
    return CategoricalDistribution(tuple(_in_order(override).sweep_string_iterator()))


def _interval(override: Override, sweep: IntervalSweep) -> BaseDistribution:
    low, high, log = sweep.start, sweep.end, "log" in sweep.tags
    assert low is not None and high is not None
    if not (low < high and (low > 0 or not log)):
        above = ", above 0 with tag(log, …)" if log else ""
        raise BadInput(f"{override.input_line}: an interval goes from a smaller to a larger number{above}.")
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=log)
    return FloatDistribution(low, high, log=log)


def _range(override: Override, sweep: RangeSweep) -> BaseDistribution:
    numbers = sorted(sweep.range())
    if not numbers:
        raise BadInput(f"{override.input_line}: this range has no numbers in it.")
    if all(isinstance(number, int) for number in numbers):
        return IntDistribution(numbers[0], numbers[-1], step=abs(int(sweep.step)))
    return FloatDistribution(numbers[0], numbers[-1], step=abs(sweep.step))


def _in_order(override: Override) -> Override:
    """Without `shuffle`: a study needs its choices in the same order each time."""
    value = override.value()
    if isinstance(value, ChoiceSweep | RangeSweep) and value.shuffle:
        return replace(override, _value=replace(value, shuffle=False))
    return override


def _check_choosable(override: Override) -> None:
    key, line = override.key_or_group, override.input_line
    if key.rpartition(".")[2].endswith("seed"):
        raise BadInput(
            f"{line}: a search would choose the luckiest seed. Search with one seed, such as {key}=0, and train its "
            "best trial with several: +sweeps=seeds."
        )
    if key in VALIDATION_DATA:
        raise BadInput(
            f"{line}: a search compares trials on the same validation samples. Search on each by itself: {key}=…"
        )
