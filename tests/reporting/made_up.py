"""Evidence made by hand, with the files of a few runs: for tests of pages and pictures, not of statistics."""

import itertools
import json
from dataclasses import replace

import numpy as np
from safetensors.numpy import save_file

from kdlab.reporting.evidence import Evidence, Failure, Gain, Interval, Run, Savings, Setting

CLASSES = 10
NAMES = ("airplane", "automobile", "bird", "polar_cat", "deer", "dog", "frog", "horse", "ship", "truck")


def setting(label, values, student=97.81, gain=(5.63, 0.84), **figures):
    """A setting of three seeds and 5,006 parameters."""
    measured = {
        "student/test/accuracy": Interval(student, 0.62, 3),
        "student/val/accuracy": Interval(student - 0.3, 0.55, 3),
        "baseline/test/accuracy": Interval(student - gain[0], 0.7, 3),
        "teacher/test/accuracy": Interval(98.4, None, 1),
        "agreement": Interval(student - 1, 0.5, 3),
        "agreement_baseline": Interval(90.0, 0.5, 3),
        "kl_to_teacher": Interval(1 / student, 0.001, 3),
        "best_minus_last": Interval(0.31, 0.2, 3),
        "student/params": Interval(5006, 0.0, 3),
        "student/flops": Interval(1.7e6, 0.0, 3),
        "student/seconds": Interval(12.3 + student / 50, 0.4, 3),
        "baseline/params": Interval(5006, 0.0, 3),
        "baseline/seconds": Interval(9.9, 0.4, 3),
        "teacher/params": Interval(43_674, 0.0, 3),
        **figures,
    }
    low, high = gain[0] - 0.5, gain[0] + 0.5
    return Setting(label, values, (), measured, Gain(Interval(*gain, 3), (low, high), 0.004, 0.0123))


def evidence(settings, varied=None, **more):
    """The evidence of some settings."""
    values = varied or {}
    given = Evidence(
        title="temperature",
        question="Does a small student want a softer teacher?",
        answer="T 4 is best by validation accuracy.",
        remarks=("Its lead is smaller than its uncertainty.", "One teacher for all seeds.", "A third remark."),
        varied=values,
        seeds=(0, 1, 2),
        settings=tuple(settings),
        best=settings[0] if settings else None,
        failures=(),
        savings=Savings(12, 14, 36, 100.0, 400.0),
    )
    return replace(given, **more)


def temperatures(alphas=(0.5, 0.9)):
    """A grid of T by alpha, best first."""
    grid = list(itertools.product((2, 4, 8), alphas))
    settings = [
        setting(f"T {t} · alpha {a}", {"loss.temperature": t, "loss.alpha": a}, 95 + t / 10 + a) for t, a in grid
    ]
    return evidence(settings[::-1], {"loss.temperature": (2, 4, 8), "loss.alpha": tuple(alphas)})


def with_run(one, folder, seed=0, result=None, epochs=5):
    """A setting with the files of one run: histories of student and baseline, predictions of all three networks.

    Of each test sample there is a picture, in which every pixel is its number.
    """
    draw = np.random.default_rng(seed)
    targets = draw.integers(0, CLASSES, 60)
    for role, sharpness in (("teacher", 6.0), ("baseline", 1.0), ("student", 3.0)):
        stage = folder / role
        stage.mkdir(parents=True)
        logits = draw.normal(size=(60, CLASSES)) + sharpness * np.eye(CLASSES)[targets]
        save_file({"logits": logits.astype(np.float32), "targets": targets}, stage / "predictions.safetensors")
        pictures = {str(sample): np.full((3, 4, 6), sample, np.uint8) for sample in range(60)}
        save_file(pictures, stage / "examples.safetensors", {"class_names": json.dumps(NAMES)})
        if role != "teacher":
            (stage / "metrics.csv").write_text(metrics(epochs, sharpness))
    run = Run(folder, {"status": "finished", **(result or {})}, {})
    return replace(one, runs=(*one.runs, run))


def metrics(epochs, sharpness):
    rows = [
        f"{epoch},{10 * sharpness + epoch},{3 / epoch},{2 / epoch},{1 / epoch},0.1" for epoch in range(1, epochs + 1)
    ]
    return "\n".join(["epoch,val/accuracy,train/loss,train/ce,train/response_kd,lr", *rows]) + "\n"


def failures(count):
    return tuple(Failure(f"T {t} · seed 0", f"loss.temperature must be above 0, got {-t}") for t in range(count))
