"""A token-level task, end to end, with a headline metric that is better when lower."""

import math
import os
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.special
import torch

from kdlab.errors import BadInput
from kdlab.jobs.plan import Plan
from kdlab.jobs.training.parts import make_data, make_method
from kdlab.jobs.training.preparation import initial_network, prepare
from kdlab.methods.shares import Window
from kdlab.models.taps import Outputs
from kdlab.runtime.run import run_jobs
from kdlab.screen.run import conclusions
from kdlab.store.store import Store
from tests.tasks.tokens import NEXT_SYMBOL, TERMS, NextSymbol, Sequences, distilled, fitted, padded, sequence, stage

SEQUENCES = "tests.tasks.tokens.Sequences"


def stepped(padding, terms=TERMS):
    """A method after the backward pass of its first step, and its loss."""
    one = distilled(terms=terms, data={"_target_": SEQUENCES, "padding": padding})
    method, network = make_method(one), initial_network(one)
    prepare(method, network, one, [partial(initial_network, teacher) for teacher, _ in one.teachers])
    data = make_data(one.data)
    method.trainer = SimpleNamespace(world_size=1, current_epoch=0, datamodule=data)
    method.setup("fit")
    loss = method.training_step(next(iter(data.train_dataloader())), 0)
    loss.backward()
    return method, loss


def gradients(method):
    return {name: parameter.grad for name, parameter in method.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("term", TERMS)
def test_appending_padding_changes_neither_loss_nor_gradient(term):
    (short, loss), (long, same) = (stepped(padding, {term: TERMS[term]}) for padding in (0, 6))
    torch.testing.assert_close(same, loss, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(gradients(long), gradients(short), rtol=1e-5, atol=1e-7)
    assert max(gradient.abs().max() for gradient in gradients(short).values()) > 0


def test_losses_average_over_the_tokens_that_have_a_target():
    method, loss = stepped(3, {"ce": {"weight": 1.0}, "response_kd": {"weight": 1.0, "temperature": 2.0}})
    inputs, targets = padded([sequence(0, number) for number in range(8)], 0)
    kept = (targets != -100).numpy()
    with torch.no_grad():
        student = method.student(inputs).double().numpy()[kept]
        teacher = method.teachers[0](inputs).logits.double().numpy()[kept]
    own, other = (scipy.special.log_softmax(logits / 2, axis=-1) for logits in (student, teacher))
    kd = 4 * (np.exp(other) * (other - own)).sum() / kept.sum()
    ce = -scipy.special.log_softmax(student, axis=-1)[np.arange(kept.sum()), targets.numpy()[kept]].mean()
    assert loss.item() == pytest.approx(kd + ce, rel=1e-5)


def test_padding_does_not_change_the_trained_student(tmp_path):
    short, long = (fitted(distilled(data={"_target_": SEQUENCES, "padding": padding}), tmp_path) for padding in (0, 6))
    torch.testing.assert_close(long, short, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("samples", [16, 21])  # the second ends with an incomplete window
def test_accumulating_batches_of_unequal_tokens_equals_the_whole_batch(samples, tmp_path):
    def trained(batch_size, batches):
        data = {"_target_": SEQUENCES, "batch_size": batch_size, "samples": samples}
        terms = {name: TERMS[name] for name in ("ce", "response_kd", "hint")}
        return fitted(distilled(terms=terms, data=data, trainer={"accumulate_grad_batches": batches}), tmp_path)

    whole, parts = trained(8, 1), trained(4, 2)
    torch.testing.assert_close(parts["weights"], whole["weights"], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(parts["figures"], whole["figures"], rtol=1e-5, atol=1e-6)


def test_batches_of_equally_many_units_have_a_weight_of_exactly_1():
    window = Window()
    assert (window.weight(5), window.close()) == (1, 1)
    window.batches = 3
    assert [window.weight(64.0) for _ in range(3)] == [1, 1, 1]
    assert window.close() == 1
    assert [window.weight(64.0), window.weight(16.0)] == [1, 0.25]
    assert window.close() == 3 * 64 / 80


def test_a_batch_without_any_target_has_a_loss_and_gradient_of_0():
    method, _ = stepped(0)
    before = gradients(method)
    inputs, targets = next(iter(Sequences().train_dataloader()))
    method.zero_grad()
    loss = method.training_step((inputs, torch.full_like(targets, -100)), 1)
    loss.backward()
    assert loss.item() == 0
    assert all((gradient == 0).all() for gradient in gradients(method).values())
    assert before.keys() == gradients(method).keys()


def test_logits_that_do_not_fit_the_targets_are_refused():
    with pytest.raises(BadInput, match=r"one row of logits for each target, got logits of shape \(2, 5, 7\)"):
        NextSymbol().aligned(Outputs(torch.zeros(2, 5, 7)), torch.zeros(2, 4, dtype=torch.int64))


def test_two_ranks_of_unequal_tokens_equal_one_process(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for ranks in ([None], [0, 1]):
        processes = [start(tmp_path, port, rank, len(ranks)) for rank in ranks]
        assert [process.wait(timeout=120) for process in processes] == [0] * len(processes)
    one, two = (torch.load(tmp_path / f"{ranks}.pt", weights_only=True) for ranks in (1, 2))
    torch.testing.assert_close(two["weights"], one["weights"], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(two["figures"], one["figures"], rtol=1e-5, atol=1e-7)
    assert {"val/perplexity", "val/accuracy", "train/loss", "train/ce"} <= one["figures"].keys()


def start(folder, port, rank, ranks):
    several = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0", "LOCAL_RANK": str(rank)}
    variables = {**several, "WORLD_SIZE": str(ranks)} if rank is not None else {}
    command = [sys.executable, "-m", "tests.tasks.tokens", str(folder)]
    return subprocess.Popen(command, env={**os.environ, **variables}, cwd=Path(__file__).parents[2])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A plan of the toy task, run: its result, events and folder."""
    root = tmp_path_factory.mktemp("tokens")
    teacher = stage("teacher", width=8, epochs=12)
    student = stage("student", teachers=[teacher], epochs=6, terms={"ce": {"weight": 0.3}, "response_kd": {}})
    baseline = stage("baseline", epochs=6)
    config = {"name": "toy", "seed": 0, "loss": {"temperature": 4.0}, "data": {"_target_": SEQUENCES}}
    plan = Plan((teacher, baseline, student), student, student.teachers, baseline, config=config)
    events = []
    result = run_jobs(plan, Store(root / "store"), [events.append])
    return SimpleNamespace(result=result, events=events, plan=plan, root=root)


def perplexity(folder, seed, samples):
    """By its definition, of the network in a folder."""
    import kdlab

    network, total, count = kdlab.load(folder, trusted=True), 0.0, 0
    for symbols in (sequence(seed, number) for number in range(samples)):
        with torch.no_grad():
            logits = network({"tokens": symbols[None, :-1]})[0].double().numpy()
        total -= scipy.special.log_softmax(logits, axis=-1)[np.arange(len(symbols) - 1), symbols[1:].numpy()].sum()
        count += len(symbols) - 1
    return math.exp(total / count)


def test_every_figure_is_a_mean_over_tokens_and_the_gain_the_decrease_of_perplexity(run):
    found = run.result.content
    test = {role: perplexity(run.result.folders[role], 2, 30) for role in ("teacher", "student", "baseline")}
    for role, value in test.items():
        assert found[role]["test/perplexity"] == pytest.approx(value, rel=1e-5)
        assert found[role]["val/perplexity"] == pytest.approx(perplexity(run.result.folders[role], 1, 11), rel=1e-5)
        assert "test/nll" not in found[role]
    assert found["gain"] == pytest.approx(100 * (1 - test["student"] / test["baseline"]), rel=1e-4)
    recovered = (test["baseline"] - test["student"]) / (test["baseline"] - test["teacher"])
    assert found["gap_recovered"] == pytest.approx(recovered, rel=1e-4)
    assert found["task"] == NEXT_SYMBOL.as_dict()
    assert found["references"].keys() == {"symbol frequencies"}
    assert found["best_minus_last"]["value"] >= 0


def test_the_screen_shows_the_metrics_of_the_task(run):
    teacher = run.plan.teacher
    outcome = teacher.outcome(run.events[-1].figures, reused=False)
    assert f"{run.events[-1].figures['test/perplexity']:.2f} test perplexity" in outcome
    assert any("  val " in getattr(event, "text", "") and "%" not in event.text for event in run.events)
    gain = next(line for line in conclusions(run.result.content) if "gain from distillation" in line)
    assert f"{run.result['gain']:+.2f} % lower test perplexity" in gain
