"""Image classification: one class for each image."""

import torch
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.functional.classification import multiclass_calibration_error

from kdlab.data.batch import UNLABELLED
from kdlab.tasks.base import Rows, Task
from kdlab.tasks.description import IMAGE_CLASSIFICATION
from kdlab.tasks.metrics import Accuracy, NegativeLogLikelihood

CALIBRATION_BINS = 15


class ImageClassification(Task):
    """The headline is accuracy; also negative log-likelihood and, over a whole set, the calibration error."""

    description = IMAGE_CLASSIFICATION

    def metrics(self) -> MetricCollection:
        """Accuracy in percent and negative log-likelihood in nats."""
        return MetricCollection({"accuracy": Accuracy(), "nll": NegativeLogLikelihood()}, compute_groups=False)

    def figures(self, logits: Tensor, labels: Tensor) -> dict[str, float]:
        """Also the expected calibration error in [0, 1]: 15 bins of equal width, L1 norm (arXiv:1706.04599)."""
        kept = labels != UNLABELLED
        error = multiclass_calibration_error(
            logits[kept].float().softmax(-1),
            labels[kept],
            num_classes=logits.shape[-1],
            n_bins=CALIBRATION_BINS,
            norm="l1",
        )
        return {**super().figures(logits, labels), "ece": error.item()}

    def references(self, train: Tensor, test: Tensor) -> Rows:
        """Always predicting the most frequent training label."""
        if not len(train) or not len(test):
            return {}
        majority = torch.bincount(train).argmax()
        return {"majority class": {"accuracy": 100 * (test == majority).double().mean().item()}}
