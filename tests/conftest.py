"""What several tests share: where real data lies, when it is at hand; sessions that end; a disk that is soon full."""

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

LONGEST_FIRST = (  # files that start many processes: begun last, one of them would keep a single core busy at the end
    "test_documented_commands.py",
    "test_launchers.py",
    "test_contract.py",
    "test_survival.py",
    "test_sweep_survival.py",
)
gc.disable()  # until all tests are imported: a million objects that stay need not be searched for garbage
SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sorts the longest files to the front; all others keep their order."""
    order = {name: position for position, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


def pytest_collection_finish() -> None:
    """Leaves what is imported out of every later search for garbage."""
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    gc.unfreeze()  # libraries that count their objects report frozen ones as leaks


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
