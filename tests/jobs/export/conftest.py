"""A finished run on digits whose student knows them well enough that INT8 agrees with it, and its export."""

import pytest
import torch

import kdlab
from kdlab.jobs.export.finished import FinishedStage
from kdlab.jobs.export.samples import test_set as the_test_set
from kdlab.jobs.export.settings import ExportSettings
from kdlab.models.saved import load_network
from kdlab.runtime.export import run_export
from kdlab.store.store import Store
from tests.small import TINY

LEARNED = [
    *(line for line in TINY if "student" not in line),
    "model/student=resnet8",
    "data.train_samples=null",
    "epochs=6",
    "loss.alpha=0.1",
    "baseline=false",
]
QUICK = {"measure": {"batches": [1], "threads": [1], "rounds": 1}}


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("export")
    kdlab.run(kdlab.plan(LEARNED), store=outputs / "store", run_dir=outputs / "run")
    return outputs / "run"


@pytest.fixture(scope="session")
def student(run_dir):
    return FinishedStage.at(run_dir)


@pytest.fixture(scope="session")
def store(student):
    return Store(student.folder.parent)


@pytest.fixture(scope="session")
def export(student, store):
    """Everything that both engines take."""
    engines = ("onnxruntime", "openvino")
    artifacts = ("onnx", "onnx_int8", "openvino_int8", "program", "weights")
    settings = ExportSettings(artifacts=artifacts, engines=engines, min_agreement=95.0, **QUICK)
    return run_export(student, settings, store, [])


@pytest.fixture(scope="session")
def files(export):
    """Of each artifact, by its format."""
    return {type(job).__name__: job.file(export.store.folder(job)) for job in export.jobs}


@pytest.fixture(scope="session")
def images(student):
    """The test images `(samples, channels, height, width)`, uint8, and their labels."""
    batches = list(the_test_set(student.config["data"]).test_dataloader())
    return torch.cat([batch.inputs for batch in batches]), torch.cat([batch.targets for batch in batches])


@pytest.fixture(scope="session")
def expected(student, images):
    """The student's logits by its definition: pixels in [0, 1], normalised, through the bare network."""
    network, settings = load_network(student.folder).module, student.config["network"]
    mean, std = (torch.tensor(settings[name]).view(3, 1, 1) for name in ("mean", "std"))
    with torch.no_grad():
        return network((images[0].float() / 255 - mean) / std)
