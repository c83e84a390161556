"""Results as a data frame: the rows of `cells.csv`, whose paths load."""

import csv
import sys

import pytest

import kdlab
from kdlab.errors import BadInput
from kdlab.sweeps.cli import run
from kdlab.train import train
from tests.small import TINY


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("outputs")
    assert run(train, ["-m", *TINY, "loss.temperature=2,4", f"paths.outputs={outputs}"]) == 0
    (folder,) = outputs.glob("sweep-*")
    return folder


def test_the_data_frame_has_the_rows_of_the_report(sweep, monkeypatch):
    monkeypatch.chdir(sweep / "report")
    frame = kdlab.results(sweep)
    rows = list(csv.DictReader((sweep / "report" / "cells.csv").open()))
    assert list(frame.columns) == list(rows[0])
    assert sorted(frame["loss.temperature"]) == [2, 4]
    assert frame["gain"].dtype == float
    for found, expected in zip(frame.to_dict("records"), rows, strict=True):
        assert found["path"] == expected["path"]
        assert found["test_accuracy"] == pytest.approx(float(expected["test_accuracy"]))
    assert sum(one.numel() for one in kdlab.load(frame["path"][0]).module.parameters()) == frame["params"][0]


def test_without_pandas_the_error_names_the_extra(sweep, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(BadInput, match=r'pip install "kdlab\[notebook\]"'):
        kdlab.results(sweep)
