"""Runs with exports in a report: columns, the table of what can be shipped, and the student that is chosen."""

import csv

import pytest

from kdlab.reporting.assemble import collect
from kdlab.reporting.render.page import write_page
from kdlab.reporting.render.tables import run_rows, shipped_rows, write_cells, write_markdown
from kdlab.runtime.export_summary import export_summary
from tests.reporting.lab import Lab
from tests.reporting.made_up_export import content, row, write
from tests.reporting.render.test_page import Page

KEY, BUDGET = "model/student", {"export.max_latency_ms": 0.5}
FLOAT, INT8 = ("net.onnx", "onnxruntime"), ("net-int8.onnx", "onnxruntime")


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


def summary(milliseconds, **more):
    """Of an export whose float32 file takes so long, and whose INT8 file takes half; over 0.5 ms is over budget."""
    taken = {FLOAT: milliseconds, INT8: milliseconds / 2}
    missed = {" in ".join(key): [f"{ms:g} ms against 0.5"] if ms > 0.5 else [] for key, ms in taken.items()}
    return export_summary(content(taken, budgets=missed, **more), "export-1a2b3c4d")


def students(lab, by_name, settings=None, **about):
    """A sweep over students: of each its test and validation accuracy, and the summary of its export."""
    cells = []
    for name, (test, val, exported) in by_name.items():
        more = {KEY: name, **BUDGET, **(settings or {})}
        run = lab.run(test, 80.0, val=val, settings=more, result={"export": exported} if exported else {})
        cells.append(([f"{KEY}={name}"], run, {}))
    return lab.sweep({KEY: list(by_name)}, cells, name="budget", **about)


SEVERAL = {
    "large": (99.0, 99.0, summary(4.0, accuracy=99.0)),
    "middle": (95.0, 97.0, summary(0.8, accuracy=95.0)),
    "lucky": (96.0, 94.0, summary(0.6, accuracy=96.0)),  # better than middle on test alone
    "small": (90.0, 90.0, summary(0.2, accuracy=90.0)),
}


def test_of_the_students_within_the_budget_the_best_on_validation_is_chosen(lab):
    evidence = collect([students(lab, SEVERAL)])
    assert evidence.shipping == (
        "Of 3 students within the budget (export.max_latency_ms=0.5), student middle is best by validation accuracy "
        "(97.0 %), by which it is chosen: net-int8.onnx in onnxruntime takes 0.4 ms, has 0.2 MB and reaches 94.5 % of "
        "test accuracy.",
    )


def test_a_best_student_that_is_over_budget_is_a_remark_and_not_the_answer(lab):
    evidence = collect([students(lab, SEVERAL)])
    assert evidence.answer == evidence.shipping[0]
    assert evidence.remarks[0].startswith("Without the budget: student large is best by validation accuracy (99.0 %)")


def test_a_best_student_that_is_within_the_budget_is_the_answer(lab):
    evidence = collect([students(lab, {name: one for name, one in SEVERAL.items() if name != "large"})])
    assert evidence.answer.startswith("student middle is best by validation accuracy (97.0 %): test accuracy 95.0 %")
    assert not any("budget" in remark for remark in evidence.remarks)


def test_every_run_has_the_columns_of_its_artifact(lab):
    without = {"plain": (91.0, 91.0, None)}
    sweep = students(lab, {**SEVERAL, **without})
    with write_cells(collect([sweep]), sweep).open(newline="") as file:
        rows = {row[KEY]: row for row in csv.DictReader(file)}
    names = ("artifact", "engine", "latency_ms", "size_mb", "artifact_test_accuracy", "within_budget")
    assert [rows["middle"][name] for name in names] == ["net-int8.onnx", "onnxruntime", "0.4", "0.2", "94.5", "True"]
    assert [rows["large"][name] for name in names] == ["net-int8.onnx", "onnxruntime", "2.0", "0.2", "98.5", "False"]
    assert [rows["plain"][name] for name in names] == [""] * 6


def test_without_an_export_there_are_no_such_columns(lab):
    evidence = collect([lab.run(95.0, 90.0)])
    assert "latency_ms" not in run_rows(evidence, lab.root)[0]
    assert (evidence.shipped, evidence.shipping, evidence.exports) == ((), (), ())


def test_the_table_says_what_is_over_budget_and_what_is_refused(lab):
    refused = {"risky": (93.0, 93.0, summary(0.4, refused=["net-int8.onnx"]))}
    rows = {row["setting"]: row for row in shipped_rows(collect([students(lab, {**SEVERAL, **refused})]))}
    assert list(rows) == ["student large", "student middle", "student lucky", "student risky", "student small"]
    assert rows["student large"]["within budget"] == "no"
    assert rows["student large"]["refused or over budget"] == "2 ms against 0.5"
    assert rows["student middle"]["within budget"] == "yes"
    assert (rows["student risky"]["artifact"], rows["student risky"]["latency (ms)"]) == ("net.onnx", "0.4")
    assert rows["student risky"]["refused or over budget"] == "net-int8.onnx is refused: it loses 3.00 points"
    assert "refused or over budget" not in shipped_rows(collect([lab.run(90.0, result={"export": summary(0.2)})]))[0]


def test_over_seeds_latencies_have_intervals_and_every_seed_must_be_within_the_budget(lab):
    cells = []
    for seed, milliseconds in enumerate((0.8, 1.0, 1.2)):
        settings = {"loss.temperature": 2.0, **BUDGET}
        run = lab.run(90.0, 80.0, seed=seed, settings=settings, result={"export": summary(milliseconds)})
        cells.append(([f"seed={seed}"], run, {}))
    evidence = collect([lab.sweep({"seed": ["0", "1", "2"]}, cells)])
    (shown,) = shipped_rows(evidence)
    assert shown["within budget"] == "2 of 3"
    assert shown["latency (ms)"] == "0.5 ± 0.25"  # 0.4, 0.5 and 0.6: t of 2 degrees of freedom is 4.303
    assert evidence.shipping == (
        "No student is within the budget (export.max_latency_ms=0.5); the fastest, response, net-int8.onnx, takes "
        "0.5 ms.",
    )


@pytest.mark.parametrize(
    ("by_name", "settings", "expected"),
    [
        (
            {"small": SEVERAL["small"], "middle": SEVERAL["middle"]},
            {"data.val_fraction": 0},
            "No samples were held out for validation (data.val_fraction=0), so none of the 2 students within the "
            "budget (export.max_latency_ms=0.5) is chosen.",
        ),
        (
            {"small": SEVERAL["small"], "large": SEVERAL["large"]},
            {},
            "student small is the only student within the budget (export.max_latency_ms=0.5): net-int8.onnx in "
            "onnxruntime takes 0.1 ms, has 0.2 MB and reaches 89.5 % of test accuracy.",
        ),
        (
            {"a": (90.0, 90.0, {"error": "no operator", "complete": False}), "b": (91.0, 91.0, None)},
            {},
            "Nothing can be shipped: every artifact is refused.",
        ),
    ],
)
def test_where_nothing_is_chosen_the_sentence_says_why(lab, by_name, settings, expected):
    assert collect([students(lab, by_name, settings)]).shipping == (expected,)


def test_latencies_that_do_not_compare_are_said(lab):
    other = {"other": (90.0, 90.0, {**summary(0.2), "cpu": "Board"})}
    sweep = students(lab, {**SEVERAL, **other}, is_parallel=True)
    _, machines, parallel = collect([sweep]).shipping
    assert machines == "Latencies of different machines (Board, Chip) do not compare."
    assert parallel.startswith("Other cells ran at the same time as the measurements")


def test_swept_settings_of_an_export_are_settings_and_others_are_not(lab):
    cells = []
    for samples in (64, 256):
        settings = {"export.calibration_samples": samples, "export.opset": 20, "export.max_latency_ms": samples / 100}
        run = lab.run(90.0, 80.0, settings=settings, result={"export": summary(0.2)})
        cells.append(([f"export.calibration_samples={samples}"], run, {}))
    evidence = collect([lab.sweep({"export.calibration_samples": ["64", "256"]}, cells)])
    assert [one.label for one in evidence.settings] == ["calibration samples 64", "calibration samples 256"]
    assert "within its budget" in evidence.shipping[0]


def test_typed_settings_of_exports_tell_loose_runs_apart(lab):
    for samples in (64, 256):
        settings = {"export.calibration_samples": samples, "export.opset": samples}
        typed = ["export=onnx", f"export.calibration_samples={samples}"]
        lab.run(90.0, 80.0, settings=settings, typed=typed, result={"export": summary(0.2)})
    labels = {one.label for one in collect([lab.root]).settings}
    assert labels == {"calibration samples 64", "calibration samples 256"}


def test_of_a_run_with_and_without_an_export_the_one_with_it_is_shown(lab):
    with_export = lab.run(90.0, 80.0, settings={"export.opset": 20}, result={"export": summary(0.2)})
    lab.run(90.0, 80.0)
    (setting,) = collect([lab.root]).settings
    assert [run.path for run in setting.runs] == [with_export]


@pytest.fixture
def exported_later(lab):
    """A run that kdlab.export exported twice, the second time on a board too."""
    run = lab.run(90.0, 80.0)
    write(run / "export-aaaaaaaa", content({FLOAT: 0.9}))
    board = {"cpu": "Board", "features": ["asimd"], "packages": {"onnxruntime": "1.31"}, "energy": None}
    measured = [("board", board, [row("net.onnx", "onnxruntime", 7.0, 1)])]
    write(run / "export-bbbbbbbb", content({FLOAT: 0.8, INT8: 0.4}, refused=["net-int8.onnx"]), measured)
    return run


def test_the_folder_of_an_export_is_not_a_run(exported_later, lab):
    write(lab.root / "export-net-cccccccc", content({FLOAT: 0.9}))  # of a stage in a store
    evidence = collect([lab.root])
    assert [run.path for setting in evidence.settings for run in setting.runs] == [exported_later]
    assert not [remark for remark in evidence.remarks if "skipped" in remark]


def test_the_newest_export_of_a_run_is_its_summary(exported_later):
    evidence = collect([exported_later])
    assert [one.folder.name for one in evidence.exports] == ["export-bbbbbbbb", "export-aaaaaaaa"]
    (shown,) = evidence.shipped
    assert (shown.artifacts, shown.latency_ms.mean) == (("net.onnx",), pytest.approx(0.8))


def test_a_damaged_export_is_skipped_with_a_remark(exported_later):
    (exported_later / "export-bbbbbbbb" / "devices" / "cut.json").write_text('{"machine": ')
    (exported_later / "export-aaaaaaaa" / "result.json").write_text('{"artifacts": [], "pairs": []}')
    evidence = collect([exported_later])
    assert [one.folder.name for one in evidence.exports] == ["export-bbbbbbbb"]
    assert [one["name"] for one in evidence.exports[0].devices] == ["board"]
    skipped = [remark.partition(" was skipped")[0] for remark in evidence.remarks if "was skipped" in remark]
    assert sorted(skipped) == ["devices/cut.json", "export-aaaaaaaa/result.json"]


def test_the_page_of_one_run_has_the_whole_export_and_other_devices(exported_later, tmp_path):
    evidence = collect([exported_later])
    page = Page(write_page(evidence, tmp_path / "page").read_text())
    _, shipped, proofs, latency, board, *_ = page.tables
    assert shipped[1][:3] == ["response", "net.onnx", "onnxruntime"]
    assert proofs[-1][:5] == ["net-int8.onnx", "onnxruntime", "0.20", "89.50 %", "0.50"]
    assert proofs[-1][-1] == "refused: it loses 3.00 points"
    assert latency[2][:8] == ["net.onnx", "onnxruntime", "1", "1", "0.800", "0.720 to 0.960", "1.600", "2.400"]
    assert [line[:6] for line in board[1:]] == [["net.onnx", "onnxruntime", "1", "1", "7.000", "6.300 to 8.400"]]
    assert "On board: Board (asimd); onnxruntime 1.31." in page.text
    assert "Ship net.onnx with onnxruntime" in page.text


def test_the_markdown_has_the_table_and_the_sentence(lab):
    evidence = collect([students(lab, SEVERAL)])
    text = write_markdown(evidence, lab.root).read_text()
    section = text.split("## What can be shipped")[1].split("##")[0]
    assert evidence.shipping[0] in section
    assert "| student large | net-int8.onnx | onnxruntime | 2 | 0.2 | 98.50 % | no | 2 ms against 0.5 |" in section
    assert "2 ms (over budget)" in text.split("## What can be shipped")[0]
