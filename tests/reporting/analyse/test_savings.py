from kdlab.reporting.analyse.savings import savings
from kdlab.reporting.assemble import collect
from tests.reporting.lab import Lab


def test_stages_that_runs_share_are_counted_once(tmp_path):
    lab = Lab(tmp_path)
    for seed, temperature in ((0, 2.0), (0, 4.0), (1, 2.0), (1, 4.0)):
        lab.run(95.0, 90.0, seed=seed, settings={"loss.temperature": temperature})
    saved = collect([tmp_path]).savings
    # one teacher, two baselines, four students of 20 s each; without reuse, four runs of three
    assert (saved.cells, saved.stages, saved.uses) == (4, 7, 12)
    assert (saved.seconds, saved.seconds_without_reuse) == (140.0, 240.0)
    assert (saved.teacher_outputs, saved.cache_hits) == (4000, 2800)


def test_runs_without_stages_save_nothing():
    assert savings(()).stages == 0
