"""Ratios and limits from made-up measurements."""

import pytest

from kdlab.benchmarking.case import BARE, COLD, LIVE, PLAIN, PLAIN_STUDENT, STUDENT, WARM
from kdlab.benchmarking.claims import Span, claims, difference, ratio, teacher_share
from kdlab.benchmarking.measure import Timing

MS = {  # of a step, in two repeats of which the second was on a machine twice as slow
    PLAIN: (300, 600),
    PLAIN_STUDENT: (120, 240),
    BARE: (100, 200),
    STUDENT: (102, 204),
    LIVE: (204, 408),
    COLD: (255, 510),
    WARM: (104, 208),
}
ONE_REPEAT = {variant: values[:1] for variant, values in MS.items()}


def timings(ms, **memory):
    return {
        variant: Timing(tuple(value / 1000 for value in values), memory.get(variant.rpartition(" ")[2], 100), 1.0)
        for variant, values in ms.items()
    }


def by_words(pair="resnet56_resnet20", ms=MS, **memory):
    return {claim.words: claim for claim in claims(pair, timings(ms, **memory))}


def test_ratios_are_taken_within_a_repeat():
    assert ratio(timings(MS), PLAIN, LIVE) == Span(*[pytest.approx(300 / 204)] * 3)
    assert difference(timings(MS), WARM, STUDENT) == Span(*map(pytest.approx, (3.0, 2.0, 4.0)))


def test_the_teachers_share_is_what_its_absence_saves():
    shares = {variant: teacher_share(timings(MS), variant) for variant in MS}
    assert shares[PLAIN] == pytest.approx(0.6)
    assert shares[LIVE] == pytest.approx(0.5)
    assert shares[COLD] == pytest.approx(0.6)
    assert shares[WARM] == pytest.approx(2 / 104)
    assert {shares[variant] for variant in (PLAIN_STUDENT, BARE, STUDENT)} == {None}


@pytest.mark.parametrize(
    ("ms", "limit", "holds"),
    [
        ({STUDENT: (10,), WARM: (11.9,)}, 2.0, True),  # 2 ms are more than 3 %
        ({STUDENT: (10,), WARM: (12.1,)}, 2.0, False),
        ({STUDENT: (1000,), WARM: (1029,)}, 30.0, True),  # 3 % are more than 2 ms
        ({STUDENT: (1000,), WARM: (1031,)}, 30.0, False),
    ],
)
def test_a_step_may_cost_three_percent_or_two_milliseconds_more(ms, limit, holds):
    claim = by_words(ms={**ONE_REPEAT, **ms})[f"{WARM} − {STUDENT}"]
    assert claim.limit == pytest.approx(limit)
    assert claim.holds is holds


@pytest.mark.parametrize(
    ("pair", "limit", "holds"),
    [("resnet32x4_resnet8x4", 2.8, True), ("resnet56_resnet20", 2.2, True), ("resnet50_mbv3", 5.0, False)],
)
def test_each_pair_has_its_speed_with_a_warm_cache(pair, limit, holds):
    claim = by_words(pair)[f"{PLAIN} / {WARM}"]
    assert (claim.limit, claim.holds) == (limit, holds)
    assert claim.found.median == pytest.approx(300 / 104)


def test_nothing_is_promised_of_the_warm_speed_of_another_pair():
    assert f"{PLAIN} / {WARM}" not in by_words("vgg13_vgg8")


@pytest.mark.parametrize(("live", "holds"), [(199, True), (201, False)])
def test_a_live_teacher_is_half_as_fast_again_as_the_plain_loop(live, holds):
    assert by_words(ms={**ONE_REPEAT, LIVE: (live,)})[f"{PLAIN} / {LIVE}"].holds is holds


@pytest.mark.parametrize(
    ("live", "holds", "is_unclear"),
    [((190, 199, 250), True, True), ((150, 201, 250), False, True), ((201, 210, 250), False, False)],
)
def test_a_promise_is_unclear_where_repeats_disagree(live, holds, is_unclear):
    claim = by_words(ms={**{variant: (times[0],) * 3 for variant, times in ONE_REPEAT.items()}, LIVE: live})[
        f"{PLAIN} / {LIVE}"
    ]
    assert (claim.holds, claim.is_unclear) == (holds, is_unclear)


@pytest.mark.parametrize(("bytes_held", "holds"), [(109, True), (111, False)])
def test_a_cache_takes_a_tenth_more_memory_at_most(bytes_held, holds):
    assert by_words(warm=bytes_held)[f"memory, {WARM} / {STUDENT}"].holds is holds
