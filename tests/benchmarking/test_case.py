from functools import cache
from pathlib import Path

from kdlab.benchmarking.case import COLD, LIVE, STUDENT, WARM, Case, filling_job, job
from kdlab.benchmarking.run import FOLDER as CONF
from kdlab.config.compose import compose_config

FOLDER, FILL = Path("folder"), "the filling run"
CASE = Case("digits_pair", overrides=("loss=dkd", "loss.temperature=2", "cache.enabled=false"))


@cache
def config(variant):
    settings = filling_job(CASE, FOLDER) if variant == FILL else job(variant, CASE, FOLDER, None)
    return compose_config(settings["overrides"], CONF)


def test_each_of_kdlabs_variants_is_a_run_of_its_own_with_one_teacher():
    every = list(map(config, (STUDENT, LIVE, COLD, WARM)))
    assert len({one.paths.outputs for one in every}) == 4
    assert len({job(variant, CASE, FOLDER, None)["cache"] for variant in (STUDENT, LIVE, COLD, WARM)}) == 4
    assert filling_job(CASE, FOLDER)["cache"] == job(WARM, CASE, FOLDER, None)["cache"]
    assert {one.paths.store for one in every} == {"folder/store"}
    assert {one.model.teacher.checkpoint for one in every} == {"folder/teacher.pt"}


def test_the_warm_cache_is_filled_by_another_run_of_the_same_settings():
    warm, fill = config(WARM), config(FILL).copy()
    assert fill.paths.outputs != warm.paths.outputs  # no checkpoint to resume from
    fill.paths.outputs = warm.paths.outputs
    assert fill == warm


def test_the_overrides_of_a_variant_win_over_the_users():
    student, live, warm = map(config, (STUDENT, LIVE, WARM))
    assert "temperature" not in student.loss
    assert (live.loss.temperature, live.cache.enabled, warm.cache.enabled) == (2, False, True)
