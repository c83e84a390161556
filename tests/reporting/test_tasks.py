"""Reports of a task whose headline is better when it is lower, and the rows of predictors without a network."""

import csv

import pytest

from kdlab.reporting.assemble import collect
from kdlab.reporting.render.figures.cost import costs
from kdlab.reporting.render.figures.effects import effects
from kdlab.reporting.render.settings_table import columns
from kdlab.reporting.render.tables import setting_rows, write_cells, write_markdown
from kdlab.reporting.report import report
from kdlab.tasks.description import Description, Metric
from tests.reporting.lab import Lab

PERPLEXITY = Metric("perplexity", "perplexity", decimals=2, higher_is_better=False, is_relative=True)
TASK = Description("next_symbol", "token", (PERPLEXITY,), names_classes=False)


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


def measured(perplexity, size=5006):
    return {"test/perplexity": perplexity, "val/perplexity": perplexity + 0.5, "params": size, "seconds": 20.0}


def run_with(lab, seed, temperature, student, *, baseline=20.0, teacher=8.0):
    result = {
        "task": TASK.as_dict(),
        "teacher": measured(teacher, 43_674),
        "student": measured(student),
        "baseline": measured(baseline),
        "references": {"symbol frequencies": {"test/perplexity": 30.0}},
    }
    return lab.run(0.0, 0.0, seed=seed, settings={"loss.temperature": temperature}, result=result)


@pytest.fixture
def evidence(lab):
    for seed, noise in ((0, 0.0), (1, 0.4)):
        for temperature, student in ((2.0, 16.0), (4.0, 12.0), (8.0, 22.0)):
            run_with(lab, seed, temperature, student + noise)
    return collect([lab.root])


def test_the_lowest_is_the_best_and_a_gain_is_a_fall_in_percent_of_the_baseline(evidence):
    assert [setting.label for setting in evidence.settings] == ["T 4", "T 2", "T 8"]
    gains = [setting.gain.points.mean for setting in evidence.settings]
    assert gains == pytest.approx([39.0, 19.0, -11.0])
    assert evidence.best.figures["gap_recovered"].mean == pytest.approx((20 - 12.2) / (20 - 8))
    assert evidence.best.gain.bootstrap is None  # no unit is right or wrong
    assert evidence.answer.startswith(
        "T 4 is best by validation perplexity (12.7): test perplexity 12.2 ± 2.5, a gain of"
    )
    assert "a gain of +39.0 ± 12.7 % over the same student without a teacher (2 seeds)" in evidence.answer
    assert "accuracy" not in " ".join([evidence.question, evidence.answer, *evidence.remarks])


def test_tables_and_files_are_named_after_the_metric(evidence, tmp_path):
    headings = [column.heading for column in columns(evidence.settings)]
    assert headings[:4] == ["validation perplexity", "test perplexity", "baseline perplexity", "gain %"]
    rows = setting_rows(evidence)
    assert rows[0]["test perplexity"] == "12.2 ± 2.5"
    assert rows[0]["gain"] == "+39.0 ± 12.7 %"
    assert rows[-1] == {name: "–" for name in rows[0]} | {"setting": "symbol frequencies", "test perplexity": "30.0"}
    with write_cells(evidence, tmp_path).open() as file:
        first = next(csv.DictReader(file))
    assert (first["test_perplexity"], float(first["gain"])) == ("12.0", pytest.approx(40.0))
    assert "best first, by validation perplexity" in write_markdown(evidence, tmp_path).read_text().lower()


def test_pictures_frame_and_join_the_lowest(evidence):
    cost = next(picture for picture in costs(evidence) if picture.name == "cost-params")
    assert cost.alt.endswith("On the Pareto front, cheapest first: T 4, 5.01 k, 12.20; teacher, 43.7 k, 8.00.")
    (axes,) = cost.figure.axes
    assert axes.get_ylabel() == "test perplexity (lower is better)"
    validation, gain = effects(evidence)
    assert "12.70 at 4" in validation.alt
    assert "39.00 at 4" in gain.alt


def test_a_teacher_with_a_higher_perplexity_is_the_worse_one(lab):
    run_with(lab, 0, 4.0, 12.0, baseline=20.0, teacher=24.0)
    assert (
        collect([lab.root]).remarks[0].startswith("THE TEACHER IS WORSE THAN THE BASELINE here (24.0 against 20.0 on")
    )


def test_runs_of_different_tasks_are_not_ranked(lab):
    run_with(lab, 0, 4.0, 12.0)
    lab.run(97.0, 90.0, settings={"loss.temperature": 2.0})
    answer = collect([lab.root]).answer
    assert answer.startswith(
        "These runs are of different tasks (image classification, next symbol), whose figures do not compare, so "
    )


def test_a_network_no_better_than_the_majority_class_is_the_first_remark(lab):
    rows = {"references": {"majority class": {"test/accuracy": 12.5}}}
    lab.run(97.0, 12.5, teacher=10.0, result=rows)
    first, second, *_ = collect([lab.root]).remarks
    assert first.startswith("THE TEACHER IS NO BETTER THAN THE MAJORITY CLASS here (10.0 % against 12.5 % on test)")
    assert second.startswith("THE BASELINE IS NO BETTER THAN THE MAJORITY CLASS here (12.5 % against 12.5 % on test)")


def test_the_page_has_the_row_of_the_majority_class(lab):
    lab.run(97.0, 91.0, result={"references": {"majority class": {"test/accuracy": 12.5}}})
    _, page = report([lab.root])
    text = page.read_text()
    assert "majority class" in text
    assert "12.50 % on test" in text
    assert "| majority class |" in (page.parent / "report.md").read_text()
