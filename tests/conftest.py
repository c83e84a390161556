"""What several tests share: where real data lies, when it is at hand; sessions that end; a disk that is soon full."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared_data() -> Path:
    """The folder with real CIFAR and published weights beside the repository; skips the test where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip("real data is not at hand: no ../shared/data beside the repository")
    return SHARED / "data"


@pytest.fixture(autouse=True, scope="module")
def sessions_end_with_their_module() -> Iterator[None]:
    """A session of W&B or Ray outlives the run that began it, and remembers its environment."""
    yield
    if wandb := sys.modules.get("wandb"):
        wandb.teardown()
    os.environ.pop("WANDB_SERVICE", None)  # a test that took the variable away has put that of its own session back
    if ray := sys.modules.get("ray"):
        ray.shutdown()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 kB."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(tmp_path)], check=False)
    if mounted.returncode:
        pytest.skip("mounting a small disk needs more rights")
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)
