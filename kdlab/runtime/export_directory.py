"""The directory of an export: links to its artifacts, a model card, an example that needs no kdlab, and the result."""

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from kdlab.jobs.export.artifact import ArtifactJob
from kdlab.jobs.export.latency import first_images
from kdlab.runtime.export import Export
from kdlab.runtime.run_directory import link
from kdlab.store.atomic import check_writable, write_bytes_atomically, write_text_atomically
from kdlab.store.fingerprint import SHORT

CARD, EXAMPLE, IMAGES = "README.md", "example.py", "images.npy"
SHOWN = 8  # images that the example classifies
CODE = '''\
"""Classifies raw images with onnxruntime and numpy alone: python {example} [images.npy]"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime

folder = Path(__file__).parent
session = onnxruntime.InferenceSession(folder / "{artifact}", providers=["CPUExecutionProvider"])
labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])

images = np.load(sys.argv[1] if len(sys.argv) > 1 else folder / "{images}")  # (batch, channels, height, width)
(logits,) = session.run(["logits"], {{"images": images}})
exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
for row in probabilities:
    print(f"{{labels[row.argmax()]:<12}} {{row.max():.3f}}")
'''


def export_directory(run: Path, jobs: Sequence[ArtifactJob], fingerprint: str) -> Path:
    """Where an export goes: in its run directory or, for a stage of a store, beside the store.

    Args:
        run: as it was named, a run directory, a stage in one, or a stage in a store.
        jobs: those that write its artifacts.
        fingerprint: of the export.
    """
    for folder in (run, run.parent):
        if (folder / "student").exists():
            return folder / folder_name(fingerprint)
    student = jobs[0].student
    return student.folder.parent.parent / f"export-{student.network}-{fingerprint[:SHORT]}"


def folder_name(fingerprint: str) -> str:
    """The name of an export's folder in its run directory."""
    return f"export-{fingerprint[:SHORT]}"


def write_export(folder: Path, export: Export, card: str, setting: str = "--out") -> None:
    """Writes the directory of an export. Refused artifacts are linked in `refused/`.

    Args:
        folder: created when it is absent.
        export: done.
        card: the model card.
        setting: that chose the folder, for the error.

    Raises:
        BadInput: it cannot be written.
    """
    check_writable(folder, setting)
    for path, target in _links(folder, export):
        path.parent.mkdir(parents=True, exist_ok=True)
        link(path, target)
    for cards in (folder, *(folder / job.name for job in export.jobs if job.file(export.store.folder(job)).is_dir())):
        write_text_atomically(cards / CARD, card)
    _write_example(folder, export)
    write_text_atomically(folder / "result.json", json.dumps(export.content, indent=2) + "\n")


def _links(folder: Path, export: Export) -> Iterator[tuple[Path, Path]]:
    """Each link with the file in the store that it names; a link of an earlier verdict is removed."""
    for job in export.jobs:
        stored = export.store.folder(job)
        for file in job.files(stored):
            paths = {
                refused: folder / ("refused" if refused else "") / file.relative_to(stored) for refused in (True, False)
            }
            is_refused = job.name in export.content["refused"]
            paths[not is_refused].unlink(missing_ok=True)
            yield paths[is_refused], file


def _write_example(folder: Path, export: Export) -> None:
    """An example for the recommended file, or for the float32 one."""
    names = [
        job.name for job in export.jobs if job.name.endswith(".onnx") and job.name not in export.content["refused"]
    ]
    if not names:
        return
    chosen = (export.content["recommended"] or {}).get("artifact")
    artifact = chosen if chosen in names else names[0]
    write_text_atomically(folder / EXAMPLE, CODE.format(example=EXAMPLE, artifact=artifact, images=IMAGES))
    content = io.BytesIO()
    np.save(content, first_images(export.jobs[0].student, SHOWN).numpy())
    write_bytes_atomically(folder / IMAGES, content.getvalue())
