"""Tries the terms of a loss on features of the right shapes, before anything trains."""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor

from kdlab.errors import BadInput
from kdlab.methods.base import Distiller
from kdlab.methods.terms import Answer, Facts, Shapes, Step, Term
from kdlab.models.taps import Outputs

SAMPLES = 8


def rehearse(method: Distiller, facts: Facts) -> None:
    """Builds every term, and sees that it takes these features and sends a gradient to the student.

    Args:
        method: only for this; its terms are built and used up.
        facts: the probed shapes; at least one teacher's where a term reads one.

    Raises:
        BadInput: a term refuses the features, or its gradient is 0 everywhere.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        method.build_terms(facts)
        answers: list[Answer] = [(_answer(shapes, facts), 1.0) for shapes in facts.teachers or [facts.student]]
        step = Step(torch.arange(SAMPLES) % facts.num_classes, torch.arange(SAMPLES), seed=0, epoch=0)
        for term in cast(Iterable[Term], method.terms):
            _try(term, _answer(facts.student, facts), answers, step)


def _answer(shapes: Shapes, facts: Facts) -> Outputs:
    """As a network might answer: logits around 0, features as after a ReLU."""
    logits = torch.randn(SAMPLES, facts.num_classes, requires_grad=True)
    features = {role: torch.randn(SAMPLES, *shape).relu().requires_grad_() for role, shape in shapes.items()}
    return Outputs(logits, features)


def _try(term: Term, student: Outputs, teachers: list[Answer], step: Step) -> None:
    try:
        value = torch.as_tensor(term(student, teachers, step))
    except (ValueError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise BadInput(f"loss.terms.{term.name}: {reason}. {_seen(term)}") from error
    if value.ndim:
        raise BadInput(
            f"loss.terms.{term.name} must be one number for the batch, got a tensor of shape {tuple(value.shape)}. "
            "Return its mean or its sum."
        )
    if not _sends_gradient(value, [student.logits, *student.features.values()]):
        raise BadInput(
            f"loss.terms.{term.name} must pull at the student, and its gradient is 0 with these features. {_seen(term)}"
        )


def _sends_gradient(value: Tensor, inputs: list[Tensor]) -> bool:
    if not value.requires_grad:
        return False
    gradients = torch.autograd.grad(value, inputs, allow_unused=True)
    return any(gradient is not None and bool((gradient != 0).any()) for gradient in gradients)


def _seen(term: Term) -> str:
    settings = term.settings
    if not settings.taps:
        return f"It compares logits; features are chosen by loss.terms.{term.name}.taps."
    return (
        f"It reads taps {', '.join(settings.roles)} of the student: "
        f"choose others by loss.terms.{term.name}.taps, or modules by model.student.taps and model.teacher.taps."
    )
