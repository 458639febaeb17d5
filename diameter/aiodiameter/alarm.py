"""One timer for many deadlines. Knows no deadline: its owner looks at each arrival what is due, and sets it again."""

import asyncio
from collections.abc import Callable, Iterable


class Alarm:
    """Calls `ring` at the time asked for or before, and then sleeps until it is set again.

    A deadline that moves away costs nothing: the timer is left alone, rings early, and is set again. That is what
    happens to a watchdog with every message.
    """

    __slots__ = ("_at", "_loop", "_ring", "timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self.timer: asyncio.Handle | None = None
        """What is running, if anything."""
        self._at = 0.0
        """When it rings. The timer itself cannot be asked: under uvloop one that is due at once has no `when`."""

    def set(self, deadlines: Iterable[float | None]) -> None:
        """Ring at the earliest of these times (of the loop's clock), or before."""
        at = min((deadline for deadline in deadlines if deadline is not None), default=None)
        if at is None:
            return
        if self.timer is not None:
            if self._at <= at:
                return
            self.timer.cancel()
        self._at = at
        self.timer = self._loop.call_at(at, self._on_timer)

    def cancel(self) -> None:
        """Never ring again, unless set again."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _on_timer(self) -> None:
        self.timer = None
        self._ring()
