"""The page is parsed again, and what it shows compared with the evidence."""

import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from kdlab.reporting.evidence import Interval, Savings
from kdlab.reporting.render.page import write_page
from tests.reporting.made_up import evidence, failures, setting, temperatures, with_run

VOID = {"meta", "br", "link", "img", "input", "hr"}
RESOURCES = {"src", "href", "xlink:href", "action", "data", "poster", "srcset"}
HOSTILE = '<script>alert("1")</script> & $x_1$ \' id="x"'


class Page(HTMLParser):
    """Elements, attributes, and the rows of each table; refuses tags that are not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.tables, self.text = [], Counter(), [], [], ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"script", "style"} & set(self.open):
            return
        self.text += data
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data

    def values(self, name):
        return [value for _, attribute, value in self.attributes if attribute == name]


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A report with everything, its page parsed, and its folder."""
    folder = tmp_path_factory.mktemp("report")
    made = temperatures()
    chain = [{"test/accuracy": 90.0 + index, "params": 5006} for index in range(3)]
    best = with_run(made.settings[0], folder / "run", result={"generations": chain})
    here = {"method": "KD", "teacher": 79.42, "student_alone": 72.5, "student": 73.33, "source": "CRD"}
    here |= {"metric": "test accuracy (%)", "note": "last epoch"}
    made = replace(
        made,
        settings=(best, *made.settings[1:]),
        best=best,
        failures=failures(3),
        published=({**here, "here": Interval(73.1, 0.25, 3)}, {**here, "method": "DKD", "here": None}),
        sweep={"command": "python -m kdlab.train -m loss.temperature=2,4,8", "ended": 1_790_000_000.0},
    )
    page = write_page(made, folder / "out")
    return made, Page(page.read_text()), page.parent


def test_question_answer_and_remarks_come_first(full):
    made, page, _ = full
    positions = [
        page.text.index(text) for text in (made.question, made.answer, *made.remarks, "6 settings", "validation %")
    ]
    assert positions[1:] == sorted(positions[1:])
    assert made.question in page.text[: positions[1]]
    assert page.tags["h1"] == 1
    assert "python -m kdlab.train -m loss.temperature=2,4,8" in page.text
    assert "3 seeds (0, 1, 2)" in page.text
    assert "21 September 2026" in page.text


def test_every_number_of_the_table_is_that_of_the_evidence(full):
    made, page, _ = full
    heading, *rows = page.tables[0]
    assert len(rows) == len(made.settings)
    for one, row in zip(made.settings, rows, strict=True):
        shown = dict(zip(heading, row, strict=True))
        accuracy, gain = one.figures["student/test/accuracy"], one.gain.points
        assert shown["setting"] == one.label
        assert shown["test %"] == f"{accuracy.mean:.2f} ± {accuracy.half:.2f}"
        assert shown["validation %"] == f"{accuracy.mean - 0.3:.2f} ± 0.55"
        assert shown["baseline %"] == f"{one.figures['baseline/test/accuracy'].mean:.2f} ± 0.70"
        assert shown["gain"] == f"{gain.mean:+.2f} ± {gain.half:.2f}"
        assert shown["bootstrap"] == f"{one.gain.bootstrap[0]:+.2f} … {one.gain.bootstrap[1]:+.2f}"
        assert shown["p (Holm)"] == "0.012"
        assert shown["agreement %"] == f"{one.figures['agreement'].mean:.1f}"
        assert shown["seconds"] == f"{one.figures['student/seconds'].mean:.1f}"
    assert not {"over control", "parameters", "FLOPs"} & set(heading)
    assert "Every student has 5.01 k parameters and 1.7 M FLOPs." in page.text


def test_each_plot_is_in_the_page_and_beside_it_in_both_formats_with_a_description(full):
    _, page, folder = full
    names = {path.stem for path in (folder / "plots").iterdir()}
    assert {"gains", "effect-validation", "effect-gain", "cost-params", "cost-seconds", "curves-accuracy"} < names
    assert {"curves-terms", "agreement", "reliability", "best-minus-last", "generations", "class-similarity"} < names
    assert {f"dark-knowledge-{name}" for name in ("most-torn", "typical", "surest")} < names
    assert page.tags["figure"] == len(names)
    for name in names:
        assert ElementTree.parse(folder / "plots" / f"{name}.svg").getroot().tag.endswith("svg")
        assert (folder / "plots" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert f"plots/{name}.png" in page.values("href")
    labels = [value for tag, name, value in page.attributes if tag == "svg" and name == "aria-label"]
    assert len(labels) == len(names)
    assert min(map(len, labels)) > 40


def test_identifiers_are_unique_and_every_reference_finds_its_own(full):
    _, page, _ = full
    identifiers = page.values("id")
    assert len(identifiers) == len(set(identifiers))
    referred = [value[1:] for value in page.values("xlink:href") if value.startswith("#")]
    assert referred
    assert set(referred) <= set(identifiers)
    clips = [value[len("url(#") : -1] for value in page.values("clip-path")]
    assert clips
    assert set(clips) <= set(identifiers)


def test_a_plot_brings_no_styles_or_titles_into_the_page(full):
    _, page, _ = full
    assert (page.tags["style"], page.tags["title"], page.tags["metadata"]) == (1, 1, 0)


def test_the_page_loads_nothing_from_the_internet(full):
    _, page, folder = full
    for tag, name, value in page.attributes:
        if name in RESOURCES:
            assert value.startswith(("#", "plots/", "data:")), (tag, name, value)
    style = (folder / "index.html").read_text().partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    assert "script" not in {tag for tag, name, _ in page.attributes if name == "src"}


def test_colours_of_plots_follow_the_page_but_the_files_keep_theirs(full):
    _, _, folder = full
    text = (folder / "index.html").read_text().partition("</style>")[2]
    assert "var(--accent)" in text
    for colour in ("#1d2129", "#2457c5", "#fefefe"):
        assert colour not in text
        assert colour in (folder / "plots" / "gains.svg").read_text()


def test_savings_failures_and_published_figures_are_shown(full):
    _, page, _ = full
    assert "12 runs are made of 14 distinct stages; without reuse, 36 would have been trained." in page.text
    assert "width: 25.0%" in page.values("style")
    assert page.tables[1][1] == ["T 0 · seed 0", "loss.temperature must be above 0, got 0"]
    assert page.tables[2][1] == ["KD", "79.42", "72.5", "73.33", "73.10 ± 0.25", "test accuracy (%)last epoch", "CRD"]
    assert page.tables[2][2][4] == "–"


def test_text_of_users_is_escaped(tmp_path):
    one = with_run(setting(HOSTILE, {"loss": HOSTILE}), tmp_path / "run")
    other = setting(r"$\frac$", {"loss": r"$\frac$"}, 96.0)  # no formula
    made = evidence(
        [one, other],
        {"loss": (HOSTILE, r"$\frac$")},
        title=HOSTILE,
        question=HOSTILE,
        answer=HOSTILE,
        remarks=(HOSTILE,) * 3,
        failures=(replace(failures(1)[0], label=HOSTILE, error=HOSTILE, path=Path("/x") / "<b>"),),
        published=({"method": HOSTILE, "source": HOSTILE},),
        sweep={"command": HOSTILE, "ended": None},
    )
    page = Page(write_page(made, tmp_path / "out").read_text())
    assert page.tags["script"] == 1  # the one that sorts
    assert page.text.count(r"$\frac$") == 3  # in the table, and beside its gain and its last epoch
    assert "b" not in page.tags
    assert "x" not in page.values("id")
    assert page.text.count(HOSTILE) >= 9
    assert page.tables[0][1][0] == HOSTILE


def test_a_report_into_the_folder_of_an_earlier_one_removes_the_plots_that_only_that_one_had(full, tmp_path):
    made, _, folder = full
    out = shutil.copytree(folder, tmp_path / "out")
    own = ["plots/mine.png", "plots/gains.pdf", "plots/kept/steps.svg", "agreement.svg", "notes.html"]
    (out / "plots" / "kept").mkdir()
    for name in own:
        (out / name).write_text('<a href="plots/mine.svg">SVG</a> <a href="plots/mine.png">PNG</a>')
    fewer = replace(made, settings=made.settings[1:], best=made.settings[1])  # no run whose files are at hand
    write_page(fewer, out)
    write_page(fewer, tmp_path / "afresh")
    left = {path.relative_to(out) for path in out.rglob("*") if path.is_file()}
    fresh = {path.relative_to(tmp_path / "afresh") for path in (tmp_path / "afresh").rglob("*") if path.is_file()}
    assert left == fresh | set(map(Path, own))
    assert len(fresh) < len(list((folder / "plots").iterdir()))


def test_only_failures_make_a_page_without_empty_boxes(tmp_path):
    made = evidence([], failures=failures(2), savings=Savings(0, 0, 0, 0.0, 0.0), seeds=(), remarks=())
    page = Page(write_page(made, tmp_path).read_text())
    assert len(page.tables) == 1
    assert (page.tags["section"], page.tags["figure"]) == (1, 0)
    assert list((tmp_path / "plots").iterdir()) == []


def test_one_run_without_baseline_teacher_or_files_makes_a_page(tmp_path):
    one = replace(setting("", {}), gain=None, figures={"student/test/accuracy": Interval(97.0, None, 1)})
    page = Page(write_page(evidence([one], remarks=(), seeds=(0,)), tmp_path).read_text())
    assert page.tables[0] == [["setting", "test %"], ["this run", "97.00"]]
    assert page.tags["figure"] == 0


def test_hundreds_of_settings_are_all_in_the_table_and_a_few_in_the_plots(tmp_path):
    values = [{"lr": 0.001 * (index + 1), "wd": index % 20 / 20} for index in range(200)]
    settings = [setting(f"lr {one['lr']:g} · wd {one['wd']:g}", one, 98 - one["wd"]) for one in values]
    path = write_page(evidence(settings, {"lr": tuple(range(200)), "wd": tuple(range(20))}), tmp_path)
    page = Page(path.read_text())
    assert len(page.tables[0]) == 201
    assert "box tall" in page.values("class")
    assert path.stat().st_size < 1_000_000


def test_torch_is_not_needed():
    absent = "'torch' in sys.modules or 'matplotlib.pyplot' in sys.modules"
    code = f"import sys, kdlab.reporting.render.page; sys.exit({absent})"
    subprocess.run([sys.executable, "-c", code], check=True)
