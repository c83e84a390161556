"""Rows of a comparison against figures computed by hand, and what its answer claims."""

import numpy as np
import pytest
from scipy import stats

from kdlab.reporting.analyse.calculator import Service
from kdlab.reporting.analyse.comparison import as_cheap, compared, title
from kdlab.reporting.render.comparison_lines import answer, sentences
from tests.reporting.made_up_comparison import example, found


@pytest.fixture
def content():
    return compared(example(), Service(), ["Recipes are equal."])


def row(content, name):
    (one,) = [one for one in content["rows"] if title(one) == name]
    return one


STUDENT = "small (response), small.onnx in onnxruntime"
INT8 = "small (response), small-int8.onnx in onnxruntime"
TEACHER = "big (teacher), big.onnx in onnxruntime"
ROUNDED = "big (teacher), big-int8.onnx in onnxruntime"
EAGER = "big (teacher), big in pytorch"
BASELINE = "small (baseline), small.onnx in onnxruntime"


def test_every_network_has_a_row_for_each_file_and_the_teacher_one_in_pytorch(content):
    assert [title(one) for one in content["rows"]] == [EAGER, TEACHER, ROUNDED, STUDENT, INT8, BASELINE]


def test_accuracy_is_compared_with_the_teacher_of_the_same_seed(content):
    """Drops of 0.9 and 0.8 points, though the teachers are two points apart."""
    one, drops = row(content, STUDENT), np.array([90.0 - 89.1, 92.0 - 91.2])
    half = stats.t.ppf(0.975, 1) * drops.std(ddof=1) / 2**0.5
    assert one["drop"] == {"mean": pytest.approx(0.85), "half": pytest.approx(half), "count": 2}
    assert one["reached"]["mean"] == pytest.approx(90.15)
    assert one["retention"]["mean"] == pytest.approx(100 * (89.1 / 90 + 91.2 / 92) / 2)
    assert row(content, BASELINE)["drop"] == {"mean": pytest.approx(10), "half": None, "count": 1}
    assert row(content, EAGER)["drop"]["mean"] == 0


def test_ratios_are_of_the_same_engine_and_within_rounds(content):
    beside = row(content, STUDENT)["beside"]["engine"]
    assert beside["name"] == "big.onnx in onnxruntime"
    assert beside["compression"] == pytest.approx(5)
    assert beside["memory_reduction"] == pytest.approx(0)
    assert beside["speedups"][0] == {"batch": 1, "threads": 1, "median": 3.5, "least": 3.0, "most": 4.0}
    assert row(content, ROUNDED)["beside"]["engine"]["memory_reduction"] == pytest.approx(25)


def test_a_file_is_compared_in_its_own_engine_and_one_that_the_teacher_lacks_in_its_first():
    big = [(f"big.onnx@{engine}", "float32", 4000, {0: 90.0}, [ms] * 2) for engine, ms in (("a", 8.0), ("b", 6.0))]
    small = [(f"small.onnx@{engine}", "float32", 800, {0: 90.0}, [2.0] * 2) for engine in ("a", "b", "c")]
    content = compared(found({"big": ("big", {0: 90.0}, big), "small": ("small", {0: 90.0}, small)}), Service(), [])
    beside = {one["engine"]: one["beside"]["engine"] for one in content["rows"] if one["network"] == "small"}
    assert {engine: one["name"] for engine, one in beside.items()} == {
        "a": "big.onnx in a",
        "b": "big.onnx in b",
        "c": "big.onnx in a",
    }
    assert [one["speedups"][0]["median"] for one in beside.values()] == [4.0, 3.0, 4.0]


def test_the_teacher_in_pytorch_is_the_other_column(content):
    beside = row(content, STUDENT)["beside"]["pytorch"]
    assert beside["speedups"][0] == {"batch": 1, "threads": 1, "median": 7.5, "least": 5.0, "most": 10.0}
    assert "engine" not in row(content, EAGER)["beside"] and "engine" not in row(content, TEACHER)["beside"]


def test_the_cost_is_at_the_best_batch_and_at_the_smallest(content):
    """Median of 1 and 2 ms: 667 a second at batch 1, and 32 / 24 ms = 1333 at batch 32."""
    cost = row(content, STUDENT)["cost"]
    assert cost["smallest"] | {"per_core": None} == {
        **{"batch": 1, "threads": 1, "per_core": None, "cores": 11},
        "per_month": pytest.approx(11 * 29.2),
    }
    assert cost["best"]["batch"] == 32
    assert cost["best"]["per_core"] == pytest.approx(4000 / 3)
    assert cost["best"]["cores"] == 6
    # the teacher: 5 ms, 80 ms at batch 32: 400 a second, 18 cores
    saved = row(content, STUDENT)["beside"]["engine"]["saved_per_month"]
    assert saved == {"best": pytest.approx((18 - 6) * 29.2), "smallest": pytest.approx((36 - 11) * 29.2)}


def test_a_file_that_is_refused_for_one_seed_is_a_row_that_says_so_and_is_not_chosen(content):
    one = row(content, INT8)
    assert one["refused"] == "seed 1: it falls by 3.00 points."
    assert (one["latency"], one["cost"], one["beaten_by"]) == ([], None, None)
    assert f"refused: {INT8}: seed 1: it falls by 3.00 points." in sentences(content)
    assert content["chosen"] == STUDENT


def test_rows_that_others_beat_are_said_to_be(content):
    assert row(content, STUDENT)["beaten_by"] == {"latency": None, "size": None}
    assert row(content, TEACHER)["beaten_by"] == {"latency": None, "size": None}
    assert row(content, BASELINE)["beaten_by"] == {"latency": STUDENT, "size": STUDENT}
    # as accurate as the teacher's file and as large, but slower
    assert row(content, EAGER)["beaten_by"] == {"latency": TEACHER, "size": None}
    assert f"beaten in accuracy against latency and size by {STUDENT}: {BASELINE}." in sentences(content)


def test_the_answer_names_what_it_loses_and_gains_and_how_sure_that_is(content):
    said = answer(content)
    assert said.startswith(f"{STUDENT} is the cheapest of 3 files that lose at most 1 point of test accuracy")
    assert (
        "loses 0.85 ± 0.64 points. Beside big.onnx in onnxruntime it is 5.0× smaller and 3.50× (3.00 to 4.00)" in said
    )
    assert "5000 samples a second take 6 cores instead of 18, 350 a month less at 0.04 a core and hour" in said
    assert "Its 95 % interval reaches a loss of 1.49 points, beyond the limit" in said
    wide = answer(compared(example(), Service(max_drop=2.0), []))
    assert "All of its 95 % interval is within the limit." in wide


def test_without_any_file_within_the_limit_the_closest_is_named():
    teacher = ("big", {0: 90.0}, [])
    student = ("small", {0: 80.0}, [("small.onnx", "float32", 800, {0: 80.0}, [1.0, 1.0])])
    content = compared(found({"big (teacher)": teacher, "small (ce)": student}), Service(), [])
    assert content["chosen"] is None
    assert answer(content) == (
        "No file is within 1 point of test accuracy of the teacher; small (ce), small.onnx in onnxruntime comes "
        "closest: it loses 10.00 points."
    )


def test_where_everything_is_refused_nothing_is_chosen():
    teacher = ("big", {0: 90.0}, [("big.onnx", "float32", 800, {0: None}, [1.0, 1.0])])
    content = compared(found({"big (teacher)": teacher}), Service(), [])
    assert answer(content) == "Nothing can be chosen: every file is refused or was not measured."
    assert content["rows"][1]["beside"]["pytorch"]["speedups"] == []


def test_of_files_that_rounds_do_not_tell_apart_the_most_accurate_is_chosen():
    """The first takes 1 and 2 ms, the second 2 and 1 ms: each wins a round."""
    teacher = ("big", {0: 90.0}, [("big.onnx", "float32", 4000, {0: 90.0}, [9.0, 9.0])])
    one = ("one", {0: 89.2}, [("one.onnx", "float32", 800, {0: 89.2}, [1.0, 2.0])])
    two = ("two", {0: 89.9}, [("two.onnx", "float32", 900, {0: 89.9}, [2.0, 1.1])])
    content = compared(found({"big": teacher, "one": one, "two": two}), Service(), [])
    assert [title(one) for one in as_cheap(content)] == ["two, two.onnx in onnxruntime", "one, one.onnx in onnxruntime"]
    assert "Not clearly slower or faster, and no more accurate: one, one.onnx in onnxruntime." in answer(content)


def test_remarks_are_kept_and_seeds_explained(content):
    assert content["remarks"][0] == "Recipes are equal."
    assert any("first seed is timed" in line for line in content["remarks"])
    assert "Of one seed, without an interval: small (baseline)." in content["remarks"]
