"""Every hint that kdlab prints can be pasted: each override in it composes, each command exists, one of each kind runs.

The hints are found in the source: a string of `kdlab/` (but a docstring) with something like `key=value`,
`python -m kdlab.…` or `pip install` is one. So a new hint is covered as it is written, and fails here when no config
has its key. Where its key is open (`loss.{name}=1`), an example goes into `KEYS`; where it needs other options, they go
into `CONTEXT`. A value that is open (`…`, or one that is computed) is filled from `VALUES`, or with the default.
"""

import ast
import json
import re
import shlex
import sys
import tomllib
from dataclasses import fields

import pytest
from omegaconf import OmegaConf

import kdlab
from kdlab import __main__, report
from kdlab.compare import service_of
from kdlab.config.compose import checked_overrides
from kdlab.config.overrides import group_names
from kdlab.errors import BadInput
from kdlab.jobs.plan_remarks import plan_remarks
from kdlab.reporting.analyse.calculator import Service
from kdlab.reporting.analyse.shipping import BUDGETS
from kdlab.runtime.robustness import corruptions
from kdlab.runtime.sweep_records import read_sweep
from kdlab.screen.run import conclusions
from kdlab.settings.corruption import check_severity
from kdlab.sweeps.cli import run
from kdlab.sweeps.progress import Progress
from kdlab.sweeps.report import write_report
from kdlab.train import train
from tests.pages import ROOT
from tests.small import TINY

NOT_PRINTED = (
    "kdlab/benchmarking/case.py",
    "kdlab/config/extras.py",
    "kdlab/sweeps/cli.py",
)  # overrides for Hydra itself
TOP = [*OmegaConf.load(ROOT / "conf" / "train.yaml"), *group_names(), "data", "loss", "plan", "optimizer", "scheduler"]
TOP = sorted(
    {name for name in (*TOP, "hardware", "callbacks", "logger", "debug", "experiment", "hydra/sweeper")}, reverse=True
)
VALUE = r"\w+\([^)]*\)|\[[^\]]*\]|\$\{[^}]*\}|[^\s,;:()'\"`]+"
OVERRIDE = re.compile(rf"(?<![\w./$-])(\+?(?:{'|'.join(TOP)}|sweeps)(?:[./@][\w./@<>{{}}-]+)?)=({VALUE})")
COMMAND = re.compile(r"python -m kdlab\.(\w+)")
EXTRA = re.compile(r"kdlab\[(\w+)\]")
KEYS = {
    "data.{}": "data.batch_size",
    "export.{}": "export.artifacts",
    "loss.{}": "loss.alpha",
    "loss.terms.{}.taps": "loss.terms.mine.taps",
    "loss.terms.{}.source": "loss.terms.mine.source",
    "loss.terms.{}.{}": "loss.terms.mine.margin",
    "model.{}.image_size": "model.student.image_size",
    "paths.{}": "paths.outputs",
}
CONTEXT = {  # by key, or by its beginning
    "data.download": "data=cifar10",
    "data.root": "data=image_folder",
    "export.": "export=onnx",
    "loss.beta": "loss=feature",
    "loss.gamma": "loss=feature",
    "loss.decay": "loss=mean_teacher",
    "plan.assistants": "plan=assistant",
    "plan.max_ratio": "plan=assistant",
    "plan.prune.": "plan=compress",
    "plan.qat.": "plan=qat",
    "plan.target_compression": "plan=progressive",
    "plan.last": "plan=progressive",
    "hydra/sweeper": "seed=0,1",
    "logger.": "logger=wandb",
}
VALUES = {"+sweeps": "seeds", "export": "onnx", "data@transfer": "digits", "model.teacher.checkpoint": "weights.pt"}
OPEN = ("…", "{}")  # values that the reader fills in
EVALUATED = ("data.corruption", "data.severity")  # settings of kdlab.evaluate alone


class Strings(ast.NodeVisitor):
    """The strings of a module but its docstrings; what an f-string computes is `{}`."""

    def __init__(self):
        self.found = []

    def visit_Expr(self, node):
        if not isinstance(node.value, ast.Constant):
            self.generic_visit(node)

    def visit_JoinedStr(self, node):
        self.found.append("".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values))

    def visit_Constant(self, node):
        if isinstance(node.value, str):
            self.found.append(node.value)


def hints():
    """Every string of the source that may be printed, with its file."""
    for path in sorted((ROOT / "kdlab").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name not in NOT_PRINTED:
            strings = Strings()
            strings.visit(ast.parse(path.read_text()))
            yield from ((name, text) for text in strings.found)


def overrides_in(text):
    """Its overrides as `(key, value)`, without the stop that ends a sentence."""
    return [(key, value.rstrip(".?")) for key, value in OVERRIDE.findall(text)]


HINTED = sorted({pair for _, text in hints() for pair in overrides_in(text)})


@pytest.fixture(scope="module")
def base():
    return checked_overrides([]).config


def filled(key, value, base):
    """An override as a reader would type it."""
    key = KEYS.get(key, key)
    assert "{" not in key and "<" not in key, f"{key}={value} is printed: give an example of its key in KEYS"
    if all(open_end not in value for open_end in OPEN):
        return f"{key}={value}"
    if value not in OPEN:  # such as [{}]
        return f"{key}={value.replace('{}', 'resnet20').replace('…', 'resnet20')}"
    if key in VALUES:
        return f"{key}={VALUES[key]}"
    if key in base.hydra.runtime.choices:
        return f"{key}={base.hydra.runtime.choices[key]}"
    default = OmegaConf.select(base, key)
    return f"{key}={default if isinstance(default, int | float | str) else 7}"


def batches(lines):
    """Command lines that together have every override, with each key at most once in one of them."""
    found = []
    for line in lines:
        key = line.partition("=")[0]
        context = next((option for start, option in CONTEXT.items() if key.startswith(start)), None)
        batch = next((one for one in found if one["context"] == context and key not in one["keys"]), None)
        if batch is None:
            found.append(batch := {"context": context, "keys": set(), "lines": [context] if context else []})
        batch["keys"].add(key)
        batch["lines"].append(line)
    return [batch["lines"] for batch in found]


def test_every_override_that_is_printed_composes(base):
    lines = [filled(key, value, base) for key, value in HINTED if key not in EVALUATED]
    groups = set(base.hydra.runtime.choices) | {"+sweeps", "hydra/sweeper"}
    chosen = [line for line in lines if line.partition("=")[0] in groups]
    values = [line for line in lines if line not in chosen]
    assert len(chosen) >= 10 and len(values) >= 30
    for batch in [*batches(chosen), *batches(values)]:
        several = any(re.match(r"\+sweeps|hydra/sweeper|.*=interval", line) for line in batch)
        if any("=interval" in line for line in batch):
            batch.append("hydra/sweeper=optuna")
        assert checked_overrides(batch, multirun=several).config, batch


def test_every_corruption_that_is_printed_can_be_evaluated_on():
    given = [pair for pair in HINTED if pair[0] in EVALUATED]
    assert {key for key, _ in given} == set(EVALUATED)
    for key, value in given:
        if key == "data.corruption" and value not in OPEN:
            assert corruptions(value)
        elif value not in OPEN:
            check_severity(int(value))


def test_every_command_and_extra_that_is_printed_is_there():
    texts = [text for _, text in hints()]
    commands = {name for text in texts for name in COMMAND.findall(text)}
    extras = {name for text in texts for name in EXTRA.findall(text)}
    assert commands == set(__main__.COMMANDS) | ({"COMMAND"} & commands)
    assert extras <= set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    assert extras


COMPUTED = re.compile(r"(?<![\w/])\{\}(?:\.[\w.{}]+)?=\S")
OF_RESULTS = ("kdlab/screen/", "kdlab/runtime/", "kdlab/reporting/", "kdlab/jobs/plan_remarks.py")
MADE_BELOW = {
    "kdlab/jobs/plan_remarks.py": "test_the_hints_of_a_plan_run",
    "kdlab/reporting/analyse/calculator.py": "test_the_number_that_a_comparison_proposes_is_taken",
    "kdlab/reporting/analyse/shipping.py": "test_the_budgets_that_a_report_repeats_compose",
    "kdlab/screen/run.py": "test_the_hints_of_a_result_run",
}


def override_lines(texts):
    """What a reader can paste of some lines."""
    return [f"{key}={value}" for text in texts for key, value in overrides_in(text)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of a pair whose teacher is far larger than its student: its folder, its result and what it prints."""
    outputs = tmp_path_factory.mktemp("hints")
    lines = [*TINY[:-1], "model.student.kwargs.widths=[1,1,2,2]", f"paths.outputs={outputs}"]
    assert run(train, lines) == 0
    (path,) = outputs.glob("response-*")
    return lines, path, json.loads((path / "result.json").read_text())


def test_the_hint_of_a_large_step_runs(finished):
    lines, _, result = finished
    (hint,) = result["hints"]
    (overrides,) = re.findall(r"may help \((.*)\)", hint)
    assert run(train, [*lines, *shlex.split(overrides)]) == 0


def test_the_hints_of_a_result_run(finished):
    """Of a teacher that is worse than the baseline, and of networks that learned nothing."""
    lines, path, result = finished
    worse = {**result, "teacher": {**result["teacher"], "test/accuracy": 0.0}, "baseline": {**result["baseline"]}}
    worse["references"] = {"majority class": {"test/accuracy": 100.0}}
    printed = override_lines(conclusions(worse))
    assert [line.partition("=")[0] for line in printed] == [
        "model.teacher.train.epochs",
        "epochs",
        "+sweeps",
        "model.teacher.train.epochs",
        "model.teacher.checkpoint",
    ]
    weights = path / "teacher" / "student.safetensors"
    assert run(train, [*lines, f"model.teacher.checkpoint={weights}", "epochs=1"]) == 0


def test_the_hints_of_a_plan_run(finished):
    lines, *_ = finished
    typed = [line for line in lines if "epochs" not in line]
    remarks = plan_remarks(kdlab.plan([*typed, "loss=fitnet", "epochs=1"]), ["loss=fitnet", "epochs=1"])
    printed = override_lines(remarks)
    assert {line.partition("=")[0] for line in printed} == {"data.batch_size", "model.teacher.train.epochs", "loss"}
    assert run(train, [*typed, "epochs=1", *printed]) == 0


def test_the_budgets_that_a_report_repeats_compose():
    lines = [f"{key}=1" for key in BUDGETS]
    assert checked_overrides(["export=onnx", *lines]).config.export.max_latency_ms == 1


@pytest.mark.parametrize("name", [field.name for field in fields(Service)])
def test_the_number_that_a_comparison_proposes_is_taken(name):
    with pytest.raises(BadInput) as error:
        service_of({name: -1})
    (proposed,) = re.findall(rf"For example: {name}=(\S+)", str(error.value))
    assert getattr(service_of({name: float(proposed)}), name) == float(proposed)


def test_the_sweep_that_a_result_names_runs_and_the_command_after_a_failed_report_writes_it(
    finished, caplog, monkeypatch
):
    lines, path, _ = finished
    assert run(train, [*lines, "+sweeps=seeds", "seed=0,1", "epochs=1"]) == 0
    (folder,) = path.parent.glob("seeds-*")
    sweep, start = read_sweep(folder)
    with monkeypatch.context() as broken:
        broken.setattr("kdlab.reporting.report.report", lambda *_: 1 / 0)
        write_report(sweep, Progress.of(folder, sweep.cells, start.began), OmegaConf.create({"logger": {"csv": True}}))
    (command,) = re.findall(r"python -m kdlab\.report \S+", caplog.text)
    page = folder / "report" / "index.html"
    page.unlink()
    monkeypatch.setattr(sys, "argv", shlex.split(command)[2:])
    assert report.main() == 0 and page.is_file()


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("loss.temprature=3", "loss.temperature=3"),
        ("lr=0.1", "optimizer.lr=0.1"),
        ("model.studnt.kwargs.widths=[1]", "model.student.kwargs.widths=[1]"),
        ("loss=respnse", "loss=response"),
        ("model/teacher@model.second=resnet20", "model/teacher@model.teachers.second=resnet20"),
        ("+sweeps=sedes", "+sweeps=seeds"),
    ],
)
def test_what_an_error_asks_whether_you_meant_composes(wrong, right):
    with pytest.raises(BadInput) as error:
        checked_overrides([wrong], multirun=True)
    (meant,) = re.findall(r"Did you mean (\S+)\?", str(error.value))
    assert (meant if "=" in meant else f"{meant}={wrong.partition('=')[2]}") == right
    assert checked_overrides([right], multirun=True).config


def test_a_hint_of_results_whose_key_is_computed_is_made_by_a_test():
    """An error repeats the key that it refuses, and has a test of its text; these name another one."""
    files = {name for name, text in hints() if name.startswith(OF_RESULTS) and COMPUTED.search(text)}
    assert files == set(MADE_BELOW), "make the hint with real input in a test of this module, and name it in MADE_BELOW"
    assert all(test in globals() for test in MADE_BELOW.values())
