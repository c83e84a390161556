"""`kdlab.benchmark --inference`: what is measured, from the export's own verdict; kept, resumed and shown."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kdlab import benchmark
from kdlab.benchmarking import inference
from kdlab.benchmarking.inference import Subject
from kdlab.errors import BadInput, Interrupted
from kdlab.inference import rounds
from kdlab.inference.summary import speedups, summaries
from kdlab.jobs.export import latency
from kdlab.jobs.export.latency import Latency, Measurement
from tests.inference.tiny import IMAGES

FIGURES = {"p50": 0.001, "p95": 0.002, "p99": 0.003, "cold_start": 1.0, "memory_bytes": 5e7, "joules": None}
KEPT = {"calls": 300, "bare_p50": None}


def stub(name, precision="float32", **more):
    about = {"name": name, "label": name, "fingerprint": f"print of {name}", "precision": precision, "change": None}
    return SimpleNamespace(**{**about, **more})


STUDENT = stub(
    "student", label="student tiny", folder=Path("student"), teachers=[(stub("t", label="teacher big"), 1.0)]
)


def export_of(store, pairs, refused):
    """An export with its measurement in a store."""
    measured = [(name, engine) for name, engine, reasons in pairs if not reasons and engine != "torch"]
    keys = [*[("student tiny", "pytorch")] * bool(measured), *measured]
    rows = [
        {"round": at, "name": name, "engine": engine, "batch": 1, "threads": 1, **FIGURES, **KEPT}
        for name, engine in keys
        for at in range(2)
    ]
    machine = {"cpu": "C", "cores": 2, "features": [], "platform": "P", "python": "3", "packages": {}, "energy": "none"}
    (store / "abc").mkdir(parents=True)
    (store / "abc" / "result.json").write_text(
        json.dumps({"machine": machine, "rows": rows, "summaries": summaries(rows)})
    )
    precision = {name: "int8" if "int8" in name else "float32" for name, *_ in pairs}
    content = {
        "student": {"network": "tiny", "stage": "s"},
        "pairs": [{"artifact": name, "engine": engine, "refused_for": why} for name, engine, why in pairs],
        "artifacts": [{"artifact": name, "sha256": {name: f"hash of {name}"}} for name in precision],
        "refused": refused,
        "latency": summaries(rows),
        "speedups": speedups(rows),
        "stages": [{"name": "latency", "fingerprint": "abc"}],
    }
    jobs = [stub(name, one) for name, one in precision.items()]
    return SimpleNamespace(content=content, jobs=jobs, store=SimpleNamespace(root=store), fingerprint="f" * 16)


PAIRS = [
    ("a.onnx", "onnxruntime", []),
    ("a.onnx", "openvino", ["differs"]),
    ("a-int8.onnx", "onnxruntime", ["agrees on 90 %"]),
    ("a.pt2", "torch", []),
]
REFUSED = {"a-int8.onnx": ["agrees on 90 %"]}


@pytest.fixture
def run(tmp_path):
    (tmp_path / "run" / "student").mkdir(parents=True)
    (tmp_path / "run" / "student" / "student.safetensors").touch()
    return tmp_path / "run"


@pytest.fixture
def subject(tmp_path, run):
    return Subject(run, export_of(tmp_path / "store", PAIRS, REFUSED), Measurement())


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["kdlab.benchmark", *map(str, arguments)])
    return benchmark.main()


@pytest.fixture
def exporting(subject, monkeypatch):
    """In place of the export: notes the settings that it is given."""
    given = []

    def export(run, own, measured, console):
        given.append((run, own.measurement, measured.measurement, own.engines))
        return subject

    monkeypatch.setattr(inference.Subject, "exported", export)
    return given


def test_only_what_the_export_accepted_is_measured(subject):
    assert [(job.name, engine) for job, engine in subject.accepted] == [("a.onnx", "onnxruntime")]
    assert subject.exact == "a.onnx" and subject.hashes == {"a.onnx": {"a.onnx": "hash of a.onnx"}}


def test_a_run_is_measured_shown_and_written(exporting, subject, run, monkeypatch, capsys):
    subject.folder.mkdir()
    file = run / "all.json"
    assert command(monkeypatch, "--inference", run, "--repeats", 7, "--json", file, "export=openvino") == 0
    full = Measurement(batches=[1, 8, 32, 128], threads=[1, "all"], rounds=7)
    assert exporting == [(run, full, full, ["onnxruntime", "openvino"])]
    written, printed = json.loads(file.read_text()), capsys.readouterr().out
    assert set(written) == {"student", "measure", "machine", "sha256", "refused", "rows", "summaries", "speedups"}
    assert len(written["rows"]) == 4 and written["machine"]["cpu"] == "C"
    assert json.loads((run / "export-ffffffff" / "inference.json").read_text()) == written
    for line in ("a.onnx in onnxruntime", "student tiny in pytorch", "hash of a.onnx  a.onnx", "C, 2 cores"):
        assert line in printed
    assert "not measured: a-int8.onnx: refused, agrees on 90 %." in printed and "because none" in printed


def test_settings_of_the_command_line_win_and_the_folder_of_an_export_names_its_run(
    exporting, subject, run, monkeypatch
):
    assert command(monkeypatch, "--inference", subject.folder, "export.measure.batches=[2]") == 0
    ((where, own, *_),) = exporting
    assert where == run and own == Measurement(batches=[2], threads=[1, "all"], rounds=5)


def test_the_folder_of_another_export_is_refused(exporting, subject, run, monkeypatch, capsys):
    assert command(monkeypatch, "--inference", run / "export-00000000") == 2
    printed = capsys.readouterr().err
    assert "these make export-ffffffff" in printed and "export=openvino" in printed


def test_a_bundle_needs_no_more_than_the_export_measures_itself(exporting, run, monkeypatch):
    written = []
    monkeypatch.setattr("kdlab.benchmarking.bundle.write_bundle", lambda path, *rest: written.append(path))
    arguments = ["--bundle", run / "board.zip", "export.measure.batches=[4]", "--repeats", 3]
    assert command(monkeypatch, "--inference", run, *arguments) == 0
    ((_, own, measured, _),) = exporting
    assert own == Measurement(batches=[1, 32], threads=[1], rounds=5)
    assert measured == Measurement(batches=[4], threads=[1, "all"], rounds=3)
    assert written == [run / "board.zip"]


def test_an_export_that_accepts_nothing_is_explained(run, tmp_path, monkeypatch):
    nothing = export_of(tmp_path / "store", PAIRS[2:3], REFUSED)
    monkeypatch.setattr(inference, "run_export", lambda *arguments: nothing)
    monkeypatch.setattr(inference.FinishedStage, "at", lambda run: stub("s", folder=tmp_path / "store" / "s"))
    settings = SimpleNamespace(measurement=Measurement())
    with pytest.raises(BadInput, match=r"accepts nothing: a-int8.onnx: agrees on 90 %\. See python -m kdlab.export"):
        Subject.exported(run, settings, settings, None)


def test_a_killed_measurement_continues_with_the_rounds_that_it_lacks(tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(rounds, "_run", lambda variant, inputs: ran.append(variant) or {**FIGURES, **KEPT})
    arrays = {"images": IMAGES, "prepared_images": IMAGES.astype(np.float32)}
    monkeypatch.setattr(latency, "input_arrays", lambda student, most: arrays)
    artifact = stub("a.onnx", file=lambda folder: folder / "a.onnx")
    job = Latency(STUDENT, [(artifact, "onnxruntime")], Measurement(batches=(1, 8), threads=(1,), rounds=2))
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "bare.onnx").touch()
    inputs = [tmp_path / "student", tmp_path / "teacher", tmp_path / "made"]

    def stop(event):
        if event.done == 5:
            raise Interrupted("stop")

    with pytest.raises(Interrupted):
        job.run(tmp_path, inputs, stop)
    progress = []
    figures = job.run(tmp_path, inputs, lambda event: progress.append((event.done, event.total)))
    assert len(ran) == len(figures["rows"]) == 3 * 2 * 2
    assert progress == [(done, 12) for done in range(6, 13)]
    bare = {variant.name: variant.bare for variant in ran}
    assert bare == {"student tiny": None, "teacher big": None, "a.onnx": str(tmp_path / "made" / "bare.onnx")}


def test_another_number_of_rounds_is_another_measurement():
    def measured(**more):
        return Latency(STUDENT, [(stub("a.onnx"), "onnxruntime")], Measurement(**more)).fingerprint

    assert measured() == measured(rounds=5) != measured(rounds=6)
