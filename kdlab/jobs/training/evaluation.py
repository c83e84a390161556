"""Evaluates a trained network, and saves the results of its stage."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from lightning.pytorch import LightningDataModule
from torch import Tensor

from kdlab.data.batch import UNLABELLED, Batch
from kdlab.data.module import HasExamples
from kdlab.jobs.training.checkpointing import KeepLast
from kdlab.jobs.training.history import Row, write_history
from kdlab.methods.base import Distiller
from kdlab.models.cost import flops, parameter_count
from kdlab.models.network import Network
from kdlab.models.saved import save_examples, save_network, save_predictions
from kdlab.models.stage_folder import WEIGHTS
from kdlab.tasks.base import Task, task_of
from kdlab.tasks.dark_knowledge import illustrative_samples
from kdlab.tasks.description import Description
from kdlab.tasks.predictions import predict
from kdlab.teachers.companion import Companion


def evaluate_and_save(
    folder: Path, network: Network, data: LightningDataModule, keep: KeepLast, method: Distiller
) -> dict[str, Any]:
    """Evaluates the trained network once, as it is saved, and writes the files of the stage.

    Args:
        folder: of the stage.
        network: the student.
        data: not attached to a Trainer.
        keep: the stage's checkpoints and history.
        method: the method that trained it.

    Returns:
        Its figures.
    """
    data.setup("test")
    task = task_of(data)
    evaluation = {split: keep.reporting(batches) for split, batches in _evaluation(data)}
    predictions = {split: predict(network, batches, method.device, task) for split, batches in evaluation.items()}
    companions = {
        companion.name: _figures(
            {"test": predict(companion.network, keep.reporting(data.test_dataloader()), method.device, task)}, task
        )
        for companion in cast(Iterable[Companion], method.companions)
    }
    save_network(folder, network.cpu())
    save_predictions(folder, *predictions["test"])
    _save_examples(folder, data, *predictions["test"])
    write_history(folder / "metrics.csv", keep.history.rows)
    example = Batch.of(next(iter(data.test_dataloader()))).sample(0)
    figures = {**_figures(predictions, task), **_cost(folder, network, example), **_training(keep, method, task)}
    references = _references(data, predictions["test"][1], task)
    return {**figures, "references": references, **({"companions": companions} if companions else {})}


def _save_examples(folder: Path, data: LightningDataModule, logits: Tensor, targets: Tensor) -> None:
    """Saves class names and the samples that reports show; a user's own data module has neither."""
    labelled = (targets != UNLABELLED).nonzero().flatten()
    if isinstance(data, HasExamples) and len(labelled):
        shown = list(dict.fromkeys(illustrative_samples(logits[labelled].numpy()).values()))
        pictures = data.thumbnails(labelled[shown])
        save_examples(folder, data.class_names, dict(zip(shown, pictures, strict=True)))


def _figures(predictions: Mapping[str, tuple[Tensor, Tensor]], task: Task) -> dict[str, float]:
    return {
        f"{split}/{name}": value
        for split, (logits, labels) in predictions.items()
        for name, value in task.figures(logits, labels).items()
    }


def _references(data: LightningDataModule, test: Tensor, task: Task) -> dict[str, dict[str, float]]:
    """Metrics of trivial predictors, fitted to the training labels, or to the test labels if there are none."""
    test = test[test != UNLABELLED]
    train = getattr(data, "sample_labels", test)
    train = train[train != UNLABELLED]
    rows = task.references(train if len(train) else test, test)
    return {name: {f"test/{metric}": value for metric, value in row.items()} for name, row in rows.items()}


def _cost(folder: Path, network: Network, example: Any) -> dict[str, int]:
    return {
        "params": parameter_count(network.module),
        "flops": flops(network, example),
        "size_bytes": (folder / WEIGHTS).stat().st_size,
    }


def _training(keep: KeepLast, method: Distiller, task: Task) -> dict[str, Any]:
    rows = keep.history.rows
    return {
        "epochs": len(rows),
        "seconds": round(keep.seconds, 2) if rows else 0.0,
        "samples_per_second": rows[-1]["samples"] / rows[-1]["seconds"] if rows and "samples" in rows[-1] else None,
        "teacher_forwards": sum(teacher.forwards for teacher in method.teachers),
        "teacher_recalls": sum(teacher.hits for teacher in method.teachers),
        "best_minus_last": _best_minus_last(rows, task.description),
    }


def _evaluation(data: LightningDataModule) -> Iterator[tuple[str, Any]]:
    validation = data.val_dataloader()
    if validation:
        yield "val", validation
    yield "test", data.test_dataloader()


def _best_minus_last(rows: Sequence[Row], task: Description) -> float | None:
    values = [row[task.objective] for row in rows if task.objective in row]
    return task.headline.gain(max(values, key=task.headline.merit), values[-1]) if values else None
