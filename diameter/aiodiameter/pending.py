"""Requests of ours that wait for their answers on one connection, by Hop-by-Hop Identifier (RFC 6733 §3, §6.2.1).

Owns the identifiers and the matching of answers. Refuses to know sockets and clocks: `now` comes in.
"""

import asyncio
from typing import NamedTuple

from .errors import PeerError
from .header import Header
from .message import Answer, ErrorAnswer

_32_BITS = 0xFFFFFFFF


class PeerBusy(PeerError):
    """As many requests as the settings allow already wait for this peer's answers."""


class BadAnswer(PeerError):
    """The answer came and does not follow its grammar. What could be read of it is in `answer`."""

    def __init__(self, text: str, answer: Answer | None) -> None:
        super().__init__(text)
        self.answer = answer


class _Waiting(NamedTuple):
    command_code: int
    end_to_end: int
    deadline: float
    future: "asyncio.Future[Answer]"


class PendingRequests:
    """The outstanding requests of one connection. `first_id` is any number: the first Hop-by-Hop Identifier."""

    __slots__ = ("_last_id", "_limit", "_waiting")

    def __init__(self, first_id: int, limit: int) -> None:
        self._last_id = first_id - 1
        self._limit = limit
        self._waiting: dict[int, _Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def new_id(self) -> int:
        """A Hop-by-Hop Identifier that no outstanding request uses; grows monotonically and wraps (§3)."""
        while True:
            self._last_id = (self._last_id + 1) & _32_BITS
            if self._last_id not in self._waiting:
                return self._last_id

    def add(self, header: Header, deadline: float, future: "asyncio.Future[Answer]") -> None:
        """Note a request under its `hop_by_hop`. Raises PeerBusy at the limit."""
        if len(self._waiting) >= self._limit:
            raise PeerBusy(f"{self._limit} requests wait for answers already")
        self._waiting[header.hop_by_hop] = _Waiting(header.command_code, header.end_to_end, deadline, future)

    def take(self, header: Header) -> "asyncio.Future[Answer] | None":
        """The future that waits for the answer with this header; None if there is none (any more)."""
        waiting = self._waiting.get(header.hop_by_hop)
        if waiting is None or waiting.command_code != header.command_code or waiting.end_to_end != header.end_to_end:
            return None
        del self._waiting[header.hop_by_hop]
        return None if waiting.future.done() else waiting.future

    def expire(self, now: float) -> list["asyncio.Future[Answer]"]:
        """Forget requests whose deadline has passed or whose caller has gone; return the former's futures."""
        over = [key for key, waiting in self._waiting.items() if waiting.deadline <= now or waiting.future.done()]
        futures = [self._waiting.pop(key).future for key in over]
        return [future for future in futures if not future.done()]

    def drop_all(self) -> list["asyncio.Future[Answer]"]:
        """Forget everything; return the futures that still wait."""
        futures = [waiting.future for waiting in self._waiting.values() if not waiting.future.done()]
        self._waiting.clear()
        return futures


def settle(future: "asyncio.Future[Answer]", answer: Answer | None, fault: str | None) -> None:
    """Give a caller its answer. A fault in an answer cannot be answered (§7): the caller gets BadAnswer.

    An answer with the E bit has the grammar of §7.2 and is delivered as the ErrorAnswer that it is, faults or not.
    """
    if answer is not None and (fault is None or isinstance(answer, ErrorAnswer)):
        future.set_result(answer)
    else:
        future.set_exception(BadAnswer(fault or "an answer of unknown form", answer))
