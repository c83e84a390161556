"""Each loss on fixed features: its value, its gradient, and its state after a batch."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import kdlab.losses as kd
from tests.recorded.recording import Case, Values, case_of, owner, summary

SAMPLES = 6


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((SAMPLES, *shape))).float()


def several(first: int, *shapes: tuple[int, ...]) -> tuple[Tensor, ...]:
    return tuple(drawn(first + i, *shape) for i, shape in enumerate(shapes))


LOGITS = (drawn(1, 5), 2 * drawn(2, 5))
TOKENS = (drawn(3, 4, 5), drawn(4, 4, 5))
VECTORS = (drawn(5, 7), drawn(6, 9))
ALIKE = (drawn(7, 7), drawn(8, 7))
MAPS = (drawn(9, 4, 8, 8).relu(), drawn(10, 6, 4, 4).relu())
ALIKE_MAPS = (drawn(11, 4, 8, 8), drawn(12, 4, 8, 8))
LOW_HIGH = (several(13, (4, 8, 8), (6, 4, 4)), several(15, (4, 8, 8), (6, 4, 4)))
WIDER = (LOW_HIGH[0], several(17, (5, 8, 8), (8, 4, 4)))
REST = {
    "labels": torch.tensor([0, 3, 1, 4, 2, 0]),
    "index": torch.tensor([3, 0, 8, 10, 1, 7]),
    "seed": 5,
}
SAMPLE_LABELS = torch.tensor([0, 1, 2, 0, -100, 1, 2, 0, -100, 1, 2, 2])

Features = Tensor | tuple[Tensor, ...]


def shapes(features: Features) -> Any:
    return features.shape[1:] if isinstance(features, Tensor) else [feature.shape[1:] for feature in features]


def evaluated(make: Callable[..., Any], features: tuple[Features, Features], **settings: Any) -> Values:
    """A function's value and gradient; of a class, those of two batches, the second after a step."""
    student, teacher = features
    own = [part.clone().requires_grad_() for part in ((student,) if isinstance(student, Tensor) else student)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        loss = made(make, student, teacher, settings)
        inputs = {"student": own[0] if isinstance(student, Tensor) else tuple(own), "teacher": teacher, **REST}
        function = loss.forward if isinstance(loss, nn.Module) else loss
        arguments = {name: inputs[name] for name in inspect.signature(function).parameters if name in inputs}
        value = loss(**arguments)
        value.backward()
        found = {"value": value.item(), "gradient": summary(*(part.grad for part in own))}
        if isinstance(loss, nn.Module):
            parameters = list(loss.parameters())
            found["learned"] = summary(*parameters)
            found["of what it learns"] = summary(*(weight.grad for weight in parameters if weight.grad is not None))
            found["second value"] = loss(**arguments).item()
    return found


def made(make: Callable[..., Any], student: Features, teacher: Features, settings: dict[str, Any]) -> Any:
    if not inspect.isclass(make):
        return partial(make, **settings)
    context = {"student_shape": shapes(student), "teacher_shape": shapes(teacher), "sample_labels": SAMPLE_LABELS}
    parameters = inspect.signature(make).parameters
    return make(**{name: value for name, value in context.items() if name in parameters}, **settings)


CALLS: list[tuple[Callable[..., Any], tuple[Features, Features], dict[str, Any]]] = [
    (kd.ContrastiveRepresentation, VECTORS, {"dimension": 6, "negatives": 5, "temperature": 0.2}),
    (kd.FactorTransfer, MAPS, {}),
    (kd.FlowOfSolution, WIDER, {}),
    (kd.Review, WIDER, {}),
    (kd.VariationalInformation, MAPS, {}),
    (kd.attention_transfer, MAPS, {}),
    (kd.attention_transfer, MAPS, {"power": 4.0}),
    (kd.ce, LOGITS, {}),
    (kd.ce, LOGITS, {"label_smoothing": 0.1}),
    (kd.confidence_weighted_ce, LOGITS, {}),
    (kd.correlation_congruence, ALIKE, {}),
    (kd.cosine_distance, ALIKE, {}),
    (kd.dist, LOGITS, {}),
    (kd.dist, LOGITS, {"inter_weight": 1.0, "intra_weight": 3.0, "temperature": 1.0}),
    (kd.dkd, LOGITS, {}),
    (kd.dkd, LOGITS, {"target_weight": 2.0, "nontarget_weight": 1.0, "temperature": 1.0}),
    (kd.factor_transfer, ALIKE_MAPS, {}),
    (kd.fsp, LOW_HIGH, {}),
    (kd.generalised_jsd, LOGITS, {}),
    (kd.generalised_jsd, LOGITS, {"beta": 0.1, "temperature": 2.0}),
    (kd.generalised_jsd, LOGITS, {"beta": 0}),
    (kd.generalised_jsd, LOGITS, {"beta": 1}),
    (kd.hierarchical_context, ALIKE_MAPS, {}),
    (kd.hint, ALIKE, {}),
    (kd.logit_mse, LOGITS, {}),
    (kd.normalised_distance, ALIKE, {}),
    (kd.normalised_distance, ALIKE, {"reduction": "mean"}),
    (kd.nst, MAPS, {}),
    (kd.permuted_kd, LOGITS, {}),
    (kd.pkt, VECTORS, {}),
    (kd.response_kd, LOGITS, {}),
    (kd.response_kd, LOGITS, {"temperature": 1.0}),
    (kd.response_kd, TOKENS, {}),
    (kd.rkd_angle, VECTORS, {}),
    (kd.rkd_distance, VECTORS, {}),
    (kd.similarity_preserving, VECTORS, {}),
    (kd.standardised_kd, LOGITS, {}),
]


def cases() -> dict[str, Case]:
    found: dict[str, Case] = {}
    for make, features, settings in CALLS:
        kind = "tokens " if features is TOKENS else ""
        arguments = ", ".join(f"{name}={value}" for name, value in settings.items())
        name = f"{owner(make)}: {kind}{make.__name__}({arguments})"
        found[name] = case_of(owner(make), partial(evaluated, make, features, **settings))
    return found


LOSSES = cases()
