"""Cache specs of a stage's teachers: the folder is named by a hash of everything that the outputs depend on."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from kdlab.jobs.training.hardware import device_of_teachers, precision_of_teachers, ranks, thread_count
from kdlab.jobs.training.identity import (
    augmentation,
    code_parts,
    data_code,
    data_properties,
    network_code,
    stage_fingerprint,
)
from kdlab.jobs.training.parts import make_method
from kdlab.models.stage_folder import WEIGHTS
from kdlab.store.fingerprint import file_hash, fingerprint
from kdlab.teachers.cache.fixed_batch import fill_size
from kdlab.teachers.cache.spec import CacheSpec

if TYPE_CHECKING:
    from kdlab.jobs.training.stage import Stage

GIGABYTE = 10**9
FOLDER = "cache"  # in the store


def cache_specs(stage: "Stage", store: Path, cache: Path | None = None) -> list[CacheSpec]:
    """One cache spec for each teacher of a stage, in order; empty if the data module has no `cache_key`.

    Args:
        stage: a stage whose teachers are finished.
        store: the folder of the store.
        cache: the folder of all cached outputs; None is that of the store.
    """
    data = data_properties(stage.data)
    if data.pixels is None:
        return []
    keys = [_key(stage, teacher, store) for teacher, _ in stage.teachers]
    settings = stage.cache
    return [
        CacheSpec(
            folder=(cache or store / FOLDER) / fingerprint(key) if settings["enabled"] else None,
            key=key,
            samples=data.samples,
            batch=key["compute"]["batch"],
            dtype=settings["dtype"],
            top_k=settings["top_k"],
            max_bytes=int(settings["max_gb"] * GIGABYTE),
        )
        for key in keys
    ]


def _key(stage: "Stage", teacher: "Stage", store: Path) -> dict[str, Any]:
    """Everything that the outputs depend on, bit for bit."""
    data, method = data_properties(stage.data), make_method(stage)
    names = ("source", "name", "num_classes", "kwargs", "mean", "std", "image_size")
    taps = teacher.network.get("taps") or {}
    return {
        "weights": file_hash(store / stage_fingerprint(teacher) / WEIGHTS),
        "network": {name: teacher.network.get(name) for name in names},
        "logits": method.reads_teacher_logits,
        "taps": {role: taps.get(role) for role in method.teacher_roles},
        "pixels": {**(data.pixels or {}), "digest": data.digest, "samples": data.samples},
        "compute": _compute(stage, data.batch_size),
        "format": {name: stage.cache[name] for name in ("dtype", "top_k")},
        **code_parts(
            [*data_code(stage.data), *network_code(teacher.network)],
            ["cache", "networks", "teachers", *augmentation(stage.data)],
        ),
    }


def _compute(stage: "Stage", batch_size: int) -> dict[str, Any]:
    """How the outputs are computed: the batch size, and settings that determine the order of summation."""
    device = device_of_teachers(stage)
    return {
        "batch": fill_size(-(-batch_size // ranks(stage))),
        "device": torch.cuda.get_device_name() if device == "cuda" else torch.backends.cpu.get_cpu_capability(),
        "threads": thread_count(stage),
        "channels_last": bool(stage.hardware.get("channels_last")),
        "precision": precision_of_teachers(stage),
        "torch": torch.__version__,
    }
