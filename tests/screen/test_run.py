import io
import threading
from pathlib import Path

import pytest
from rich.console import Console

from kdlab.jobs.events import Failed, Finished, Progress, Started, Waiting
from kdlab.screen.run import Screen, conclusions, figures_table, steps_table
from kdlab.tasks.description import IMAGE_CLASSIFICATION
from tests.screen.nap import NAP
from tests.small import tiny_plan


def network(accuracy):
    return {
        "test/accuracy": accuracy,
        "test/nll": 0.5,
        "params": 5006,
        "flops": 1_700_000,
        "epochs": 30,
        "seconds": 0.0,
    }


def result(teacher, baseline, student, recovered):
    roles = {"teacher": network(teacher), "baseline": network(baseline), "student": network(student)}
    return {
        **roles,
        "gain": student - baseline,
        "gap_recovered": recovered,
        "agreement": 97.0,
        "agreement_baseline": 90.0,
    }


def shown(renderable):
    console = Console(file=io.StringIO(), width=100)
    console.print(renderable)
    return [line.split() for line in console.file.getvalue().splitlines()]


def test_the_table_has_a_column_a_network_and_leaves_out_empty_rows():
    found = result(99.0, 92.0, 98.0, 0.857)
    rows = shown(figures_table({role: found[role] for role in ("teacher", "baseline", "student")}, found))
    assert rows[0] == ["teacher", "baseline", "student"]
    assert ["test", "accuracy", "99.00", "%", "92.00", "%", "98.00", "%"] in rows
    assert ["agrees", "with", "teacher", "–", "90.00", "%", "97.00", "%"] in rows
    assert not any("validation" in row for row in rows)


def test_the_gain_is_stated_with_its_share_of_the_gap():
    line, budget = conclusions(result(99.0, 92.0, 98.0, 6 / 7))
    assert "One seed, 30 epochs" in budget
    assert "+6.00 points" in line
    assert "86 % of the gap" in line


def test_a_loss_is_stated_without_a_share_and_a_worse_teacher_in_red():
    lines = conclusions(result(90.0, 92.0, 91.0, None))
    assert "-1.00 points" in lines[0]
    assert "gap" not in lines[0]
    assert "[bold red]The teacher is worse than the baseline." in lines[2]


def test_without_a_baseline_nothing_is_concluded():
    assert conclusions({"gain": None}) == []


RUNNING = (Started(NAP, Path()), Progress(NAP, 1, 3, text="epoch 1/3  loss 0.500"))


def printed(*events, terminal=False):
    console = Console(file=io.StringIO(), width=100, force_terminal=terminal, color_system=None)
    screen = Screen(console)
    for event in events:
        screen(event)
    return console.file.getvalue()


def test_without_a_terminal_there_is_no_bar():
    assert printed(*RUNNING) == ""


@pytest.mark.parametrize("end", [Finished(NAP, Path(), {}, reused=False), Failed(NAP, ValueError())])
def test_a_terminal_has_a_bar_with_the_newest_figures_until_the_job_ends(end):
    before = set(threading.enumerate())
    output = printed(*RUNNING, end, terminal=True)
    assert "nap" in output and "epoch 1/3  loss 0.500" in output
    for drawing in set(threading.enumerate()) - before:
        drawing.join(timeout=10)
        assert not drawing.is_alive()


def test_a_job_that_waits_or_ends_is_a_line():
    assert printed(Waiting(NAP, "waits for a GPU")) == "  nap        waits for a GPU\n"
    assert printed(Finished(NAP, Path(), {}, reused=False)) == "✓ nap        done\n"
    assert printed(Finished(NAP, Path(), {}, reused=True)) == "✓ nap        reused\n"
    assert printed(Failed(NAP, ValueError())) == ""


def test_what_happens_is_logged(caplog):
    with caplog.at_level("INFO", logger="kdlab"):
        printed(Waiting(NAP, "waits for a GPU"), Started(NAP, Path()), Finished(NAP, Path(), {}, reused=False))
    assert caplog.messages == ["nap waits for a GPU", "nap started", "nap done"]


def step(network, params, ratio, epochs, accuracy):
    size = {"network": {"name": network}, "params": params, "ratio": ratio}
    return {"name": f"step-{network}", **size, "epochs": epochs, "figures": {"test/accuracy": accuracy}}


def test_the_steps_of_a_chain_are_rows():
    rows = shown(
        steps_table([step("resnet20", 269_722, 3.16, 15, 91.5), step("x", 9, 5.0, 5, 80.0)], IMAGE_CLASSIFICATION)
    )
    assert rows[0] == ["network", "parameters", "smaller", "by", "epochs", "test", "accuracy"]
    assert rows[1] == ["step-resnet20", "resnet20", "270", "k", "3.2×", "15", "91.50", "%"]
    assert len(rows) == 3


def test_a_chain_is_compared_with_one_step_of_as_many_epochs():
    found = result(99.0, 92.0, 98.0, 0.5) | {"control": {"epochs": 20}, "gain_over_control": -0.4}
    found["steps"] = [{"epochs": 15}, {"epochs": 5}]
    lines = conclusions(found)
    assert lines[1] == "gain over 20 epochs with the teacher in one step -0.40 points"
    assert "One seed, 20 epochs" in lines[2]


def test_generations_are_compared_with_the_first_with_as_many_epochs_and_with_all_together():
    found = result(91.0, 92.0, 94.0, None) | {"control": {"epochs": 60}, "gain_over_control": 1.5}
    found |= {"generations": [{}, {}, {}], "ensemble": {"test/accuracy": 94.25, "from": "probabilities"}}
    lines = conclusions(found)
    assert "gain over generation 1 +2.00 points" in lines[0]
    assert lines[1:3] == [
        "gain over 60 epochs with labels only +1.50 points",
        "all 3 generations together (mean probabilities) 94.25 %, +0.25 points over the last of them",
    ]
    assert not any("worse" in line for line in lines)


def test_every_column_that_there_can_be_fits_a_screen_of_100():
    roles = ("teacher", "baseline", "control", "student", "ensemble")
    found = {role: {**network(100.0), "params": 123_456_789, "flops": 123_456_789} for role in roles}
    console = Console(file=io.StringIO(), width=300)
    console.print(figures_table(found))
    assert max(len(line.rstrip()) for line in console.file.getvalue().splitlines()) <= 100


def test_on_80_columns_no_figure_and_no_name_is_cut_off():
    roles = ("teacher", "baseline", "control", "student", "ensemble", "majority class")
    found = {role: {**network(100.0), "params": 123_456_789} for role in roles}
    rows = [step("mobilenetv3_small_of_a_long_name", 123_456_789, 5.0, 240, 80.0)]
    for table in (figures_table(found), steps_table(rows, IMAGE_CLASSIFICATION)):
        console = Console(file=io.StringIO(), width=80)
        console.print(table)
        assert "…" not in console.file.getvalue()


def test_the_opening_names_the_networks_from_the_teacher_down():
    console = Console(file=io.StringIO(), width=100)
    chain = tiny_plan("data.batch_size=8", "plan=assistant", "plan.assistants=[resnet14]")
    Screen(console).opening(Path("run"), chain)
    Screen(console).opening(Path("run"), tiny_plan("data.batch_size=8", "+model/teacher@model.teachers.x=resnet20"))
    first, second = console.file.getvalue().splitlines()
    assert first.endswith("resnet8 → resnet14 → resnet8 on Digits")
    assert second.endswith("resnet8 + resnet20 → resnet8 on Digits")


@pytest.mark.parametrize(
    ("overrides", "end"), [(["loss=response"], "resnet8 on Digits, teacher in float16"), (["loss=ce"], "8 on Digits")]
)
def test_the_opening_shows_a_teacher_of_reduced_precision(overrides, end):
    console = Console(file=io.StringIO(), width=100)
    Screen(console).opening(Path("run"), tiny_plan("hardware.teacher_precision=float16", *overrides))
    assert console.file.getvalue().splitlines()[0].endswith(end)


def test_a_hint_is_printed_with_its_brackets():
    console = Console(file=io.StringIO(), width=100)
    hint = "resnet56 → resnet8: (plan=assistant plan.assistants=[resnet20])"
    Screen(console).closing(
        Path("run"), result(99.0, 92.0, 98.0, 0.5) | {"stages": [{"reused": False}], "hints": [hint]}
    )
    assert hint in console.file.getvalue()


def test_a_network_no_better_than_the_majority_class_is_the_first_line():
    found = result(90.0, 12.5, 98.0, 1.0) | {"references": {"majority class": {"test/accuracy": 12.5}}}
    first, gain, *_ = conclusions(found)
    assert "The baseline is no better than the majority class" in first
    assert "(12.50 % against 12.50 % on test)" in first
    assert "gain from distillation" in gain


def test_what_was_pruned_stands_below_the_gain_also_without_a_baseline():
    removed = {"flops_removed": 0.533, "params_removed": 0.6, "size_bytes_removed": 0.5, "sparsity": 0.25, "gain": -1.5}
    for structured, expected in [
        (True, "pruned: 53 % fewer FLOPs, 60 % fewer parameters, 50 % fewer bytes"),
        (False, "pruned: 25 % of the weights are zero, no smaller and no faster"),
    ]:
        pruning = {**removed, "of": "unpruned", "structured": structured}
        found = result(99.0, 92.0, 94.0, 0.5) | {"pruning": pruning}
        lines = conclusions(found)
        assert "gain over fine-tuning with labels only +2.00 points" in lines[0]
        assert lines[1] == f"{expected}; -1.50 points against the unpruned network"
        assert conclusions(found | {"gain": None, "baseline": None}) == lines[1:2]
