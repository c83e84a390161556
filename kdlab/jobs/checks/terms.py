"""Tries the terms of a loss on features of the right shapes, before anything trains."""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor

from kdlab.errors import BadInput
from kdlab.methods.base import Distiller
from kdlab.methods.terms import BuildContext, LossInputs, Shapes, Term, Weighted
from kdlab.models.taps import Outputs

SAMPLES = 8


def try_terms(method: Distiller, context: BuildContext) -> None:
    """Builds every term, and sees that it takes these features and sends a gradient to the student.

    Args:
        method: only for this; its terms are built and used up.
        context: the probed shapes; at least one teacher's where a term reads one.

    Raises:
        BadInput: a term refuses the features, or its gradient is 0 everywhere.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        method.build_terms(context)
        inputs = LossInputs(torch.arange(SAMPLES) % context.num_classes, torch.arange(SAMPLES), seed=0, epoch=0)
        for terms, seen in method.directions(context):
            teachers: list[Weighted] = [(_random(shapes, seen), 1.0) for shapes in seen.teachers or [seen.student]]
            for term in cast(Iterable[Term], terms):
                _try(term, _random(seen.student, seen), teachers, inputs)


def _random(shapes: Shapes, context: BuildContext) -> Outputs:
    """Outputs such as a network's: logits around 0, features as after a ReLU."""
    logits = torch.randn(SAMPLES, context.num_classes, requires_grad=True)
    features = {role: torch.randn(SAMPLES, *shape).relu().requires_grad_() for role, shape in shapes.items()}
    return Outputs(logits, features)


def _try(term: Term, student: Outputs, teachers: list[Weighted], inputs: LossInputs) -> None:
    try:
        value = torch.as_tensor(term(student, teachers, inputs))
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
