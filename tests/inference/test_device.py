"""A bundle: packed, carried, measured with nothing but numpy and ONNX Runtime, read back."""

import getpass
import json
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from zipfile import ZipFile

import numpy as np
import pytest
import torch

from kdlab import benchmark
from kdlab.benchmarking import bundle
from kdlab.benchmarking.devices import device_lines
from kdlab.inference import device, rounds
from kdlab.inference.row_log import RowLog
from kdlab.inference.summary import speedups
from kdlab.jobs.export.latency import Measurement
from tests.inference.tiny import IMAGES, LABELS, write_tiny

STUDENT = {"network": "tiny", "stage": "0123456789abcdef"}
ROOT = Path(benchmark.__file__).parents[1]


@dataclass(frozen=True)
class Job:
    name: str
    precision: str

    def files(self, folder):
        return (folder / self.name,)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """The zip of an export with a float32 artifact, an INT8 one, and one of an engine that is not installed."""
    store, jobs = tmp_path_factory.mktemp("store"), [Job("tiny.onnx", "float32"), Job("tiny-int8.onnx", "int8")]
    for job in jobs:
        (store / job.name).mkdir()
        write_tiny(store / job.name / job.name)
    write_tiny(store / "tiny.onnx" / "bare.onnx", prepares=False)
    student = SimpleNamespace(network="tiny", fingerprint=STUDENT["stage"], config={"data": {}})
    for job in jobs:
        object.__setattr__(job, "student", student)
    subject = SimpleNamespace(
        accepted=[(jobs[0], "onnxruntime"), (jobs[1], "onnxruntime"), (jobs[1], "absent_engine")],
        measurement=Measurement(batches=(1, 9), threads=(1,), rounds=1),
        export=SimpleNamespace(
            jobs=jobs, store=SimpleNamespace(folder=lambda job: store / getattr(job, "name", "logits"))
        ),
        refusals=["not measured: tiny.xml: refused, accuracy falls."],
    )
    path, printed = tmp_path_factory.mktemp("packed") / "board.zip", []
    with pytest.MonkeyPatch.context() as patch:
        prepared = {"images": IMAGES, "prepared_images": IMAGES.astype(np.float32)}
        patch.setattr(bundle, "input_arrays", lambda student, most: {k: v[:most] for k, v in prepared.items()})
        patch.setattr(bundle, "test_set", lambda data: SimpleNamespace(class_names=("red", "green", "blue")))
        logits = torch.from_numpy(IMAGES.astype(np.float32).mean((2, 3)))
        patch.setattr(bundle, "load_predictions", lambda folder: (torch.cat([logits, logits]), None))
        bundle.write_bundle(path, subject, SimpleNamespace(print=lambda line, markup: printed.append(line)))
    return path, "\n".join(printed)


@pytest.fixture(scope="module")
def unpacked(packed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("device")
    ZipFile(packed[0]).extractall(folder)
    return folder / "tiny-bundle"


@pytest.fixture(scope="module")
def measured(unpacked, tmp_path_factory):
    """What `measure.py` prints and writes, started elsewhere by a Python that cannot see kdlab."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    blocked = "import sys; sys.modules['kdlab'] = sys.modules['torch'] = None; import runpy;"
    command = f"{blocked} sys.argv = ['measure.py']; sys.path[0] = {str(unpacked)!r};"
    run = f"runpy.run_path({str(unpacked / 'measure.py')!r}, run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", f"{command} {run}"], cwd=elsewhere, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads((elsewhere / "results.json").read_text()), elsewhere


def test_a_bundle_says_how_it_is_run_and_what_is_not_in_it(packed):
    _, printed = packed
    assert "python3 -m zipfile -e board.zip ." in printed and "python3 tiny-bundle/measure.py" in printed
    assert "not measured: tiny.xml: refused, accuracy falls." in printed


def test_a_bundle_has_labels_inputs_and_the_student(unpacked):
    job = json.loads((unpacked / "job.json").read_text())
    assert (job["student"], job["classes"], job["labels"]) == (STUDENT, ["red", "green", "blue"], LABELS)
    assert np.array_equal(np.load(unpacked / "images.npz")["images"], IMAGES)
    assert {one["bare"] for one in job["artifacts"]} == {"bare/tiny.onnx", None}
    readme = (unpacked / "README.txt").read_text()
    assert "on the 4 test images" in readme and "runs in: absent_engine, onnxruntime." in readme


def test_a_bundle_names_neither_a_path_nor_a_user_nor_a_host_of_this_machine(packed):
    folders = {str(ROOT), str(Path.home()), str(packed[0].parent.parent), f"/{getpass.getuser()}/"}
    host = {socket.gethostname()} if len(socket.gethostname()) > 4 else set()
    with ZipFile(packed[0]) as archive:
        everything = {one.filename: archive.read(one) + one.extra + one.comment for one in archive.infolist()}
    assert len(everything) > 10
    for name, content in everything.items():
        assert not [one for one in folders | host if one.encode() in content], name


def test_the_device_measures_what_it_can_and_says_what_it_cannot(measured):
    printed, results, elsewhere = measured
    assert {(one["name"], one["batch"]) for one in results["summaries"]} == {
        (name, batch) for name in ("tiny.onnx", "tiny-int8.onnx") for batch in (1, 9)
    }
    assert not [one for one in results["summaries"] if "error" in one]
    assert results["agreement"] == {"tiny.onnx in onnxruntime": 100, "tiny-int8.onnx in onnxruntime": 100}
    assert "not measured: tiny-int8.onnx in absent_engine: absent_engine is not installed" in printed
    bare = {one["name"]: one["bare_p50"] for one in results["summaries"]}
    assert bare["tiny.onnx"] > 0 and bare["tiny-int8.onnx"] is None
    assert [file.name for file in elsewhere.iterdir()] == ["results.json"]


def test_the_table_has_every_figure(measured):
    printed, results, _ = measured
    one = next(one for one in results["summaries"] if (one["name"], one["batch"]) == ("tiny-int8.onnx", 1))
    assert f"{1e3 * one['p50']:.3g} [" in printed and f"{one['memory_bytes'] / 1e6:.0f}" in printed
    ratio = next(it for it in results["speedups"] if it["of"][0] == "tiny-int8.onnx" and it["batch"] == 1)
    assert f"{ratio['median']:.3g} [" in printed
    assert all(value in printed for files in results["sha256"].values() for value in files.values())
    assert results["machine"]["cpu"] in printed and "the median of 1 process;" in printed


def in_process(unpacked, monkeypatch, tmp_path, *arguments):
    """`measure.py` in this process; its measuring processes reply at once."""
    reply = {"p50": 1.0, "p95": 1.0, "p99": 1.0, "cold_start": 1.0, "memory_bytes": 1, "joules": 0.5, "bare_p50": None}
    ran = []
    monkeypatch.chdir(tmp_path)

    def run(variant, inputs):
        ran.append(variant.key)
        share = 50.0 if "int8" in variant.name else 100.0
        return {**reply, "calls": 19 if variant.batch == 9 else 300, "agreement": share}

    monkeypatch.setattr(rounds, "_run", run)
    return device.main(unpacked, [*arguments]), ran


def test_a_damaged_file_is_found_first(unpacked, monkeypatch, tmp_path, capsys):
    file = unpacked / "images.npz"
    content = file.read_bytes()
    try:
        file.write_bytes(content[:-1] + b"x")
        assert in_process(unpacked, monkeypatch, tmp_path) == (2, [])
        assert "images.npz is not the file that was packed" in capsys.readouterr().err
        file.unlink()
        assert in_process(unpacked, monkeypatch, tmp_path) == (2, [])
        assert "images.npz is missing" in capsys.readouterr().err
    finally:
        file.write_bytes(content)


def test_results_that_cannot_be_written_are_found_first(unpacked, monkeypatch, tmp_path, capsys):
    assert in_process(unpacked, monkeypatch, tmp_path, "--out", "none/x.json") == (2, [])
    assert "Choose another: --out FILE" in capsys.readouterr().err


def test_without_an_engine_the_fix_is_named(unpacked, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(device, "find_spec", lambda name: True if name == "numpy" else None)
    assert in_process(unpacked, monkeypatch, tmp_path) == (2, [])
    assert "pip install onnxruntime" in capsys.readouterr().err
    monkeypatch.setattr(device, "find_spec", lambda name: None)
    assert in_process(unpacked, monkeypatch, tmp_path) == (2, [])
    assert "pip install numpy onnxruntime" in capsys.readouterr().err


def test_an_artifact_that_predicts_otherwise_on_the_device_is_shown(unpacked, monkeypatch, tmp_path, capsys):
    code, ran = in_process(unpacked, monkeypatch, tmp_path)
    printed = capsys.readouterr().out
    assert code == 0 and len(ran) == 4
    assert "WARNING: tiny-int8.onnx in onnxruntime predicts as the student does for only 50 %" in printed
    assert "WARNING: tiny.onnx" not in printed


def test_quantiles_of_too_few_calls_are_not_shown_and_energy_is(unpacked, monkeypatch, tmp_path, capsys):
    in_process(unpacked, monkeypatch, tmp_path)
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.endswith("  500")]
    assert {line[0]: line[7:10] for line in lines} == {"1": ["1000", "1000", "-"], "9": ["-", "-", "-"]}


def test_a_stopped_measurement_continues_with_the_same_command(unpacked, monkeypatch, tmp_path, capsys):
    whole = RowLog.add

    def stop(log, row):
        whole(log, row)
        raise KeyboardInterrupt

    monkeypatch.setattr(RowLog, "add", stop)
    assert in_process(unpacked, monkeypatch, tmp_path)[0] == 130
    assert "the same command continues" in capsys.readouterr().err
    monkeypatch.setattr(RowLog, "add", whole)
    code, ran = in_process(unpacked, monkeypatch, tmp_path)
    assert code == 0 and len(ran) == 3
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]


@pytest.fixture
def run(tmp_path, measured):
    """A run directory with the export of which the bundle was."""
    _, results, _ = measured
    artifacts = [{"artifact": name, "sha256": files} for name, files in results["sha256"].items()]
    row = {**results["summaries"][0], "name": "tiny.onnx", "batch": 1, "threads": 1, "p50": 2.0}
    here = {"machine": results["machine"], "latency": [row], "speedups": []}
    for name, files in (("export-11111111", []), ("export-22222222", artifacts)):
        folder = tmp_path / "run" / name
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(json.dumps({"artifacts": files, "student": STUDENT, **here}))
    return tmp_path / "run"


def read(monkeypatch, capsys, run, results, *more):
    file = run.parent / "results.json"
    file.write_text(results if isinstance(results, str) else json.dumps(results))
    monkeypatch.setattr(sys, "argv", ["kdlab.benchmark", "--inference", str(run), "--read", str(file), *more])
    code = benchmark.main()
    return code, capsys.readouterr()


def test_results_are_kept_with_their_export_and_shown_beside_this_machine(run, measured, monkeypatch, capsys):
    _, results, _ = measured
    code, printed = read(monkeypatch, capsys, run, results, "--name", "Raspberry Pi 5")
    kept = run / "export-22222222" / "devices" / "raspberry-pi-5.json"
    assert code == 0 and json.loads(kept.read_text()) == {**results, "name": "raspberry-pi-5"}
    there = next(one for one in results["summaries"] if (one["name"], one["batch"]) == ("tiny.onnx", 1))
    row = next(line for line in printed.out.splitlines() if line.split()[:3] == ["1", "1", "2000"])
    assert row.split()[-1] == f"{there['p50'] / 2:.3g}" and f"{1e3 * there['p50']:.3g} [" in row


def test_figures_of_the_benchmark_come_before_those_of_the_export(run, measured, monkeypatch, capsys):
    _, results, _ = measured
    (run / "export-22222222" / "inference.json").write_text(json.dumps(results))
    _, printed = read(monkeypatch, capsys, run / "export-22222222", results)
    ratios = [line.split()[-1] for line in printed.out.splitlines() if line.split()[:2] in (["1", "1"], ["9", "1"])]
    assert ratios == ["1"] * 4


def test_all_threads_of_two_machines_stand_in_one_row(measured):
    def side(cores, p50):
        row = {**measured[1]["summaries"][0], "name": "tiny.onnx", "batch": 1, "engine": "onnxruntime"}
        rows = [{**row, "round": 0, "threads": threads, "p50": p50} for threads in (1, cores)]
        return {"machine": {**measured[1]["machine"], "cores": cores}, "summaries": rows, "speedups": speedups(rows)}

    there = {**side(4, 0.3), "threads": [1, "all"], "exact": "tiny.onnx", "agreement": {}}
    lines = [line.split() for line in device_lines(side(2, 0.1), "board", there)]
    assert [(line[1], line[-1]) for line in lines if line[:1] == ["1"]] == [("1", "3"), ("all", "3")]


FOREIGN = {
    "another student": (
        lambda it: it["student"].update(stage="f" * 16),
        "these results are of tiny, stage ffffffffffffffff; the student of",
        "Name the run from which the bundle was packed",
    ),
    "another artifact": (
        lambda it: it["sha256"]["tiny-int8.onnx"].update({"tiny-int8.onnx": "0"}),
        "has the tiny-int8.onnx that was measured: its SHA-256 differs",
        "--bundle",
    ),
    "another format": (lambda it: it.update(format=2), "format 2 instead of 1", "--read results.json"),
    "no rows": (lambda it: it.pop("summaries"), "without a valid summaries", "--read results.json"),
    "half a row": (lambda it: it["summaries"][0].pop("batch"), "lacks 'batch'", "python measure.py"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_results_of_something_else_are_refused(case, run, measured, monkeypatch, capsys):
    change, message, fix = FOREIGN[case]
    results = json.loads(json.dumps(measured[1]))
    change(results)
    code, printed = read(monkeypatch, capsys, run, results)
    assert code == 2 and message in printed.err and fix in printed.err
    assert not list(run.glob("export-*/devices"))


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_file_that_is_no_result_is_refused(text, run, monkeypatch, capsys):
    code, printed = read(monkeypatch, capsys, run, text)
    assert code == 2 and "--read must name the results that the measure.py of a bundle wrote" in printed.err


def test_a_run_without_an_export_and_a_name_without_letters_are_refused(run, measured, monkeypatch, capsys):
    code, printed = read(monkeypatch, capsys, run, measured[1], "--name", "../..")
    assert code == 2 and "--name must have letters or digits, got '../..'" in printed.err
    code, printed = read(monkeypatch, capsys, run.parent, measured[1])
    assert code == 2 and f"python -m kdlab.export {run.parent}" in printed.err
