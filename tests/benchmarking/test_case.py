from pathlib import Path

from kdlab.benchmarking.case import ALONE, COLD, LIVE, WARM, Case, filling_job, job
from kdlab.benchmarking.run import FOLDER
from kdlab.config import compose_config

HOME = Path("home")
CASE = Case("digits_pair", overrides=("loss=dkd", "loss.temperature=2", "cache.enabled=false"))


def composed(told):
    return compose_config(told["overrides"], FOLDER)


def configs(*ways):
    return [composed(job(way, CASE, HOME, None)) for way in ways]


def test_each_way_of_kdlabs_own_is_a_run_of_its_own_with_one_teacher():
    every = configs(ALONE, LIVE, COLD, WARM)
    assert len({config.paths.outputs for config in every}) == len({config.paths.cache for config in every}) == 4
    assert {config.paths.store for config in every} == {"home/store"}
    assert {config.model.teacher.checkpoint for config in every} == {"home/teacher.pt"}


def test_the_warm_cache_is_filled_by_another_run_of_the_same_settings():
    (warm,), fill = configs(WARM), composed(filling_job(CASE, HOME))
    assert fill.paths.outputs != warm.paths.outputs  # no checkpoint to resume from
    fill.paths.outputs = warm.paths.outputs
    assert fill == warm


def test_what_a_way_is_wins_over_what_was_asked_for():
    alone, live, warm = configs(ALONE, LIVE, WARM)
    assert "temperature" not in alone.loss
    assert (live.loss.temperature, live.cache.enabled, warm.cache.enabled) == (2, False, True)
