"""What a comparison shows: on the screen, on its page, in a report, and in pictures."""

import csv
import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from kdlab.reporting.analyse.calculator import Service
from kdlab.reporting.analyse.comparison import compared
from kdlab.reporting.assemble import collect
from kdlab.reporting.render.comparison_lines import answers
from kdlab.reporting.render.comparison_page import write_comparison
from kdlab.reporting.render.comparison_tables import csv_text
from kdlab.reporting.render.page import write_page
from kdlab.reporting.render.tables import write_markdown
from kdlab.screen.comparison import show_comparison
from tests.reporting.made_up import evidence
from tests.reporting.made_up_comparison import example
from tests.reporting.render.test_page import Page

HOSTILE = "small <script>alert(1)</script> [bold] (response)"


@pytest.fixture(scope="module")
def content():
    return compared(example(), Service(), ["Recipes are equal."])


@pytest.fixture(scope="module")
def page(content, tmp_path_factory):
    path = write_comparison(content, tmp_path_factory.mktemp("comparison") / "comparison-01234567")
    return Page(path.read_text()), path.parent


def test_the_page_has_every_figure_of_every_row(content, page):
    figures, ratios, costs = ({(row[0], row[1], row[2]): row for row in table[1:]} for table in page[0].tables)
    key = ("small (response)", "small.onnx", "onnxruntime")
    assert figures[key][3:] == (
        ["90.15 ± 13.34", "0.85 ± 0.64", "99.1 ± 0.8", "1 k", "5 k", "0.80", "1.5", "24", "80", "ms, MB"]
    )
    assert ratios[key][3:] == ["5.0", "0", "3.5 [3, 4]", "3.5 [3, 4]", "7.5 [5, 10]"]
    # PyTorch: 10 ms, at batch 32 160 ms: 200 a second, 36 cores
    assert costs[key][3:] == ["1333", "32", "6", "175", "350", "876", "11", "321"]
    refused = figures["small (response)", "small-int8.onnx", "onnxruntime"]
    assert refused[-1] == "refused" and refused[9] == "–"
    assert "seed 1: it falls by 3.00 points" in page[0].text


def test_the_answer_is_the_headline_and_all_assumptions_are_on_the_page(content, page):
    first, *more = answers(content)
    for text in (first, *more, *content["assumptions"], *content["remarks"]):
        assert text in page[0].text
    assert page[0].tags["h1"] == 1


def test_the_folder_has_the_content_the_rows_and_both_pictures(content, page):
    folder = page[1]
    assert json.loads((folder / "comparison.json").read_text()) == json.loads(json.dumps(content))
    assert {path.name for path in folder.rglob("*.svg")} == {"comparison-latency.svg", "comparison-size.svg"}
    assert {"comparison-latency", "comparison-size"} <= set(page[0].values("id"))
    alt = next(value for value in page[0].values("aria-label") if value.startswith("Test accuracy against mega"))
    assert "cheapest first: small (response), small.onnx in onnxruntime, 0.8, 90.15 %" in alt


def test_the_rows_as_csv_are_plain_numbers(content):
    rows = {(row["network"], row["file"]): row for row in csv.DictReader(io.StringIO(csv_text(content)))}
    row = rows["small (response)", "small.onnx"]
    assert float(row["test_accuracy"]) == pytest.approx(90.15)
    assert float(row["ms_batch32_threads1"]) == pytest.approx(24)
    assert (row["cores_best"], row["batch_best"], row["cores_smallest"]) == ("6", "32", "11")
    assert float(row["speedup_pytorch"]) == pytest.approx(7.5)
    assert rows["small (response)", "small-int8.onnx"]["ms_batch1_threads1"] == ""
    assert rows["small (baseline)", "small.onnx"]["beaten_by_size"] == "small (response), small.onnx in onnxruntime"


@pytest.mark.parametrize("width", [80, 200])
def test_the_screen_has_every_row_within_its_width(content, width, tmp_path):
    console = Console(file=io.StringIO(), width=width)
    show_comparison(console, content, tmp_path)
    printed = console.file.getvalue()
    assert max(map(len, printed.splitlines())) <= width
    own = " small.onnx in onnxruntime" if width == 200 else " float32 onnxruntime"
    (line, *_) = [line for line in printed.splitlines() if line.startswith(own) and "90.15 ± 13.34" in line]
    assert line.split()[-2:] == ["ms,", "MB"]
    assert ("parameters" in printed) == (width == 200)


def test_names_are_text_and_no_markup(content, tmp_path):
    text = json.dumps(content).replace("small (response)", HOSTILE)
    hostile, console = json.loads(text), Console(file=io.StringIO(), width=300)
    page = Page(write_comparison(hostile, tmp_path / "out").read_text())
    assert page.tags["script"] == 1  # that which sorts tables
    assert HOSTILE in page.text
    show_comparison(console, hostile, tmp_path)
    assert HOSTILE in console.file.getvalue()


def test_a_report_has_a_section_for_each_comparison_with_pictures_of_its_own(content, tmp_path):
    made = replace(evidence(()), comparisons=((tmp_path / "one", content), (tmp_path / "two", content)))
    page = Page(write_page(made, tmp_path / "report").read_text())
    names = [name for name in page.values("id") if name in ("comparison-latency", "comparison-latency-2")]
    assert names == ["comparison-latency", "comparison-latency-2"]
    assert (tmp_path / "report" / "plots" / "comparison-size-2.png").is_file()
    text = write_markdown(made, tmp_path / "report").read_text()
    assert text.count("| small (response) | small.onnx | onnxruntime | 90.15 ± 13.34 |") == 2


def test_a_report_finds_comparisons_and_skips_what_is_none(content, tmp_path):
    write_comparison(content, tmp_path / "comparison-01234567")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "comparison.json").write_text('{"rows": []}')
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "comparison.json").write_text('{"rows": [')
    found = collect([tmp_path])
    assert [folder.name for folder, _ in found.comparisons] == ["comparison-01234567"]
    skipped = [remark for remark in found.remarks if "was skipped: it cannot be read" in remark]
    assert [remark.partition("/")[0] for remark in skipped] == ["broken", "cut"]
    assert "it has no task" in skipped[0]
