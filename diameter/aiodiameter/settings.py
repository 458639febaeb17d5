"""Every timer and limit of a node, each with its reason. Plain data."""

import msgspec

from .framing import DEFAULT_MAX_LENGTH
from .peer_machine import Timers
from .watchdog import JITTER_S, REOPEN_ANSWERS, TW_DEFAULT_S, TW_MINIMUM_S


class NodeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Times are in seconds, sizes in octets. Raises ValueError for what cannot work."""

    timers: Timers = Timers()
    """How long each state of a connection may last."""

    watchdog_interval_s: float = TW_DEFAULT_S
    """Twinit. RFC 3539 §3.4.1."""
    watchdog_jitter_s: float = JITTER_S
    """Half the width of the random part of Tw. RFC 3539 §3.4.1."""
    watchdog_reopen_answers: int = REOPEN_ANSWERS
    """DWAs that a peer owes after its connection failed before requests are sent to it again; 0: none."""
    allow_short_watchdog: bool = False
    """Permits an interval below RFC 3539's minimum of 6 s: for tests and development."""

    reconnect_s: float = 30.0
    """Tc, between attempts to reach a peer that `connect` keeps. RFC 6733 §2.1."""
    answer_timeout_s: float = 10.0
    """For our own requests, unless `send` says otherwise: Tx as RFC 8506 §13 recommends it."""
    sweep_s: float = 0.25
    """How often unanswered requests are looked through: one timer a connection instead of one a request."""
    drain_s: float = 5.0
    """How long `close` waits for the answers to requests already received before it sends the DPR."""

    served_realms: frozenset[str] | None = None
    """Values of Destination-Realm that are ours. None: the node's own realm. Empty: any."""

    any_destination_host: bool = False
    """Whether a request is for us whatever host it names. By RFC 6733 §6.1.4 it is not, and is answered 3002."""

    max_connections: int = 1024
    """Accepted connections at one time. Each costs a few ten kilobytes idle, and a file descriptor."""
    max_known_peers: int = 1024
    """Peers remembered while not connected, with their counters and the state of their watchdog."""
    max_in_flight: int = 4096
    """Requests of one peer that wait in handlers; the next is answered 3004. At 10,000 requests/s this is 0.4 s of
    work: a client waits longer than that, but a queue longer than that only makes late answers."""
    max_outstanding: int = 4096
    """Requests of ours that one peer has not answered yet."""
    max_message_octets: int = DEFAULT_MAX_LENGTH
    max_first_message_octets: int = 16_384
    """Before the capabilities exchange. A CER has a few hundred octets; nobody is known yet who may ask for more."""
    write_high_water_octets: int = 262_144
    """Answers that the peer has not read; above it nothing more is read from it."""
    write_stall_s: float = 30.0
    """How long a peer may leave its answers unread before it is disconnected: as long as the watchdog is patient."""
    close_linger_s: float = 5.0
    """How long a closed connection may take to deliver its last answer."""

    def __post_init__(self) -> None:
        if self.watchdog_interval_s < TW_MINIMUM_S and not self.allow_short_watchdog:
            raise ValueError(
                f"watchdog_interval_s {self.watchdog_interval_s} is below {TW_MINIMUM_S} (RFC 3539 §3.4.1)"
            )
        if not 0 <= self.watchdog_jitter_s < self.watchdog_interval_s:
            raise ValueError("watchdog_jitter_s has to be smaller than watchdog_interval_s, and not negative")
        if self.max_first_message_octets > self.max_message_octets:
            raise ValueError("max_first_message_octets is larger than max_message_octets")
        for name in ("sweep_s", "reconnect_s", "answer_timeout_s", "write_stall_s", "close_linger_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} has to be positive")
