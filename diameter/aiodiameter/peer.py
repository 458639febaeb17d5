"""A peer: who it is, how it is doing, what has been counted of it. Outlives its connections."""

import asyncio
from typing import TYPE_CHECKING

from .counters import PeerCounters
from .errors import PeerGone
from .message import Answer, Request
from .peer_machine import State
from .watchdog import State as WatchdogState
from .watchdog import Watchdog

if TYPE_CHECKING:
    from .connection import Connection


class Peer:
    """What is known of one Diameter identity. Read-only for users of the node.

    `watchdog` and `counters` belong to the identity and survive its connections; the rest is what the peer said in the
    capabilities exchange of its latest connection.
    """

    def __init__(self, origin_host: str, watchdog: Watchdog) -> None:
        self.origin_host = origin_host
        self.origin_realm = ""
        self.product_name = ""
        self.vendor_id = 0
        self.origin_state_id: int | None = None
        """Grows when the peer has lost its sessions (RFC 6733 §8.16)."""
        self.applications: frozenset[int] = frozenset()
        """Ids of the applications that both sides speak."""
        self.remote_address: tuple[str, int] | None = None
        """Where the latest connection comes from; has nothing to do with the peer's Host-IP-Address."""
        self.counters = PeerCounters()
        self.watchdog = watchdog
        self.connection: Connection | None = None
        """The one connection that is open or departing; internal."""

    def __repr__(self) -> str:
        return f"<Peer {self.origin_host} {self.state.name} {self.watchdog_state.name}>"

    @property
    def state(self) -> State:
        """RFC 6733 §5.6; CLOSED while there is no connection."""
        return State.CLOSED if self.connection is None else self.connection.machine.state

    @property
    def watchdog_state(self) -> WatchdogState:
        """RFC 3539 §3.4.1."""
        return self.watchdog.state

    @property
    def is_usable(self) -> bool:
        """Whether requests may be sent to it now: open, and OKAY for the watchdog."""
        return self.state.is_open and self.watchdog.usable

    @property
    def in_flight(self) -> int:
        """Requests received from it that have no answer yet."""
        return 0 if self.connection is None or self.connection.exchange is None else self.connection.exchange.in_flight

    @property
    def outstanding(self) -> int:
        """Requests sent to it that have no answer yet."""
        if self.connection is None or self.connection.exchange is None:
            return 0
        return len(self.connection.exchange.pending)

    def start(self, request: Request, timeout_s: float) -> "asyncio.Future[Answer]":
        """Send a request now; the future gets the answer. Raises PeerGone when the peer cannot be used."""
        if self.connection is None or self.connection.exchange is None:
            raise PeerGone(f"{self.origin_host} is not connected")
        if not self.is_usable:
            raise PeerGone(f"{self.origin_host} is {self.state.name} and {self.watchdog_state.name}: no new requests")
        return self.connection.exchange.start(request, timeout_s)
