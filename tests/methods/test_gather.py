"""Two ranks with uneven shares of a batch get the same batch and gradients as one process."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kdlab.methods.gather import gather_samples
from tests.methods.gather_ranks import BATCHES, gathered, inputs


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """The results of two ranks, batch by batch."""
    folder = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, "-m", "tests.methods.gather_ranks", str(folder)]
    root = Path(__file__).resolve().parents[2]
    processes = [subprocess.Popen([*command, str(rank), "2"], cwd=root) for rank in range(2)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    return [torch.load(folder / f"{rank}-of-2.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("batch", range(len(BATCHES)), ids=[f"{samples} samples" for samples in BATCHES])
def test_every_rank_has_the_batch_in_the_order_of_one_process(batch, ranks):
    samples = BATCHES[batch]
    given = inputs(samples)
    for found in (rank[batch] for rank in ranks):
        torch.testing.assert_close(found["teacher"], given["features"], rtol=0, atol=0)
        torch.testing.assert_close(found["labels"], given["labels"], rtol=0, atol=0)
        torch.testing.assert_close(found["student"], gathered(samples, 0, 1)["student"], rtol=1e-6, atol=0)
        assert found["index"] is None


@pytest.mark.parametrize("batch", range(len(BATCHES)), ids=[f"{samples} samples" for samples in BATCHES])
def test_the_gradient_is_that_of_one_process(batch, ranks):
    single = gathered(BATCHES[batch], 0, 1)
    assert single["grad"].abs().sum() > 0
    for found in (rank[batch] for rank in ranks):
        torch.testing.assert_close(found["loss"], single["loss"], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(found["grad"], single["grad"], rtol=1e-5, atol=1e-6)


def test_one_process_gathers_nothing():
    tensors = {"student": (torch.zeros(2, 3), torch.ones(2)), "index": None}
    found = gather_samples(tensors)
    assert found["student"][0] is tensors["student"][0] and found["index"] is None
