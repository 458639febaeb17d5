"""What will happen when, in virtual time that runs at a multiple of real time; run by the event loop.

Owns the clock and the order of events. Refuses to know what events do. One timer, for the event that comes first.
"""

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable

Event = Callable[[float], None]
"""Called with the virtual time at which it really happens: never before its own, and late when the machine is."""

BATCH = 500
"""Events handled before the loop gets its turn again, when the schedule is behind."""


class Schedule:
    """`factor`: virtual seconds in a real one."""

    def __init__(self, factor: float) -> None:
        if factor <= 0:
            raise ValueError(f"time cannot pass {factor} times as fast; give a positive number")
        self.factor = factor
        self.epoch = 0.0
        """The virtual time at which `begin` was called, in seconds since 1970: the real time."""
        self._began = 0.0
        self._heap: list[tuple[float, int, Event]] = []
        self._ordinals = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._finished: asyncio.Future[None] | None = None

    def begin(self) -> None:
        """Starts the clock."""
        self.epoch, self._began = time.time(), asyncio.get_running_loop().time()

    def now(self) -> float:
        """Virtual time, in seconds since 1970."""
        return self.epoch + (asyncio.get_running_loop().time() - self._began) * self.factor

    def at(self, when: float, event: Event) -> None:
        """Has an event happen at a virtual time."""
        heapq.heappush(self._heap, (when, next(self._ordinals), event))
        if self._heap[0][0] == when:
            self._arm()

    def clear(self) -> None:
        """Nothing that was planned will happen."""
        self._heap.clear()

    async def play(self, limit_s: float) -> None:
        """Lets events happen for that many real seconds, or until `finish`. Raises what an event raises."""
        loop = asyncio.get_running_loop()
        self._finished = loop.create_future()
        self._arm()
        try:
            await asyncio.wait([self._finished], timeout=limit_s)
            if self._finished.done():
                self._finished.result()
        finally:
            self._finished.cancel()
            self._arm()

    def finish(self) -> None:
        """Ends `play` before its time."""
        if self._finished is not None and not self._finished.done():
            self._finished.set_result(None)

    def fail(self, error: Exception) -> None:
        """Ends `play` with an error."""
        if self._finished is not None and not self._finished.done():
            self._finished.set_exception(error)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap and self._finished is not None and not self._finished.done():
            due = self._began + (self._heap[0][0] - self.epoch) / self.factor
            self._timer = asyncio.get_running_loop().call_at(due, self._happen)

    def _happen(self) -> None:
        self._timer = None
        now = self.now()
        try:
            for _ in range(BATCH):
                if not self._heap or self._heap[0][0] > now:
                    break
                heapq.heappop(self._heap)[2](now)
        except Exception as error:  # noqa: BLE001, RUF100 - it belongs to whoever awaits `play`
            self.fail(error)
        self._arm()
