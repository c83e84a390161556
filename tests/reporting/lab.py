"""Run directories and sweeps as kdlab writes them, with figures that a test chooses."""

import json
import os
import socket
from pathlib import Path

import numpy as np
import yaml
from safetensors.numpy import save_file

GONE = 2**22 + 1  # no process has this number


class Lab:
    """An outputs folder.

    Args:
        root: where.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.count = root, 0

    def run(self, student, baseline=None, *, val=None, baseline_val=None, settings=(), result=(), **options):
        """A finished run.

        Args:
            student, baseline: test accuracies; without a baseline there is none.
            val, baseline_val: validation accuracies, by default the test's.
            settings: of the config by dotted key, on top of those of `config`.
            result: of `result.json`, on top.
            options: `seed`, `teacher` (test accuracy), `typed` (overrides), `right` (for `student` and `baseline`
                whether they are right on each test sample), `folder`.
        """
        self.count += 1
        settings = dict(settings)
        seed = settings.setdefault("seed", options.get("seed", 0))
        folder = self.root / options.get("folder", f"{settings.get('name', 'response')}-{self.count:08x}")
        content = {
            "status": "finished",
            "teacher": figures(options.get("teacher", 99.0)),
            "student": figures(student, student if val is None else val),
            "baseline": None
            if baseline is None
            else figures(baseline, baseline if baseline_val is None else baseline_val),
            "stages": stages(seed, self.count),
            "best_minus_last": {"value": 0.5, "split": "val"},
            "agreement": 97.0,
            "config": config(settings),
            **dict(result),
        }
        self.write(folder, content, options.get("typed", ()))
        for role, right in options.get("right", {}).items():
            predicted(folder / role, right)
        return folder

    def failed(self, error, settings=(), typed=()):
        """A run directory of a run that failed."""
        self.count += 1
        folder = self.root / f"response-{self.count:08x}"
        self.write(folder, {"status": "failed", "error": error, "config": config(dict(settings))}, typed)
        return folder

    def write(self, folder, content, typed=()):
        (folder / ".hydra").mkdir(parents=True, exist_ok=True)
        (folder / "result.json").write_text(json.dumps(content))
        (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(list(typed)))

    def sweep(self, varied, records, *, name="sweep", **about):
        """A sweep that has ended.

        Args:
            varied: texts by key.
            records: `(overrides, run directory or None, fields of the record)` each.
            name: of the sweep.
            about: fields of `sweep.json`, on top.
        """
        folder = self.root / f"{name}-0a1b2c3d"
        (folder / "cells").mkdir(parents=True)
        content = {
            "name": name,
            "question": None,
            "command": f"python -m kdlab.train +sweeps={name}",
            "overrides": [],
            "varied": varied,
            "cells": len(records),
            "sweeper": "hydra._internal.core_plugins.basic_sweeper.BasicSweeper",
            "launcher": "hydra._internal.core_plugins.basic_launcher.BasicLauncher",
            "pid": GONE,
            "host": socket.gethostname(),
            "started": 1.0,
            "ended": 2.0,
            **about,
        }
        (folder / "sweep.json").write_text(json.dumps(content))
        for number, (overrides, run, fields) in enumerate(records):
            record = {
                "cell": number,
                "overrides": overrides,
                "status": "finished",
                "pid": GONE,
                "host": socket.gethostname(),
                "started": 1.0,
                "ended": 2.0,
                "run": os.path.relpath(run, folder) if run else None,
                "error": None,
                "exit_code": 0,
                **fields,
            }
            (folder / "cells" / f"{number}.json").write_text(json.dumps(record))
        return folder

    def grid(self, key, by_value, **about):
        """A sweep over one key.

        Args:
            key: dotted.
            by_value: for each value the `(student, baseline, val)` of the seeds 0, 1, …
            about: fields of `sweep.json`.
        """
        cells = [
            (
                [f"{key}={value}", f"seed={seed}"],
                self.run(student, baseline, val=val, seed=seed, settings={key: value}),
                {},
            )
            for value, seeds in by_value.items()
            for seed, (student, baseline, val) in enumerate(seeds)
        ]
        count = max(len(seeds) for seeds in by_value.values())
        varied = {key: [str(value) for value in by_value], "seed": [str(seed) for seed in range(count)]}
        return self.sweep(varied, cells, **about)


def figures(test, val=None):
    found = {"test/accuracy": test, "test/nll": 0.3, "test/ece": 0.05, "params": 5006, "flops": 1000, "seconds": 20.0}
    return found if val is None else {**found, "val/accuracy": val}


def stages(seed, count):
    """One teacher for all, a baseline a seed, a student a run with 700 cache hits of 1,000 teacher outputs."""
    named = (("teacher", "t"), ("baseline", f"b{seed}"), ("student", f"s{count}"))
    counts = {"student": {"teacher_forwards": 300, "teacher_recalls": 700}}
    return [
        {"name": name, "fingerprint": fingerprint, "epochs": 30, "seconds": 20.0, **counts.get(name, {})}
        for name, fingerprint in named
    ]


def config(settings):
    """A resolved config with some settings changed."""
    flat = {
        "name": "response",
        "epochs": 30,
        "seed": 0,
        "data._target_": "kdlab.data.Digits",
        "data.val_fraction": 0.1,
        "data.seed": settings.get("seed", 0),
        "model.teacher.name": "resnet14",
        "model.teacher.train.seed": 0,
        "model.student.name": "resnet8",
        "optimizer._target_": "torch.optim.SGD",
        "optimizer.lr": 0.1,
        "scheduler.max_lr": settings.get("optimizer.lr", 0.1),
        "plan._target_": "kdlab.jobs.plans.single.single",
        "loss.temperature": 4.0,
        "loss.alpha": 0.7,
        "loss.terms.response_kd.temperature": settings.get("loss.temperature", 4.0),
        "hardware.threads": 1,
        "paths.outputs": "outputs",
        **settings,
    }
    nested = {}
    for key, value in flat.items():
        *above, last = key.split(".")
        node = nested
        for part in above:
            node = node.setdefault(part, {})
        node[last] = value
    return nested


def predicted(folder, right):
    """Predictions of two classes, right where `right` is true, as a stage writes them."""
    targets = np.arange(len(right)) % 2
    predictions = np.where(right, targets, 1 - targets)
    folder.mkdir(parents=True, exist_ok=True)
    logits = np.eye(2, dtype=np.float32)[predictions]
    save_file({"logits": logits, "targets": targets}, folder / "predictions.safetensors")
