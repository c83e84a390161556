from functools import cache
from pathlib import Path

from kdlab.benchmarking.case import ALONE, COLD, LIVE, WARM, Case, filling_job, job
from kdlab.benchmarking.run import FOLDER
from kdlab.config.compose import compose_config

HOME, FILL = Path("home"), "the filling run"
CASE = Case("digits_pair", overrides=("loss=dkd", "loss.temperature=2", "cache.enabled=false"))


@cache
def config(way):
    told = filling_job(CASE, HOME) if way == FILL else job(way, CASE, HOME, None)
    return compose_config(told["overrides"], FOLDER)


def test_each_way_of_kdlabs_own_is_a_run_of_its_own_with_one_teacher():
    every = list(map(config, (ALONE, LIVE, COLD, WARM)))
    assert len({one.paths.outputs for one in every}) == 4
    assert len({job(way, CASE, HOME, None)["cache"] for way in (ALONE, LIVE, COLD, WARM)}) == 4
    assert filling_job(CASE, HOME)["cache"] == job(WARM, CASE, HOME, None)["cache"]
    assert {one.paths.store for one in every} == {"home/store"}
    assert {one.model.teacher.checkpoint for one in every} == {"home/teacher.pt"}


def test_the_warm_cache_is_filled_by_another_run_of_the_same_settings():
    warm, fill = config(WARM), config(FILL).copy()
    assert fill.paths.outputs != warm.paths.outputs  # no checkpoint to resume from
    fill.paths.outputs = warm.paths.outputs
    assert fill == warm


def test_what_a_way_is_wins_over_what_was_asked_for():
    alone, live, warm = map(config, (ALONE, LIVE, WARM))
    assert "temperature" not in alone.loss
    assert (live.loss.temperature, live.cache.enabled, warm.cache.enabled) == (2, False, True)
