"""`result.json` of a run, from the figures of its stages in the store."""

import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from kdlab.jobs.job import Job
from kdlab.jobs.plan import Ensemble, Plan, Step
from kdlab.jobs.training.parts import make_task
from kdlab.jobs.training.stage import Stage
from kdlab.models.saved import load_predictions
from kdlab.runtime.ensemble import ensemble_figures, ensemble_logits
from kdlab.runtime.hints import hints
from kdlab.store.store import Store
from kdlab.tasks.description import Description

COSTS = (
    "params",
    "flops",
    "size_bytes",
    "epochs",
    "seconds",
    "samples_per_second",
)
PACKAGES = ("kdlab", "torch", "torchvision", "lightning", "hydra-core", "timm", "torchmetrics", "wandb", "numpy")
LEAST_GAP = 1.0  # points, or per cent, between teacher and baseline under which a recovered share means nothing


def finished_result(plan: Plan, store: Store, reused: Mapping[str, bool]) -> dict[str, Any]:
    """The content of `result.json` for a run whose stages are all in the store.

    Args:
        plan: the run's stages.
        store: holds their results.
        reused: by stage name, whether it was finished before this run.
    """
    roles = {role: _figures(stage, store) for role, stage in plan.by_role().items()}
    task = plan.student.task
    if len(plan.teachers) > 1:
        ensemble = ensemble_figures(Ensemble(plan.teachers), store)
        roles["teacher"] = {name: ensemble.get(name) for name in figure_names(task)}
    teacher, student, baseline = (roles.get(role) for role in ("teacher", "student", "baseline"))
    return {
        "status": "finished",
        "task": task.as_dict(),
        "teacher": teacher,
        "student": student,
        "baseline": baseline,
        "control": roles.get("control"),
        **_gains(task, teacher, student, baseline),
        "gain_over_control": _gain(task, student, roles.get("control")),
        "references": store.result(plan.student).get("references", {}),
        **_agreement(plan, store),
        **_optional_fields(plan, store),
        "hints": hints(plan, store),
        "best_minus_last": {"value": store.result(plan.student)["best_minus_last"], "split": "val"},
        "stages": _jobs(plan.stages, store, reused),
        "environment": environment(),
        "config": plan.config,
    }


def jobs_result(jobs: Sequence[Job], store: Store, reused: Mapping[str, bool]) -> dict[str, Any]:
    """The result of finished jobs that belong to no plan."""
    return {"status": "finished", "stages": _jobs(jobs, store, reused), "environment": environment()}


def failed_result(error: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The content of `result.json` for a run that could not finish."""
    return {"status": "failed", "error": error, "environment": environment(), "config": config}


def environment() -> dict[str, Any]:
    """Versions and machine, to reproduce the figures."""
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processor": platform.machine(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "packages": {name: _version(name) for name in PACKAGES},
    }


def figure_names(task: Description) -> tuple[str, ...]:
    """The figures of each network in a result: the task's metrics on the test set, its objective, and costs."""
    return (*(f"test/{metric.name}" for metric in task.metrics), task.objective, *COSTS)


def _figures(stage: Stage, store: Store) -> dict[str, Any]:
    return {name: store.result(stage).get(name) for name in figure_names(stage.task)}


def _gains(
    task: Description,
    teacher: Mapping[str, Any] | None,
    student: Mapping[str, Any] | None,
    baseline: Mapping[str, Any] | None,
) -> dict[str, Any]:
    gain, gap = _gain(task, student, baseline), _gain(task, teacher, baseline)
    if gain is None or gap is None:
        return {"gain": gain, "gap_recovered": None}
    if gap < LEAST_GAP:
        reason = f"teacher minus baseline is {gap:.2f} {task.headline.gain_unit}, under {LEAST_GAP:g}"
        return {"gain": gain, "gap_recovered": None, "gap_recovered_reason": reason}
    return {"gain": gain, "gap_recovered": gain / gap}


def _gain(task: Description, one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> float | None:
    return task.headline.gain(one[task.outcome], other[task.outcome]) if one and other else None


def _optional_fields(plan: Plan, store: Store) -> dict[str, Any]:
    """Fields of plans with several teachers, generations or steps, and of students that are unlike the usual."""
    fields: dict[str, Any] = {}
    if len(plan.teachers) > 1:
        fields["teachers"] = {stage.name: _figures(stage, store) for stage, _ in plan.teachers}
    if companions := store.result(plan.student).get("companions"):
        fields["companions"] = companions
    if plan.generations:
        fields["generations"] = [_figures(stage, store) for stage in plan.generations]
    if plan.ensemble:
        fields["ensemble"] = ensemble_figures(plan.ensemble, store)
    if plan.steps:
        fields["steps"] = [_step(step, store) for step in plan.steps]
    kept = {role: store.result(stage).get("kept_epoch") for role, stage in plan.by_role().items()}
    if any(kept.values()):
        fields["kept_epochs"] = kept
    if plan.student.start:
        fields[plan.student.start.kind] = _change(plan.student, store)
    return fields


def _change(student: Stage, store: Store) -> dict[str, Any]:
    """What was changed in the network that the student was; what was removed, as shares of its figures."""
    assert student.start
    unchanged = student.start.stage
    while unchanged.start:
        unchanged = unchanged.start.stage
    before, after = store.result(unchanged), store.result(student)
    about = {**asdict(student.start.change), "of": unchanged.name, "gain": _gain(student.task, after, before)}
    if student.start.kind != "pruning":
        return about
    removed = {f"{name}_removed": 1 - after[name] / before[name] for name in ("params", "flops", "size_bytes")}
    return {**about, **removed, "sparsity": after["sparsity"]}


def _step(step: Step, store: Store) -> dict[str, Any]:
    stage, figures = step.stage, _figures(step.stage, store)
    teacher_params = sum(store.result(teacher)["params"] for teacher, _ in stage.teachers)
    return {
        "name": stage.name,
        "network": {name: stage.network.get(name) for name in ("source", "name", "kwargs")},
        "params": figures["params"],
        "target_params": step.target_params,
        **({f"target_{step.by}": step.target} if step.target and step.by != "parameters" else {}),
        "ratio": teacher_params / figures["params"],
        "epochs": figures["epochs"],
        "figures": figures,
    }


def _agreement(plan: Plan, store: Store) -> dict[str, float | None]:
    """Agreement of student and baseline with the teacher's predictions, on the test set."""
    logits = {role: load_predictions(store.folder(stage))[0] for role, stage in plan.by_role().items()}
    if "teacher" not in logits:
        return {"agreement": None, "agreement_baseline": None, "kl_to_teacher": None}
    teacher, _ = ensemble_logits(Ensemble(plan.teachers), store)
    compare = make_task(plan.student.data).compare
    return {
        **compare(logits["student"], teacher),
        "agreement_baseline": compare(logits["baseline"], teacher)["agreement"] if "baseline" in logits else None,
    }


def _jobs(jobs: Sequence[Job], store: Store, reused: Mapping[str, bool]) -> list[dict[str, Any]]:
    return [
        {
            "name": job.name,
            "fingerprint": job.fingerprint,
            "reused": reused[job.name],
            **{name: store.result(job).get(name) for name in job.summary},
        }
        for job in jobs
    ]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
