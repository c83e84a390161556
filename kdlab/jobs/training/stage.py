"""Trains one stage: the only place where a Trainer is built."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Callback, LightningDataModule, Trainer
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch import Tensor

from kdlab.data.batch import UNLABELLED, Batch
from kdlab.data.image.base import ImageData
from kdlab.data.image.transfer import Transfer
from kdlab.jobs.training.checkpointing import AtomicCheckpointIO, KeepLast
from kdlab.jobs.training.history import History, Row, write_history
from kdlab.jobs.training.preparation import initial_network, prepare, teacher_network
from kdlab.methods.base import Distiller
from kdlab.models.network import Network
from kdlab.models.saved import WEIGHTS, save_examples, save_network, save_predictions
from kdlab.settings.targets import build
from kdlab.store.atomic import write_text_atomically
from kdlab.tasks.dark_knowledge import telling_samples
from kdlab.tasks.metrics import classification_figures, flops, parameter_count, predict
from kdlab.teachers.cache.spec import Place


@dataclass(frozen=True, eq=False)
class Stage:
    """One training: one network, its data, one loss, one recipe, one seed, and the stages that teach it.

    Every mapping holds plain resolved values of the config group of its name. `epochs=0` is a network that comes
    with its weights: nothing is trained, it is only evaluated.
    """

    name: str
    network: Mapping[str, Any]
    data: Mapping[str, Any]
    loss: Mapping[str, Any]
    epochs: int
    seed: int
    optimizer: Mapping[str, Any]
    scheduler: Mapping[str, Any]
    hardware: Mapping[str, Any]
    trainer: Mapping[str, Any] = field(default_factory=dict)
    callbacks: Mapping[str, Any] = field(default_factory=dict)
    cache: Mapping[str, Any] = field(default_factory=dict)
    teachers: tuple[tuple["Stage", float], ...] = ()
    peer: Mapping[str, Any] | None = None  # a second network that is trained beside the first
    setting: str = "model.student"  # the config node of its network, for messages


def train(
    stage: Stage,
    folder: Path,
    teachers: Sequence[Path] = (),
    places: Sequence[Place] = (),
    *,
    listen: Callable[[Row], None] = lambda row: None,
    callbacks: Sequence[Callback] = (),
) -> None:
    """Trains a stage from its last checkpoint, or from the start, and leaves its results in `folder`.

    The same stage at the same thread count on a CPU ends with the same bits, however often it was interrupted.

    Args:
        stage: what to train.
        folder: its place in the store; `result.json` is written last and marks it finished.
        teachers: the folders of `stage.teachers`, in order.
        places: of what they answer, in order; without any they are asked at every step.
        listen: called with each row of the metric history.
        callbacks: that watch and change nothing, such as a progress bar.
    """
    with threads(stage.hardware.get("threads")), closing(make_method(stage)) as method:
        data, network = make_data(stage.data), initial_network(stage)
        keep = KeepLast(folder / "last.ckpt", History(listen))
        prepare(method, network, stage, [partial(teacher_network, stage, path) for path in teachers], places)
        trainer = make_trainer(stage, folder, [*callbacks, keep], keep.history)
        if stage.epochs:
            with keep.answering_signals() if trainer.world_size == 1 else nullcontext():
                trainer.fit(method, datamodule=data, ckpt_path=_resumable(keep.path), weights_only=True)
        if trainer.is_global_zero:
            _finish(stage, folder, network, keep, method)


def make_method(stage: Stage) -> Distiller:
    """The stage's LightningModule, with its terms checked and without its networks."""
    method: Distiller = build(stage.loss, "loss")
    return method


def make_data(settings: Mapping[str, Any]) -> LightningDataModule:
    """The data module that settings of the group `data` describe."""
    data: LightningDataModule = build(settings, "data")
    return data


def make_trainer(stage: Stage, folder: Path, callbacks: Sequence[Callback], history: History) -> Trainer:
    """A Trainer with kdlab's checkpoints and history in place of its own; `trainer.*` wins over `hardware=`."""
    hardware = {name: stage.hardware[name] for name in ("accelerator", "devices", "strategy", "precision")}
    options = {**hardware, **stage.trainer}
    chosen = [build(settings, f"callbacks.{name}") for name, settings in stage.callbacks.items()]
    environment = [LightningEnvironment()] if "LOCAL_RANK" in os.environ else []
    return Trainer(
        max_epochs=stage.epochs,
        logger=history,
        callbacks=[*chosen, *callbacks],
        plugins=[AtomicCheckpointIO(), *environment],
        enable_checkpointing=True,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        default_root_dir=folder,
        **{"log_every_n_steps": 1, **options, "strategy": _strategy(options, _has_windows(stage.loss))},
    )


def _strategy(options: Mapping[str, Any], some_unused: bool) -> Strategy | str:
    if options["strategy"] != "ddp":
        return str(options["strategy"])
    on_gpu = options["accelerator"] in ("gpu", "cuda") or (
        options["accelerator"] == "auto" and torch.cuda.is_available()
    )
    backend = "nccl" if on_gpu else "gloo"
    return DDPStrategy(process_group_backend=backend, find_unused_parameters=some_unused)


def _has_windows(loss: Mapping[str, Any]) -> bool:
    """Whether some term, and what it learns, rests in some epochs."""
    return any(term.get("from_epoch") or term.get("until_epoch") for term in loss["terms"].values())


def _resumable(checkpoint: Path) -> Path | None:
    return checkpoint if checkpoint.is_file() else None


def _finish(stage: Stage, folder: Path, network: Network, keep: KeepLast, method: Distiller) -> None:
    """Evaluates the trained network once, as it is saved, and writes what the stage leaves behind."""
    with torch.compiler.set_stance("force_eager"):
        _evaluate_and_save(stage, folder, network, keep, method)


def _evaluate_and_save(stage: Stage, folder: Path, network: Network, keep: KeepLast, method: Distiller) -> None:
    """`result.json` last."""
    data = make_data(stage.data)  # afresh, without a trainer: one process evaluates everything
    data.setup("test")
    predictions = {split: predict(network, batches, method.device) for split, batches in _evaluation(data)}
    companions = {
        name: {**_figures({"test": predict(companion, data.test_dataloader(), method.device)})}
        for name, companion in method.companions().items()
    }
    save_network(folder, network.cpu())
    save_predictions(folder, *predictions["test"])
    _save_examples(folder, data, *predictions["test"])
    write_history(folder / "metrics.csv", keep.history.rows)
    example = Batch.of(next(iter(data.test_dataloader()))).sample(0)
    result = {**_figures(predictions), **_cost(folder, network, example), **_training(keep, method)}
    if companions:
        result["companions"] = companions
    write_text_atomically(folder / "result.json", json.dumps(result, indent=2) + "\n")


def _save_examples(folder: Path, data: LightningDataModule, logits: Tensor, targets: Tensor) -> None:
    """Class names, and the samples that reports show; a data module of the user's has neither."""
    labelled = (targets != UNLABELLED).nonzero().flatten()
    if isinstance(data, ImageData | Transfer) and len(labelled):
        shown = list(dict.fromkeys(telling_samples(logits[labelled].numpy()).values()))
        pictures = data.thumbnails(labelled[shown])
        save_examples(folder, data.class_names, dict(zip(shown, pictures, strict=True)))


def _figures(predictions: Mapping[str, tuple[Tensor, Tensor]]) -> dict[str, float]:
    return {
        f"{split}/{name}": value
        for split, (logits, targets) in predictions.items()
        for name, value in classification_figures(logits, targets).items()
    }


def _cost(folder: Path, network: Network, example: Any) -> dict[str, int]:
    return {
        "params": parameter_count(network.module),
        "flops": flops(network, example),
        "size_bytes": (folder / WEIGHTS).stat().st_size,
    }


def _training(keep: KeepLast, method: Distiller) -> dict[str, Any]:
    rows = keep.history.rows
    return {
        "epochs": len(rows),
        "seconds": round(keep.seconds, 2) if rows else 0.0,
        "samples_per_second": method.trainer.world_size * method.progress.samples / keep.seconds if rows else None,
        "teacher_forwards": sum(teacher.samples for teacher in method.teachers),
        "teacher_recalls": sum(teacher.recalled for teacher in method.teachers),
        "best_minus_last": _best_minus_last(rows),
    }


def _evaluation(data: LightningDataModule) -> Iterator[tuple[str, Any]]:
    validation = data.val_dataloader()
    if validation:
        yield "val", validation
    yield "test", data.test_dataloader()


def _best_minus_last(rows: Sequence[Row]) -> float | None:
    accuracies = [row["val/accuracy"] for row in rows if "val/accuracy" in row]
    return max(accuracies) - accuracies[-1] if accuracies else None


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Runs with that many CPU threads, and restores the number before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
