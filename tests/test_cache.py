"""`python -m kdlab.cache`: what it trains, fills and prints."""

import pytest

from kdlab.cache import cache
from kdlab.errors import BadInput
from kdlab.store.store import Store
from tests.small import TINY, tiny_plan


def fill(capsys, tmp_path, *overrides):
    assert cache([*TINY, f"paths.outputs={tmp_path}", *overrides]) == 0
    return capsys.readouterr().out


def test_it_trains_only_the_teacher_and_computes_all_its_outputs(capsys, tmp_path):
    output = fill(capsys, tmp_path)
    assert "✓ teacher    trained" in output and "✓ student_cache filled " in output
    assert "✓ student " not in output and "0 of them computed" not in output
    plan, store = tiny_plan(f"paths.outputs={tmp_path}"), Store(tmp_path / "store")
    assert [store.finished(stage) for stage in plan.stages] == [True, False, False]
    again = fill(capsys, tmp_path)
    assert "✓ student_cache reused " in again and "computed" not in again


def test_a_sweep_is_filled_by_its_first_cell(capsys, tmp_path):
    first = fill(capsys, tmp_path, "-m", "loss.temperature=2,4", "loss.alpha=0.5,0.9")
    assert "0 of them computed" not in first
    assert "0 of them computed" in fill(capsys, tmp_path, "loss.temperature=8")


def test_the_cache_of_a_teacher_that_has_to_be_distilled_is_filled_later(capsys, tmp_path):
    output = fill(capsys, tmp_path, "plan=born_again", "plan.generations=3")
    assert "generation3 distils from generation2, not trained yet" in output


def test_it_prints_when_nothing_can_be_stored(capsys, tmp_path):
    for override in ("loss=attention", "cache.enabled=false"):
        output = fill(capsys, tmp_path, override)
        assert "nothing to cache: its teachers compute their outputs at every step" in output


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("cache.enabled=maybe", "cache.enabled must be true or false, got 'maybe'"),
        ("cache.max_gb=0", "cache.max_gb must be a number of gigabytes above 0, got 0"),
        ("cache.dtype=int8", "cache.dtype must be float32 or float16, got 'int8'"),
        ("cache.top_k=10", "cache.top_k must be a whole number from 1 to 9"),
        ("cache.size=1", "cache.size"),
    ],
)
def test_bad_settings_are_refused_by_name(override, message, tmp_path):
    with pytest.raises(BadInput, match=message):
        cache([*TINY, f"paths.outputs={tmp_path}", override])
