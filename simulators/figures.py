"""What a simulation says of itself, while it runs and at its end. Plain data: whoever runs it makes it, whoever looks
shows it.
"""

from collections import Counter
from collections.abc import Callable

import msgspec

from .books import Books
from .latency import LatencySummary

REQUEST_NAMES = {1: "initial", 2: "update", 3: "termination", 4: "event"}
"""CC-Request-Type (RFC 8506 §8.3), in words."""

Answers = Counter[tuple[str, int]]
"""By (request type in words, Result-Code)."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Everything is counted from the beginning."""

    phase: str = ""
    """What is being done just now, in a few words."""
    elapsed_s: float = 0.0
    duration_s: float | None = None
    """How long the phase will take, if that is known."""
    requests: int = 0
    """Answers received."""
    latency: LatencySummary = LatencySummary()
    sessions_open: int = 0
    answers: Answers = msgspec.field(default_factory=Counter)
    retransmissions: int = 0
    unanswered: int = 0
    octets_granted: int = 0
    octets_used: int = 0


OnFigures = Callable[[Figures], None]


class LoadResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one run measured."""

    requests: int
    """Answers received."""
    seconds: float
    """From the beginning to the last answer."""
    per_second: float
    latency: LatencySummary
    lag: LatencySummary
    """Of the open loop: how late the generator itself saw that a request was due. It is part of `latency`. That a
    request then had to wait for an idle session is the server's doing.
    """
    answers: Answers
    without_grant: int
    """Updates answered with success whose answer did not grant every rating group."""
    unanswered: int
    """Requests that had no answer when the run ended, or whose connection was lost."""
    errors: dict[str, int]
    """What went wrong besides, by kind."""
    sessions: int
    """Open at the end."""
    octets_used: int
    """Reported in updates that were answered with success."""
    cpu_s: float
    """Of this process, during the run."""
    cpu_us_per_request: float


class SimulationResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a whole simulation did."""

    mode: str
    """`subscribers`, `closed loop` or `open loop`."""
    seconds: float
    requests: int
    """Answers received."""
    per_second: float
    latency: LatencySummary
    answers: Answers
    sessions: int
    """That were started."""
    endings: Counter[str]
    """How sessions ended: `released`, `refused 4012`, `no answer`."""
    retransmissions: int
    answers_dropped: int
    """On purpose."""
    errors: Counter[str]
    """Answers that did not come or could not be read, by kind."""
    octets_granted: int | None
    """None: load does not read it."""
    octets_passed: int
    """Under credit control."""
    octets_reported: int
    octets_dropped: int
    """Refused traffic."""
    octets_free: int
    """Passed without credit control."""
    books: dict[str, Books]
    """By MSISDN, to be held against the server's balances; of simulated subscribers only."""
    load: LoadResult | None = None
    """Of the measured run, for load."""
