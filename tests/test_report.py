import subprocess
import sys
import time

import pytest

from kdlab import report
from kdlab.reporting.report import report as report_of
from tests.reporting.lab import Lab


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["kdlab.report", *map(str, arguments)])
    return report.main()


def test_a_sweep_has_its_report_in_its_folder_and_its_summary_on_the_screen(lab, monkeypatch, capsys):
    sweep = lab.grid("loss.temperature", {2.0: [(95.0, 90.0, 94.0)], 8.0: [(96.0, 90.0, 95.0)]}, question="Hot?")
    assert command(monkeypatch, sweep) == 0
    output = " ".join(capsys.readouterr().out.split())
    assert "Hot? T 8 is best by validation accuracy (95.0 %)" in output
    assert str(sweep / "report" / "index.html") in output
    for name in ("index.html", "cells.csv", "report.md"):
        assert (sweep / "report" / name).stat().st_size > 0


def test_the_report_goes_to_the_out_folder(lab, monkeypatch):
    run = lab.run(95.0, 90.0)
    assert command(monkeypatch, run, "--out", lab.root / "mine") == 0
    assert (lab.root / "mine" / "index.html").is_file()
    assert not (run / "report").exists()


def test_a_report_is_written_also_when_everything_failed(lab):
    lab.failed("the loss is not finite", typed=["seed=3"])
    page = report_of([lab.root])[1]
    assert page == lab.root / "report" / "index.html"
    assert "the loss is not finite" in page.read_text()


def test_a_report_upon_a_report_is_the_same(lab):
    lab.run(95.0, 90.0)
    first = report_of([lab.root])[1].with_name("cells.csv").read_text()
    assert report_of([lab.root])[1].with_name("cells.csv").read_text() == first


@pytest.mark.parametrize(("folder", "message"), [("nowhere", "which is not there"), ("", "without any")])
def test_bad_input_is_an_error(lab, monkeypatch, capsys, folder, message):
    assert command(monkeypatch, lab.root / folder) == 2
    assert message in capsys.readouterr().err


def test_two_hundred_runs_are_read_and_reported_without_torch(lab):
    for number in range(200):
        settings = {"loss.temperature": 1.0 + number // 4}
        lab.run(95.0 + number % 7, 90.0 + number % 3, seed=number % 4, settings=settings)
    program = (
        "import sys, time; start = time.perf_counter()\n"
        "from kdlab.reporting.report import report\n"
        f"evidence, _ = report([{str(lab.root)!r}])\n"
        "assert not {'torch', 'lightning', 'timm', 'wandb'} & set(sys.modules)\n"
        "print(len(evidence.settings), time.perf_counter() - start)"
    )
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=120)
    count, spent = done.stdout.split()
    assert int(count) == 50
    assert float(spent) < time.perf_counter() - started < 60  # a few seconds on an idle machine
