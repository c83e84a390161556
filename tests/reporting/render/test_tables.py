import csv

import pytest

from kdlab.reporting.assemble import collect
from kdlab.reporting.render.tables import write_cells, write_markdown
from tests.reporting.lab import Lab


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


def test_every_run_is_a_row_with_the_figures_of_its_result(lab):
    values = {2.0: [(95.0, 90.0, 94.0), (95.5, 90.5, 94.0)], 8.0: [(96.0, 90.0, 95.0)]}
    sweep = lab.grid("loss.temperature", values)
    with write_cells(collect([sweep]), sweep).open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = [(row["loss.temperature"], row["seed"], row["test_accuracy"], row["val_accuracy"]) for row in rows]
    assert found == [("8.0", "0", "96.0", "95.0"), ("2.0", "0", "95.0", "94.0"), ("2.0", "1", "95.5", "94.0")]
    assert [float(row["gain"]) for row in rows] == [6.0, 5.0, 5.0]
    assert rows[0]["best_minus_last"] == "0.5"
    assert all((sweep / row["path"] / "result.json").is_file() for row in rows)


def table_of(text, heading):
    """Cells of the first table below a heading."""
    lines = text.split(heading)[1].strip().splitlines()
    rows = [line for line in lines if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def test_the_markdown_has_question_answer_and_settings(lab):
    values = {2.0: [(95.0, 90.0, 94.0), (95.5, 90.1, 94.0)], 8.0: [(96.0, 90.0, 95.0), (90.0, 90.1, 95.0)]}
    evidence = collect([lab.grid("loss.temperature", values, question="Hot or cold?")])
    text = write_markdown(evidence, lab.root).read_text()
    assert text.startswith(f"# Hot or cold?\n\n**{evidence.answer}**\n")
    heads, _, first, second = table_of(text, "## Settings")[:4]
    assert [first[0], second[0]] == ["T 8", "T 2"]
    gains = [row[heads.index("gain")] for row in (first, second)]
    assert gains[0] == "+3.0 ± 38.8 points (smaller than its uncertainty)"
    assert gains[1] == "+5.2 ± 2.5 points"
    assert "over control" not in heads
    assert "python -m kdlab.train +sweeps=sweep" in text
    assert "instead of" in text
    assert "outputs of teachers, 70% were read from the cache." in text


def test_errors_are_inert_and_on_one_line(lab):
    lab.failed("a | b\n*<script>alert(1)</script>", typed=["seed=3"])
    text = write_markdown(collect([lab.root]), lab.root).read_text()
    assert "| seed 3 | a \\| b \\*&lt;script>alert(1)&lt;/script> |" in text
