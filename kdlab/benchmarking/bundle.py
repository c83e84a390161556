"""Packs the artifacts of an export for another machine to measure, which needs Python, numpy and an engine alone."""

import io
import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np
from rich.console import Console

from kdlab import inference
from kdlab.benchmarking.inference import Subject
from kdlab.inference.device import FORMAT, JOB
from kdlab.jobs.export.artifact import INPUT, ArtifactJob
from kdlab.jobs.export.latency import input_arrays
from kdlab.jobs.export.onnx_file import BARE, PREPARED
from kdlab.jobs.export.proof import StudentLogits
from kdlab.jobs.export.samples import labels_of, test_set
from kdlab.models.saved import load_predictions
from kdlab.settings.version import VERSION
from kdlab.store.atomic import write_atomically

IMAGES = 32  # real ones; larger batches repeat them
READABLE = 0o644 << 16
MEASURE = '''\
"""Measures the artifacts of this folder on this machine: python measure.py [--out results.json]"""

import sys
from pathlib import Path

from inference.device import main

sys.exit(main(Path(__file__).resolve().parent))
'''
README = """\
Measures {network} on this machine
{underline}

You need Python 3.9 or newer, with two packages:

    pip install numpy onnxruntime

Then, in this folder or from another one by its path:

    python measure.py

It checks the files by their SHA-256, and starts each artifact in {rounds} processes for each batch size
({batches}) and number of threads ({threads}), in shuffled rounds, on the {images} test images of images.npz.
Let nothing else run meanwhile, and plug in a laptop. Ctrl-C stops it; the same command continues.

It prints a table and writes results.json (another name: --out FILE). Carry that file back, and:

    python -m kdlab.benchmark --inference RUN --read results.json --name "this board"

What it measures runs in: {engines}. An engine that is not installed is left out.

artifacts/    {artifacts}
bare/         the same networks without their preprocessing, to measure what that costs
images.npz    raw test images; prepared_images.npz has them as the bare networks take them
job.json      what is measured: student, classes, hashes
inference/    the code that measures, the same as in kdlab {version}
"""


def write_bundle(path: Path, subject: Subject, console: Console) -> None:
    """Writes the bundle of an export, and prints what to do with it.

    Args:
        path: a zip file.
        subject: whose accepted artifacts are packed, and how they are to be measured.
        console: to print on.
    """
    folder = f"{subject.export.jobs[0].student.network}-bundle"
    write_atomically(path, lambda file: _write(file, folder, _contents(subject)))
    lines = [f"{path}, {path.stat().st_size / 1e6:.1f} MB: carry it to the other machine, and there:"]
    lines += [f"  python3 -m zipfile -e {path.name} ."]
    lines += ["  pip install numpy onnxruntime", f"  python3 {folder}/measure.py"]
    for line in ["", *lines, *subject.refusals]:
        console.print(line, markup=False)


def _write(file: BinaryIO, folder: str, contents: Mapping[str, bytes]) -> None:
    with ZipFile(file, "w", ZIP_DEFLATED) as packed:
        for name, content in contents.items():
            info = ZipInfo(f"{folder}/{name}")  # of 1980, and of nobody
            info.external_attr, info.compress_type = READABLE, ZIP_DEFLATED
            packed.writestr(info, content)


def _contents(subject: Subject) -> dict[str, bytes]:
    """The files of a bundle by name."""
    store, jobs = subject.export.store, list(dict.fromkeys(job for job, _ in subject.accepted))
    packed = {f"artifacts/{file.name}": file for job in jobs for file in job.files(store.folder(job))}
    bare = {f"bare/{job.name}": store.folder(job) / BARE for job in jobs}
    packed |= {name: file for name, file in bare.items() if file.is_file()}
    arrays = input_arrays(subject.export.jobs[0].student, IMAGES)
    files = {f"{name}.npz": _npz(name, array) for name, array in arrays.items()}
    files |= {name: file.read_bytes() for name, file in packed.items()}
    job = _job(subject, files, len(arrays[INPUT]))
    source = Path(inference.__file__).parent
    return {
        "README.txt": _readme(job).encode(),
        "measure.py": MEASURE.encode(),
        JOB: (json.dumps(job, indent=2) + "\n").encode(),
        **files,
        **{f"inference/{file.name}": file.read_bytes() for file in sorted(source.glob("*.py"))},
    }


def _job(subject: Subject, files: Mapping[str, bytes], images: int) -> dict[str, Any]:
    """The content of `job.json`, see `kdlab.inference.device`."""
    student = subject.export.jobs[0].student
    logits, _ = load_predictions(subject.export.store.folder(StudentLogits(student)))
    return {
        "format": FORMAT,
        "kdlab": VERSION,
        "student": {"network": student.network, "stage": student.fingerprint},
        "classes": labels_of(test_set(student.config["data"])),
        "batches": list(subject.measurement.batches),
        "threads": list(subject.measurement.threads),
        "rounds": subject.measurement.rounds,
        "inputs": f"{INPUT}.npz",
        "bare_inputs": f"{PREPARED}.npz",
        "labels": logits[:images].argmax(-1).tolist(),
        "artifacts": [_artifact(job, engine, files) for job, engine in subject.accepted],
        "sha256": {name: sha256(content).hexdigest() for name, content in files.items()},
    }


def _artifact(job: ArtifactJob, engine: str, packed: Mapping[str, bytes]) -> dict[str, Any]:
    files = [f"artifacts/{file.name}" for file in job.files(Path())]
    bare = f"bare/{job.name}"
    named = {"name": job.name, "engine": engine, "precision": job.precision}
    return {**named, "file": files[0], "files": files, "bare": bare if bare in packed else None}


def _npz(name: str, array: "np.ndarray[Any, Any]") -> bytes:
    content = io.BytesIO()
    np.savez(content, **{name: array})  # type: ignore[arg-type]
    return content.getvalue()


def _readme(job: Mapping[str, Any]) -> str:
    network = job["student"]["network"]
    return README.format(
        network=network,
        underline="=" * len(f"Measures {network} on this machine"),
        rounds=job["rounds"],
        batches=", ".join(map(str, job["batches"])),
        threads=" and ".join(map(str, job["threads"])),
        images=len(job["labels"]),
        artifacts=", ".join(dict.fromkeys(one["name"] for one in job["artifacts"])),
        engines=", ".join(sorted({one["engine"] for one in job["artifacts"]})),
        version=job["kdlab"],
    )
