"""The queue of an engine: what is run together, what is refused, what is dropped."""

import asyncio
import threading

import numpy as np
import pytest

from kdlab.errors import JobFailed
from kdlab.serving.batcher import Batcher
from kdlab.serving.refusals import Refused

pytestmark = pytest.mark.anyio
SOON = 10.0  # seconds that no test waits for


class Engine:
    """Doubles its inputs; while `gate` is closed, a call that has begun waits.

    Attributes:
        calls: the samples of each call.
    """

    def __init__(self):
        self.calls, self.gate, self.begun = [], threading.Event(), threading.Event()
        self.gate.set()

    def __call__(self, rows):
        self.calls.append(rows[:, 0].tolist())
        self.begun.set()
        self.gate.wait(SOON)
        if (rows < 0).any():
            raise JobFailed("onnxruntime fails: negative")
        return rows * 2


@pytest.fixture
def engine():
    return Engine()


def rows(*values):
    return np.array(values, np.float32)[:, None]


async def blocked(engine, batcher):
    """A request whose call has begun and does not end."""
    engine.gate.clear()
    task = asyncio.create_task(batcher.logits(rows(1), SOON))
    await asyncio.to_thread(engine.begun.wait, SOON)
    return task


async def begun(*awaitables):
    """Tasks that have been queued."""
    tasks = [asyncio.create_task(one) for one in awaitables]
    await asyncio.sleep(0)
    return tasks


async def test_everything_that_waits_is_run_together_up_to_the_limit(engine):
    observed = []
    batcher = Batcher(engine, 4, 100, lambda samples, seconds, waits: observed.append((samples, len(waits))))
    first = await blocked(engine, batcher)
    others = await begun(*(batcher.logits(rows(*values), SOON) for values in ([2], [3, 4], [5], [6, 7, 8], [9])))
    assert batcher.waiting == 8
    engine.gate.set()
    found = [(await task)[:, 0].tolist() for task in (first, *others)]
    assert found == [[2], [4], [6, 8], [10], [12, 14, 16], [18]]
    assert engine.calls == [[1], [2, 3, 4, 5], [6, 7, 8, 9]]
    batcher.close()
    assert observed == [(1, 1), (4, 3), (4, 2)]


async def test_a_single_request_does_not_wait_for_others(engine):
    batcher = Batcher(engine, 4, 100)
    for value in range(3):
        await batcher.logits(rows(value), SOON)
    assert engine.calls == [[0], [1], [2]]
    batcher.close()


async def test_a_full_queue_refuses_and_says_when_to_come_back(engine):
    batcher = Batcher(engine, 4, 4)
    batcher.samples_per_second = 0.5
    first = await blocked(engine, batcher)
    others = await begun(batcher.logits(rows(2, 3, 4), SOON))
    with pytest.raises(Refused, match="3 samples are waiting, of at most 4") as refused:
        await batcher.logits(rows(5, 6), SOON)
    assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "6"})
    engine.gate.set()
    await asyncio.gather(first, *others)
    batcher.close()


async def test_what_waits_too_long_is_dropped_and_what_has_begun_is_answered(engine):
    batcher = Batcher(engine, 4, 4)
    engine.gate.clear()
    (first,) = await begun(batcher.logits(rows(1), 0.01))
    await asyncio.to_thread(engine.begun.wait, SOON)
    with pytest.raises(Refused, match=r"waited longer than 0\.01 s") as late:
        await batcher.logits(rows(2), 0.01)
    assert (late.value.status, batcher.waiting) == (503, 0)
    engine.gate.set()
    assert (await first)[0, 0] == 2
    batcher.close()
    assert engine.calls == [[1]]


async def test_a_caller_that_goes_takes_its_samples_with_it(engine):
    batcher = Batcher(engine, 4, 4)
    first = await blocked(engine, batcher)
    gone, stays = await begun(batcher.logits(rows(2), SOON), batcher.logits(rows(3), SOON))
    gone.cancel()
    await asyncio.sleep(0)
    assert batcher.waiting == 1
    engine.gate.set()
    await asyncio.gather(first, stays)
    batcher.close()
    assert engine.calls == [[1], [3]]


async def test_an_engine_that_fails_fails_its_requests_and_serves_the_next(engine):
    batcher = Batcher(engine, 4, 4)
    with pytest.raises(JobFailed, match="negative"):
        await batcher.logits(rows(-1), SOON)
    assert (await batcher.logits(rows(1), SOON))[0, 0] == 2
    batcher.close()


async def test_closing_runs_what_is_queued(engine):
    batcher = Batcher(engine, 1, 4)
    first = await blocked(engine, batcher)
    others = await begun(batcher.logits(rows(2), SOON), batcher.logits(rows(3), SOON))
    engine.gate.set()
    await asyncio.to_thread(batcher.close)
    await asyncio.gather(first, *others)
    assert engine.calls == [[1], [2], [3]]
