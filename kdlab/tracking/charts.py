"""Tables and charts of a cell's W&B run: figures of each network, confusion matrix, reliability diagram."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdlab.jobs.plan import Plan
from kdlab.reporting.collect.predictions import examples, predictions, reliability
from kdlab.runtime.result import figure_names
from kdlab.store.store import Store
from kdlab.tasks.description import Description

ROLES = ("teacher", "baseline", "control", "student", "ensemble")
LARGEST_MATRIX = 100  # classes: a chart shows 10,000 rows at most
CONFUSIONS = 100  # rows of the table that replaces a larger matrix


def charts(result: Mapping[str, Any], plan: Plan, store: Store) -> dict[str, Any]:
    """Tables and charts of a finished cell, by name, from its result and its networks' predictions on the test set."""
    if not Description.of(result).names_classes:
        return {"networks": networks_table(result)}
    stages = {**plan.by_role(), **{stage.name: stage for stage, _ in plan.teachers}}
    return {
        "networks": networks_table(result),
        "confusion": confusion(store.folder(plan.student)),
        "reliability": reliability_chart({role: store.folder(stage) for role, stage in stages.items()}),
    }


def networks_table(result: Mapping[str, Any]) -> Any:
    """A row for each network of a result, a column for each of its figures."""
    import wandb

    names = figure_names(Description.of(result))
    networks = {**{role: result[role] for role in ROLES if result.get(role)}, **result.get("references", {})}
    rows = [[network, *(figures.get(name) for name in names)] for network, figures in networks.items()]
    return wandb.Table(columns=["network", *names], data=rows)


def confusion(stage: Path) -> Any:
    """The confusion matrix of a network on the test set.

    Args:
        stage: its folder in the store.

    Returns:
        A chart; for more classes than it can show, a table of the pairs that are confused most often. Classes have
        their names, or their numbers where the data has no names. None without predictions.
    """
    import wandb

    found = predictions(stage)
    if found is None:
        return None
    logits, targets = found
    actual, predicted = targets.tolist(), logits.argmax(-1).tolist()
    names = examples(stage, logits.shape[-1]).names
    if len(names) <= LARGEST_MATRIX:
        return wandb.plot.confusion_matrix(y_true=actual, preds=predicted, class_names=list(names), title="Confusion")
    pairs = Counter(pair for pair in zip(actual, predicted, strict=True) if pair[0] != pair[1])
    rows = [[names[true], names[guess], count] for (true, guess), count in pairs.most_common(CONFUSIONS)]
    return wandb.Table(columns=["Actual", "Predicted", "nPredictions"], data=rows)


def reliability_chart(stages: Mapping[str, Path]) -> Any:
    """The accuracy of each network against its confidence.

    Args:
        stages: folders in the store, by the network's role.

    Returns:
        A chart of one line a network, and the diagonal of exact calibration.
    """
    import wandb

    lines = {role: reliability(stage) for role, stage in stages.items()}
    points = {role: [bin[:2] for bin in bins] for role, bins in lines.items() if bins}
    points["exact"] = [(0.0, 0.0), (1.0, 1.0)]
    return wandb.plot.line_series(
        xs=[[confidence for confidence, _ in line] for line in points.values()],
        ys=[[accuracy for _, accuracy in line] for line in points.values()],
        keys=list(points),
        title="Reliability: accuracy by confidence",
        xname="confidence",
    )
