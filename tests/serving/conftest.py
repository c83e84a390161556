import pytest


@pytest.fixture
def anyio_backend():
    """Tests that are coroutines run in asyncio."""
    return "asyncio"
