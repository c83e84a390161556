"""Opportunistic batching: a thread runs everything that is queued, up to a limit, and never waits for more."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from kdlab.serving.model import Rows
from kdlab.serving.refusals import too_busy, too_late

Run = Callable[[Rows], Rows]
Observe = Callable[[int, float, Sequence[float]], None]


@dataclass(eq=False, repr=False)
class Ticket:
    """Rows that wait for the engine.

    Attributes:
        rows: inputs `(samples, …)`.
        future: gets their logits; it belongs to `loop`.
        queued: when, by `time.perf_counter`.
        waits: whether it is still in the queue.
    """

    rows: Rows
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Rows]"
    queued: float = field(default_factory=time.perf_counter)
    waits: bool = True


class Batcher:
    """The queue of one engine, and the thread that runs it.

    Args:
        run: the engine: from inputs to logits.
        max_batch: samples of one call at most.
        queue: samples that may wait.
        observe: is called after each call with its samples, its seconds, and the seconds that each ticket waited.
    """

    def __init__(
        self, run: Run, max_batch: int, queue: int, observe: Observe = lambda samples, seconds, waits: None
    ) -> None:
        self.max_batch, self.queue = max_batch, queue
        self.samples_per_second = 0.0  # as measured at warm-up; says when to come back
        self._run, self._observe = run, observe
        self._tickets: deque[Ticket] = deque()
        self._waiting = 0  # samples
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Samples in the queue."""
        return self._waiting

    async def logits(self, rows: Rows, timeout_s: float) -> Rows:
        """The logits of inputs; a caller that is cancelled takes them out of the queue.

        Args:
            rows: `(samples, …)`, no more than `max_batch`.
            timeout_s: that they may wait for their turn; a call that has begun ends.

        Raises:
            Refused: the queue is full, or the turn did not come in time.
            JobFailed: the engine fails.
        """
        ticket = self._submit(rows)
        timer = ticket.loop.call_later(timeout_s, self._expire, ticket, timeout_s)
        try:
            return await ticket.future
        finally:
            timer.cancel()
            self._withdraw(ticket)

    def close(self) -> None:
        """Runs what is queued, and ends the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _submit(self, rows: Rows) -> Ticket:
        loop = asyncio.get_running_loop()
        ticket = Ticket(rows, loop, loop.create_future())
        with self._changed:
            if self._waiting + len(rows) > self.queue:
                seconds = round(self._waiting / self.samples_per_second) if self.samples_per_second else 1
                raise too_busy(f"{self._waiting} samples are waiting, of at most {self.queue}; try again", seconds)
            self._tickets.append(ticket)
            self._waiting += len(rows)
            self._changed.notify()
        return ticket

    def _expire(self, ticket: Ticket, timeout_s: float) -> None:
        if self._withdraw(ticket) and not ticket.future.done():
            ticket.future.set_exception(too_late(timeout_s))

    def _withdraw(self, ticket: Ticket) -> bool:
        """Takes a ticket out of the queue; False where it is not in it any more."""
        with self._changed:
            if not ticket.waits:
                return False
            ticket.waits = False
            self._tickets.remove(ticket)
            self._waiting -= len(ticket.rows)
            return True

    def _work(self) -> None:
        while tickets := self._taken():
            started = time.perf_counter()
            found: Rows | Exception
            try:
                rows = tickets[0].rows if len(tickets) == 1 else np.concatenate([one.rows for one in tickets])
                found = self._run(rows)
            except Exception as error:  # of the engine: the thread goes on
                found = error
            seconds, samples = time.perf_counter() - started, sum(len(one.rows) for one in tickets)
            self._observe(samples, seconds, [started - one.queued for one in tickets])
            _deliver(tickets, found)

    def _taken(self) -> list[Ticket]:
        """Waits for a ticket, and takes those that fit into one call; none where the queue is closed and empty."""
        with self._changed:
            while not self._tickets and not self._closing:
                self._changed.wait()
            taken: list[Ticket] = []
            samples = 0
            while self._tickets and (not taken or samples + len(self._tickets[0].rows) <= self.max_batch):
                taken.append(self._tickets.popleft())
                taken[-1].waits = False
                samples += len(taken[-1].rows)
            self._waiting -= samples
            return taken


def _deliver(tickets: Sequence[Ticket], found: Rows | Exception) -> None:
    """One call into the event loop of the server, however many tickets there are."""
    results, at = [], 0
    for ticket in tickets:
        size = len(ticket.rows)
        results.append((ticket, found if isinstance(found, Exception) else found[at : at + size]))
        at += size
    loop = tickets[0].loop
    if not loop.is_closed():
        loop.call_soon_threadsafe(_resolve, results)


def _resolve(results: Sequence[tuple[Ticket, Rows | Exception]]) -> None:
    for ticket, found in results:
        if ticket.future.done():  # its caller has gone
            continue
        if isinstance(found, Exception):
            ticket.future.set_exception(found)
        else:
            ticket.future.set_result(found)
