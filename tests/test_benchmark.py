"""The command on a tiny pair, in one process."""

import json
import sys

import pytest

from kdlab import benchmark
from kdlab.benchmarking.case import VARIANTS
from tests.benchmarking.in_thread import use_threads

SMALL = ["--pair", "digits_pair", "--batch-size", "4", "--repeats", "2", "--steps", "1", "--threads", "1"]


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["kdlab.benchmark", *map(str, arguments)])
    monkeypatch.setenv("COLUMNS", "80")
    return benchmark.main()


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """What a small run prints and writes."""
    folder = tmp_path_factory.mktemp("benchmark")
    with pytest.MonkeyPatch.context() as monkeypatch, (folder / "printed.txt").open("w") as screen:
        use_threads(monkeypatch)
        monkeypatch.setattr(benchmark, "MIN_SAMPLES", 1)
        monkeypatch.setattr(sys, "stdout", screen)
        assert command(monkeypatch, *SMALL, "--scaling", "--json", folder / "speed.json") == 0
    return (folder / "printed.txt").read_text(), json.loads((folder / "speed.json").read_text()), folder


def test_every_variant_has_its_row(done):
    printed, results, _ = done
    (pair,) = results["pairs"]
    assert list(pair["variants"]) == list(VARIANTS)
    for variant, row in pair["variants"].items():
        assert f"\n{variant} " in printed
        assert len(row["seconds"]) == 2 and min(row["seconds"]) > 0
        assert row["images_per_second"] == pytest.approx(4000 / row["ms_per_step"])
        assert row["memory_bytes"] > 10e6 and row["start_seconds"] > 0


def test_every_promise_is_checked(done):
    printed, results, _ = done
    (pair,) = results["pairs"]
    assert len(pair["claims"]) == 4
    assert all(claim["words"] in printed for claim in pair["claims"])
    assert pair["framework_overhead"]["factor"]["median"] > 0


def test_costs_are_measured_for_each_size(done):
    printed, results, _ = done
    assert [(one["over"], one["values"]) for one in results["scaling"]] == [
        ("batch_size", [2]),
        ("batch_size", [2]),
        ("cells", [1, 2]),
    ]
    assert all(one["unit"] in printed for one in results["scaling"])
    for variant, costs in results["scaling"][2]["costs"].items():
        assert 0 < costs[0] < costs[1], variant


def test_the_machine_is_named_and_the_picture_is_beside_the_json(done):
    printed, results, folder = done
    assert results["machine"]["threads"] == 1
    assert results["machine"]["cpu"] in printed.splitlines()[0]
    assert (results["repeats"], results["steps"]) == (2, 1)
    assert (folder / "speed.png").stat().st_size > 0


def test_scaling_is_also_measured_under_its_former_name():
    parser = benchmark._command_line()
    assert [parser.parse_args([flag]).scaling for flag in ("--scaling", "--growth")] == [True, True]
    assert "--growth" not in parser.format_help()


BAD = {
    "a misspelt pair": (["--pair", "resnet56_resnet2"], "model has no option 'resnet56_resnet2'", "resnet56_resnet20?"),
    "a misspelt setting": (["loss.temprature=3"], "loss.temprature is not a setting", "mean loss.temperature?"),
    "no repeat": (["--repeats", "0"], "--repeats must be a whole number, 1 or more; got 0", "--repeats 1"),
    "a word for a number": (
        ["--steps", "x"],
        "argument --steps: must be a whole number, got x",
        "kdlab.benchmark --help",
    ),
    "no step": (["--steps", "0"], "--steps must be a whole number, 1 or more; got 0", "--steps 1"),
    "data of one's own": (
        ["data.batch_size=8"],
        "data.batch_size=8: pair, data and paths are set by the benchmark",
        "--batch-size.",
    ),
    "no picture": (
        ["--plot", "speed.txt"],
        "--plot must end in .png or .svg or .pdf, got speed.txt",
        "--plot speed.png",
    ),
    "a pair beside a run": (
        ["--inference", "run", "--pair", "vgg13_vgg8"],
        "--pair goes with a benchmark of training, and --inference RUN measures a finished run",
        "Leave it out",
    ),
    "threads beside a run": (
        ["--inference", "run", "--threads", "1"],
        "--threads goes with a benchmark of training",
        "export.measure.threads=[1,all]",
    ),
    "a batch beside a run": (
        ["--inference", "run", "--batch-size", "8"],
        "--batch-size goes with a benchmark of training",
        "export.measure.batches=[1,32]",
    ),
    "a bundle of no run": (["--bundle", "board.zip"], "--bundle goes with --inference RUN, which is missing", "Add it"),
    "a bundle that is no zip": (
        ["--inference", "run", "--bundle", "board"],
        "--bundle must end in .zip, got board",
        "--bundle board.zip",
    ),
    "two commands in one": (
        ["--inference", "run", "--bundle", "board.zip", "--read", "results.json"],
        "--bundle and --read do not go together",
        "Leave one out",
    ),
    "a name without results": (
        ["--inference", "run", "--name", "board"],
        "--name names the device of --read FILE, which is missing; got --name board",
        "Add it",
    ),
    "settings for results": (
        ["--inference", "run", "--read", "results.json", "export=openvino"],
        "export=openvino: --read finds the export by its artifacts",
        "Leave it out",
    ),
    "no run": (["--inference", "nowhere"], "nowhere holds no finished network", "outputs/response-1a2b3c4d"),
    "training settings of a run": (
        ["--inference", "{run}", "loss=dkd"],
        "loss=dkd: an export takes the network as the run left it",
        "Leave it out",
    ),
    "a batch of one": (
        ["--batch-size", "1"],
        "--batch-size must be a whole number, 2 or more; got 1",
        "--batch-size 2",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_explained(case, monkeypatch, capsys, tmp_path):
    arguments, message, hint = BAD[case]
    (tmp_path / "student.safetensors").touch()
    assert command(monkeypatch, *(one.format(run=tmp_path) for one in arguments)) == 2
    printed = capsys.readouterr().err
    assert message in printed and hint in printed
