"""A finished run on digits whose student knows them well enough that INT8 agrees with it."""

import pytest

import kdlab
from kdlab.jobs.export.finished import FinishedStage
from tests.small import TINY

LEARNED = [
    *(line for line in TINY if "student" not in line),
    "model/student=resnet8",
    "data.train_samples=null",
    "epochs=6",
    "loss.alpha=0.1",
    "baseline=false",
]


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("export")
    kdlab.run(kdlab.plan(LEARNED), store=outputs / "store", run_dir=outputs / "run")
    return outputs / "run"


@pytest.fixture
def student(run_dir):
    return FinishedStage.at(run_dir)
