"""The example in the docstring of every loss: it runs by itself and prints what it says."""

import doctest

import pytest
import torch

import kdlab.losses


@pytest.mark.parametrize("name", kdlab.losses.__all__)
def test_the_example_of_a_loss_runs_and_prints_what_it_says(name):
    (example,) = doctest.DocTestFinder(recurse=False).find(getattr(kdlab.losses, name), name, globs={})
    assert any(f"{name}(" in line.source for line in example.examples), f"{name} has no example in its docstring"
    failures = []
    with torch.random.fork_rng(devices=[]):
        doctest.DocTestRunner(verbose=False).run(example, out=failures.append)
    assert failures == [], "".join(failures)
