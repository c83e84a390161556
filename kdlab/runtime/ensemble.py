"""Ensembles: averaged predictions, their metrics on the test set, and the cost of the members together."""

from typing import Any

import torch
from torch import Tensor

from kdlab.jobs.plan import Ensemble
from kdlab.jobs.training.parts import make_task
from kdlab.models.saved import load_predictions
from kdlab.store.store import Store
from kdlab.tasks.predictions import averaged_probabilities

SUMMED = ("params", "flops", "size_bytes", "seconds")


def ensemble_logits(ensemble: Ensemble, store: Store) -> tuple[Tensor, Tensor]:
    """Logits `(units, classes)` of the ensemble on the test set, from its members' predictions, and the targets."""
    predictions = [(load_predictions(store.folder(stage)), weight) for stage, weight in ensemble.members]
    logits = torch.stack([one.double() for (one, _), _ in predictions])
    shares = torch.tensor([weight for _, weight in predictions], dtype=torch.float64)
    shares = shares / shares.sum()
    _, targets = predictions[0][0]
    if ensemble.average == "logits":
        return (shares.view(-1, 1, 1) * logits).sum(0), targets
    return averaged_probabilities(logits, shares), targets


def ensemble_figures(ensemble: Ensemble, store: Store) -> dict[str, Any]:
    """Its metrics on the test set, the cost of its members together, and what was averaged (`from`)."""
    metrics = make_task(ensemble.members[0][0].data).figures(*ensemble_logits(ensemble, store))
    results = [store.result(stage) for stage, _ in ensemble.members]
    return {
        **{f"test/{name}": value for name, value in metrics.items()},
        **{name: sum(result[name] for result in results) for name in SUMMED},
        "from": ensemble.average,
    }
