"""The command on a tiny pair, in one process."""

import json
import sys

import pytest

from kdlab import benchmark
from kdlab.benchmarking.case import EVERY
from tests.benchmarking.in_thread import use_threads

SMALL = ["--pair", "digits_pair", "--batch-size", "4", "--repeats", "2", "--steps", "1", "--threads", "1"]


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["kdlab.benchmark", *map(str, arguments)])
    monkeypatch.setenv("COLUMNS", "100")
    return benchmark.main()


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """What a small run said and left."""
    folder = tmp_path_factory.mktemp("benchmark")
    with pytest.MonkeyPatch.context() as monkeypatch, (folder / "said.txt").open("w") as screen:
        use_threads(monkeypatch)
        monkeypatch.setattr(benchmark, "LEAST_SAMPLES", 1)
        monkeypatch.setattr(sys, "stdout", screen)
        assert command(monkeypatch, *SMALL, "--growth", "--json", folder / "speed.json") == 0
    return (folder / "said.txt").read_text(), json.loads((folder / "speed.json").read_text()), folder


def test_every_way_to_train_has_its_row(done):
    said, found, _ = done
    (pair,) = found["pairs"]
    assert list(pair["ways"]) == list(EVERY)
    for way, row in pair["ways"].items():
        assert f"\n{way} " in said
        assert len(row["seconds"]) == 2 and min(row["seconds"]) > 0
        assert row["images_per_second"] == pytest.approx(4000 / row["ms_per_step"])
        assert row["memory_bytes"] > 10e6 and row["start_seconds"] > 0


def test_every_promise_is_judged(done):
    said, found, _ = done
    (pair,) = found["pairs"]
    assert len(pair["claims"]) == 4
    assert all(claim["words"] in said for claim in pair["claims"])
    assert pair["framework_overhead"]["factor"]["median"] > 0


def test_costs_grow_with_each_size(done):
    said, found, _ = done
    assert [(one["over"], one["values"]) for one in found["growth"]] == [
        ("batch_size", [2]),
        ("batch_size", [2]),
        ("cells", [1, 2]),
    ]
    assert all(one["unit"] in said for one in found["growth"])
    for way, costs in found["growth"][2]["costs"].items():
        assert 0 < costs[0] < costs[1], way


def test_the_machine_is_named_and_the_picture_lies_beside_the_figures(done):
    said, found, folder = done
    assert found["machine"]["threads"] == 1
    assert found["machine"]["cpu"] in said.splitlines()[0]
    assert (found["repeats"], found["steps"]) == (2, 1)
    assert (folder / "speed.png").stat().st_size > 0


BAD = {
    "a misspelt pair": (["--pair", "resnet56_resnet2"], "model has no option 'resnet56_resnet2'", "resnet56_resnet20?"),
    "a misspelt setting": (["loss.temprature=3"], "loss.temprature is not a setting", "mean loss.temperature?"),
    "no repeat": (["--repeats", "0"], "--repeats must be a whole number, 1 or more; got 0", "--repeats 1"),
    "no step": (["--steps", "0"], "--steps must be a whole number, 1 or more; got 0", "--steps 1"),
    "data of one's own": (
        ["data.batch_size=8"],
        "data.batch_size=8: pair, data and paths are the benchmark's own",
        "--batch-size.",
    ),
    "no picture": (
        ["--plot", "speed.txt"],
        "--plot must end in .png or .svg or .pdf, got speed.txt",
        "--plot speed.png",
    ),
    "a batch of one": (
        ["--batch-size", "1"],
        "--batch-size must be a whole number, 2 or more; got 1",
        "--batch-size 2",
    ),
}


@pytest.mark.parametrize(("arguments", "message", "hint"), BAD.values(), ids=BAD)
def test_bad_input_is_explained(arguments, message, hint, monkeypatch, capsys):
    assert command(monkeypatch, *arguments) == 2
    said = capsys.readouterr().err
    assert message in said and hint in said
