"""Remarks on a plan before it trains; an ordinary plan has none."""

import io
import math
from pathlib import Path

import pytest
from rich.console import Console

import kdlab
from kdlab.jobs.plan_remarks import plan_remarks
from kdlab.screen.run import Screen
from kdlab.sweeps.cli import run
from kdlab.train import train
from tests.small import TINY


def remarks(*overrides):
    return plan_remarks(kdlab.plan(list(overrides)), overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("experiment=digits_converged",),
        ("model.teacher.train.epochs=3",),
        ("epochs=24",),  # the teacher's own
        ("epochs=3", "model.teacher.train.epochs=24"),
        ("epochs=3", "plan.teacher.epochs=24"),
        ("epochs=3", "loss=ce"),  # no teacher
        ("plan=born_again", "loss=born_again", "epochs=3"),
        ("data.batch_size=256", "epochs=30", "model.teacher.train.epochs=30"),
    ],
)
def test_an_ordinary_plan_gets_no_remark(overrides):
    assert remarks(*overrides) == []


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (["epochs=3"], "The teacher keeps its own 24 epochs: model.teacher.train.epochs=3 changes that."),
        (["++epochs=60"], "The teacher keeps its own 24 epochs: model.teacher.train.epochs=60 changes that."),
    ],
)
def test_a_teacher_that_keeps_its_own_epochs_gets_a_remark_when_the_students_change(overrides, text):
    assert remarks(*overrides) == [text]


def test_the_override_in_the_remark_removes_it():
    (line,) = remarks("epochs=3")
    assert remarks("epochs=3", line.split(": ")[1].split()[0]) == []


def test_an_old_name_of_an_option_gets_a_remark_with_the_new_one():
    assert remarks("loss=fitnet") == ["loss=fitnet is the old name of loss=hint."]


def test_each_teacher_is_mentioned_by_its_own_key():
    lines = remarks("epochs=3", "+model/teacher@model.teachers.second=resnet20")
    assert [line.split(": ")[1].split("=")[0] for line in lines] == [
        "model.teacher.train.epochs",
        "model.teachers.second.train.epochs",
    ]


@pytest.mark.parametrize("batch_size", [100_000, 1168, 400])
def test_very_few_steps_are_counted(batch_size):
    batches = math.ceil(1168 / batch_size)  # of 1,297 training images, a tenth held out
    (line,) = remarks(f"data.batch_size={batch_size}", "epochs=20", "model.teacher.train.epochs=40")
    counted = f"data.batch_size={batch_size} makes {batches} an epoch"
    stages = [("teacher", 40), ("baseline", 20), ("student", 20)]
    few = ", ".join(f"{name} {batches * epochs}" for name, epochs in stages if batches * epochs < 100)
    assert line.startswith(f"Very few training steps: {counted} (in all: {few}). Fewer than 100 ")


def test_few_batches_an_epoch_get_no_remark_in_a_long_training():
    assert remarks("data.batch_size=1000", "epochs=100", "model.teacher.train.epochs=100") == []


def test_a_transfer_set_is_counted_by_its_own_images():
    (line,) = remarks("data@transfer=digits", "data.batch_size=100000")
    assert "data.batch_size=100000 makes 1 an epoch (in all: teacher 24, baseline 30, student 30)" in line


def test_the_remarks_are_printed_after_the_plan():
    console = Console(file=io.StringIO(), width=300)
    plan = kdlab.plan(["epochs=3"])
    Screen(console).opening(Path("run"), plan, ["epochs=3"])
    first, second = console.file.getvalue().splitlines()
    assert first.endswith("on Digits") or first.endswith("bfloat16")
    assert second == "The teacher keeps its own 24 epochs: model.teacher.train.epochs=3 changes that."


def test_the_remarks_use_the_overrides_of_the_command_line(tmp_path, capfd):
    overrides = [*(line for line in TINY if "epochs" not in line), "epochs=1", "plan.teacher.epochs=1"]
    assert run(train, [*overrides, f"paths.outputs={tmp_path}"]) == 0
    output = capfd.readouterr().out
    assert "Very few training steps: data.batch_size=32 makes 3 an epoch (in all: teacher 3" in output
    assert "keeps its own" not in output
