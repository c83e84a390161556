"""What several tests share: where real data lies, when it is at hand."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared_data() -> Path:
    """The folder with real CIFAR and published weights beside the repository; skips the test where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip("real data is not at hand: no ../shared/data beside the repository")
    return SHARED / "data"
