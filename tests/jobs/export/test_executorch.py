"""A program of ExecuTorch computes what the student does; without the package, what is missing is named."""

import json
from importlib.util import find_spec

import numpy as np
import pytest

from kdlab.errors import BadInput, JobFailed
from kdlab.inference.engines import ENGINES
from kdlab.jobs.export import executorch
from kdlab.jobs.export.executorch import ABOUT, ExecutorchProgram
from kdlab.jobs.export.proof import Proof
from kdlab.jobs.export.settings import ExportSettings

HERE = find_spec("executorch") is not None
with_it = pytest.mark.skipif(not HERE, reason="needs kdlab[executorch]")


@pytest.fixture(scope="module")
def program(student, tmp_path_factory):
    job, folder = ExecutorchProgram(student), tmp_path_factory.mktemp("program")
    job.run(folder, [student.folder], lambda event: None)
    return job.file(folder)


@with_it
@pytest.mark.parametrize("batch", [1, 3])
def test_computes_the_students_logits(batch, program, images, expected):
    logits = ENGINES["executorch"](str(program), 1, batch)({"images": images[0][:batch].numpy()})
    np.testing.assert_allclose(logits, expected[:batch], atol=1e-4 * expected.abs().max().item())


@with_it
def test_says_where_it_comes_from_without_a_path(program, student):
    from executorch.runtime import Runtime

    (about,) = Runtime.get().load_program(program).load_method(ABOUT).execute([])
    assert json.loads(about)["stage"] == student.fingerprint
    assert json.loads(json.loads(about)["labels"]) == [str(digit) for digit in range(10)]
    assert not [
        text for text in (b"site-packages", str(student.folder.parent).encode()) if text in program.read_bytes()
    ]


@with_it
def test_a_network_that_executorch_refuses_is_one_line(student, monkeypatch, tmp_path):
    def fails(folder):
        raise RuntimeError("no such operator\ngraph():\n  %1")

    monkeypatch.setattr(executorch, "load_network", fails)
    with pytest.raises(JobFailed, match=r"^ExecuTorch refuses the network: no such operator\. [^\n]*$"):
        ExecutorchProgram(student).run(tmp_path, [student.folder], lambda event: None)


@pytest.mark.skipif(HERE, reason="of an environment without it")
@pytest.mark.parametrize("asked", [{"artifacts": ["executorch"]}, {"engines": ["executorch"]}])
def test_a_missing_package_is_named(asked):
    with pytest.raises(BadInput, match=r"export needs executorch, which is not installed: pip install 'kdlab\[exec"):
        ExportSettings(**asked)


def test_what_one_engine_runs_is_proved_there_in_any_case(student):
    settings, job = ExportSettings(artifacts=["onnx"], engines=["onnxruntime"]), ExecutorchProgram(student)
    assert [(one.artifact_job, one.engine) for one in settings.proofs(job)] == [(job, "executorch")]
    assert Proof(job, "executorch").is_measured
