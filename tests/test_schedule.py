"""The learning rate of trainings with few steps."""

from functools import partial

import pytest
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import OneCycleLR

from kdlab.errors import BadInput
from kdlab.jobs.checks.stages import check_stages
from kdlab.jobs.training.preparation import make_scheduler
from tests.jobs.training.test_stage import stage_in
from tests.small import tiny_plan

ONE_CYCLE = {"max_lr": 1.0, "div_factor": 10.0, "final_div_factor": 1000.0, "cycle_momentum": False}


def rates(schedule, steps):
    """The learning rate of each step, as Lightning moves the scheduler: once after every step, also the last."""
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler, found = schedule(optimizer), []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def scheduled(steps, **changes):
    return rates(lambda optimizer: make_scheduler(partial(OneCycleLR, **ONE_CYCLE, **changes), optimizer, steps), steps)


@pytest.mark.parametrize("three_phase", [False, True])
@pytest.mark.parametrize(("steps", "pct_start"), [(5, 0.2), (2, 0.5), (10, 0.1), (100, 0.01), (4, 0.25)])
def test_a_warm_up_of_one_step_is_close_to_a_slightly_longer_one(steps, pct_start, three_phase):
    changes = {"pct_start": pct_start, "three_phase": three_phase}
    with pytest.raises(ZeroDivisionError):
        rates(lambda optimizer: OneCycleLR(optimizer, total_steps=steps, **changes, **ONE_CYCLE), steps)
    found = scheduled(steps, **changes)
    longer = scheduled(steps, pct_start=pct_start + 1e-7, three_phase=three_phase)
    assert found == pytest.approx(longer, abs=1e-4)
    assert found[0] == pytest.approx(0.1)  # the initial rate; the last one is the smallest
    assert found[-1] == min(found)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 6, 7, 40])
def test_every_other_number_of_steps_has_torchs_own_rates(steps):
    assert scheduled(steps, pct_start=0.2) == rates(
        lambda optimizer: OneCycleLR(optimizer, total_steps=steps, pct_start=0.2, **ONE_CYCLE), steps
    )


def test_a_cycle_that_is_all_warm_up_is_refused_before_anything_trains():
    text = r"^scheduler: .*OneCycleLR refuses .*pct_start=1\.0.*: pct_start must be below 1, .*\. Change the value"
    with pytest.raises(BadInput, match=text):
        check_stages(tiny_plan("scheduler.pct_start=1.0").stages)


def test_a_warm_up_of_a_hundredth_passes_the_checks():
    check_stages(tiny_plan("scheduler.pct_start=0.01").stages)


@pytest.mark.parametrize("batches", [1, 2, 3, 4, 5, 6])
def test_a_run_of_few_steps_trains(batches, tmp_path):
    plan = tiny_plan("loss=ce", "epochs=1", "data.batch_size=16", f"trainer.limit_train_batches={batches}")
    folder = stage_in(tmp_path, plan, "student")
    assert (folder / "result.json").is_file()


def test_the_error_for_a_run_of_no_steps_names_the_limit(tmp_path):
    plan = tiny_plan("loss=ce", "epochs=1", "trainer.limit_train_batches=0")
    with pytest.raises(BadInput, match=r"^scheduler: .* got none, with trainer\.limit_train_batches=0\. Set it to"):
        stage_in(tmp_path, plan, "student")
