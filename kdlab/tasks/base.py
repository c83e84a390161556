"""Tasks: the unit that losses and metrics average over, which targets are used, and the metrics."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics import MetricCollection

from kdlab.data.batch import UNLABELLED
from kdlab.errors import BadInput
from kdlab.models.taps import Outputs
from kdlab.settings.targets import find
from kdlab.tasks.description import IMAGE_CLASSIFICATION, Description
from kdlab.tasks.metrics import agreement, kl_to_teacher

DEFAULT = "kdlab.tasks.image_classification.ImageClassification"
Rows = Mapping[str, Mapping[str, float]]


class Task(ABC):
    """Defines the unit over which losses, metrics, gradient accumulation and ranks average, and the metrics.

    A unit has one target. With targets `(batch,)` it is a sample; `UNLABELLED` marks a sample whose label is withheld,
    which losses with a teacher still use. With targets `(batch, positions)` it is a token; `UNLABELLED` marks positions
    that are no unit, such as padding, which no loss or metric uses.

    Attributes:
        description: its name, unit and metrics.
    """

    description: ClassVar[Description] = IMAGE_CLASSIFICATION

    def labels(self, targets: Tensor) -> Tensor:
        """The targets of all units: `(units,)`."""
        return targets if targets.ndim == 1 else targets[targets != UNLABELLED]

    def aligned(self, outputs: Outputs, targets: Tensor) -> Outputs:
        """The outputs of a teacher or a student for each unit, in the order of `labels`.

        Args:
            outputs: logits `(batch, classes)` or `(batch, positions, classes)`; features of each position are
                `(batch, positions, width)`.
            targets: of the batch.

        Returns:
            Logits `(units, classes)`, and features `(units, width)` where there is one for each position.

        Raises:
            BadInput: there is not one row of logits for each target.
        """
        if targets.ndim == 1:
            return outputs
        counted, logits = targets != UNLABELLED, outputs.logits
        is_read = logits.shape[-1] > 0  # a teacher's logits are empty where no term reads them
        if is_read and logits.shape[:-1] != targets.shape:
            raise BadInput(
                f"data: a {self.description.name} task needs one row of logits for each target, got logits of shape "
                f"{tuple(logits.shape)} and targets of shape {tuple(targets.shape)}. Yield targets that are shifted "
                "and padded like the outputs."
            )
        features = {
            role: feature[counted] if _is_per_target(feature.shape, targets) else feature
            for role, feature in outputs.features.items()
        }
        return Outputs(logits[counted] if is_read else logits, features)

    def feature_shape(self, shape: torch.Size, targets: Tensor) -> torch.Size:
        """The shape of one row of aligned features.

        Args:
            shape: of the features of a batch, as the network returns them.
            targets: of the same batch.
        """
        return shape[2:] if _is_per_target(shape, targets) else shape[1:]

    @abstractmethod
    def metrics(self) -> MetricCollection:
        """The validation metrics, by their names in the description; updated with logits and labels of units."""

    def figures(self, logits: Tensor, labels: Tensor) -> dict[str, float]:
        """Every metric of one network, over all units at once, in this process alone.

        Args:
            logits: `(units, classes)`.
            labels: `(units,)`; `UNLABELLED` is left out.
        """
        metrics = self.metrics()
        for metric in metrics.values():
            metric.distributed_available_fn = lambda: False  # `sync_on_compute` is only read in the constructor
        metrics.update(logits.double(), labels)
        return {name: float(value) for name, value in metrics.compute().items()}

    def compare(self, logits: Tensor, teacher: Tensor) -> dict[str, float]:
        """Similarity of two networks' predictions: `agreement` in percent of units, `kl_to_teacher` in nats.

        Args:
            logits: `(units, classes)`, of a student.
            teacher: of the same shape.
        """
        return {"agreement": agreement(logits, teacher), "kl_to_teacher": kl_to_teacher(logits, teacher)}

    def references(self, train: Tensor, test: Tensor) -> Rows:
        """Test metrics of predictors without a network, such as the majority class, by the predictor's name.

        Args:
            train: training labels.
            test: labels to predict.
        """
        return {}


def _is_per_target(shape: torch.Size, targets: Tensor) -> bool:
    return targets.ndim == 2 and len(shape) == 3 and shape[:2] == targets.shape


def task_of(data: Any) -> Task:
    """The task of a data module: its `task`, or image classification where it has none.

    Args:
        data: with a `task`, a `Task` or the importable name of a subclass.

    Raises:
        BadInput: its task is neither.
    """
    named = getattr(data, "task", None) or DEFAULT
    task = find(named, "data.task")() if isinstance(named, str) else named
    if not isinstance(task, Task):
        raise BadInput(
            f"data: {type(data).__name__}.task must be a kdlab.tasks.base.Task, or the importable name of a class of "
            f"one, got {named!r}. For example {DEFAULT!r}."
        )
    return task
