"""The train command as a process of its own, for tests that kill it."""

import subprocess
import sys
from pathlib import Path


def start(folder: Path, overrides: list[str], *flags: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "kdlab.train", *flags, f"paths.outputs={folder}", *overrides]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def finish(process: subprocess.Popen) -> str:
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return output
