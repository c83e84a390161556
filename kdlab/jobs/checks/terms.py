"""Runs the terms of a loss on random features of the right shapes, before anything trains."""

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
    """Builds every term, and checks that it accepts these features and sends a gradient to the student.

    Args:
        method: made for this check only, since its terms are built and used here.
        context: the probed shapes; with at least one teacher if a term reads one.

    Raises:
        BadInput: a term raises an error on the features, or its gradient is 0 everywhere.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        method.build_terms(context)
        inputs = LossInputs(torch.arange(SAMPLES) % context.num_classes, torch.arange(SAMPLES), seed=0, epoch=0)
        for terms, probed in method.built_terms(context):
            teachers: list[Weighted] = [
                (_random(shapes, probed), 1.0) for shapes in probed.teachers or [probed.student]
            ]
            for term in cast(Iterable[Term], terms):
                _try(term, _random(probed.student, probed), teachers, inputs)


def _random(shapes: Shapes, context: BuildContext) -> Outputs:
    """Random outputs of a network: logits around 0, features as after a ReLU."""
    logits = torch.randn(SAMPLES, context.num_classes, requires_grad=True)
    features = {role: torch.randn(SAMPLES, *shape).relu().requires_grad_() for role, shape in shapes.items()}
    return Outputs(logits, features)


def _try(term: Term, student: Outputs, teachers: list[Weighted], inputs: LossInputs) -> None:
    try:
        value = torch.as_tensor(term(student, teachers, inputs))
    except (ValueError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise BadInput(f"loss.terms.{term.name}: {reason}. {_reads(term)}") from error
    if value.ndim:
        raise BadInput(
            f"loss.terms.{term.name} must be one number for the batch, got a tensor of shape {tuple(value.shape)}. "
            "Return its mean or its sum."
        )
    if not _sends_gradient(value, [student.logits, *student.features.values()]):
        raise BadInput(
            f"loss.terms.{term.name} needs a gradient to the student, and it is 0 with these features. {_reads(term)}"
        )


def _sends_gradient(value: Tensor, inputs: list[Tensor]) -> bool:
    if not value.requires_grad:
        return False
    gradients = torch.autograd.grad(value, inputs, allow_unused=True)
    return any(gradient is not None and bool((gradient != 0).any()) for gradient in gradients)


def _reads(term: Term) -> str:
    settings = term.settings
    if not settings.taps:
        return f"It compares logits; features are chosen by loss.terms.{term.name}.taps."
    return (
        f"It reads taps {', '.join(settings.roles)} of the student: "
        f"choose others by loss.terms.{term.name}.taps, or modules by model.student.taps and model.teacher.taps."
    )
