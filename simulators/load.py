"""Load: as many credit-control requests as asked for, and how long their answers took.

    connections = [await open_connection(host, port, identity) for identity in identities]
    result = await run_closed_loop(connections, sessions_factory, in_flight=16, seconds=10)
    result = await run_open_loop(connections, rate=5000, seconds=10)    # the sessions are open already
    await close_sessions(connections)

Owns what belongs to a measurement around its run: sessions are opened before, and closed after. Each run is bounded in
time. The open loop measures from the moment at which a request was to be sent, so that a slow server is charged for the
queue that it causes; so is a slow generator, whose own share `LoadResult.lag` shows.
"""

from collections import Counter
from collections.abc import Callable, Sequence

from aiodiameter.errors import PeerGone
from aiodiameter.messages.credit_control import CcRequestType
from aiodiameter.result_codes import ResultCode

from .ccr import CcrWriter, Endpoint
from .figures import LoadResult, OnFigures
from .load_connection import LoadConnection, open_connection
from .load_run import ClosedLoop, LoadRun, OpenLoop
from .load_session import LoadSession
from .subscribers import Subscriber

__all__ = [
    "LoadConnection", "LoadFailed", "LoadResult", "SessionsFactory", "close_sessions", "open_connection",
    "open_sessions", "run_closed_loop", "run_open_loop", "sessions_for",
]  # fmt: skip

LONGEST_S = 600.0
"""The longest run: whoever wants more has forgotten to say how much."""
OPENING_IN_FLIGHT = 64
"""While sessions are opened and closed."""
USED_OCTETS = 65_536
"""What each update reports of each rating group: 64 KiB."""

SessionsFactory = Callable[[LoadConnection], list[LoadSession]]
"""The sessions of a connection, not opened yet."""


class LoadFailed(Exception):
    """There is nothing to measure: no session was opened. The text says what was answered."""


def sessions_for(
    subscribers: Sequence[Subscriber],
    connections: Sequence[LoadConnection],
    destination_realm: str,
    rating_groups: tuple[int, ...] = (10, 30),
    *,
    used_octets: int = USED_OCTETS,
    run: int = 1,
) -> SessionsFactory:
    """A factory that gives each connection its part of the subscribers, with one session each. `run` makes the
    Session-Ids differ from those of another run against the same server.
    """

    def make(connection: LoadConnection) -> list[LoadSession]:
        identity = connection.identity
        endpoint = Endpoint(
            origin_host=identity.host,
            origin_realm=identity.realm,
            destination_realm=destination_realm,
            origin_state_id=identity.origin_state_id,
        )
        place = list(connections).index(connection)
        return [
            LoadSession(
                CcrWriter(
                    endpoint,
                    subscriber.bearer(0),
                    f"{identity.host};{run};{subscriber.index};load",
                    requested=used_octets,
                ),
                rating_groups,
                used_octets,
            )
            for subscriber in subscribers[place :: len(connections)]
        ]

    return make


async def open_sessions(
    connections: Sequence[LoadConnection],
    sessions_factory: SessionsFactory,
    *,
    on_figures: OnFigures | None = None,
    interval_s: float = 0.5,
) -> LoadResult:
    """Gives connections their sessions, unless they have some, and opens those that are not open.

    Raises LoadFailed when not one could be opened, PeerGone when no connection is left.
    """
    for connection in connections:
        if not connection.sessions:
            connection.sessions = sessions_factory(connection)
    run = ClosedLoop(
        connections, CcRequestType.INITIAL_REQUEST, LONGEST_S, "opening sessions", in_flight=OPENING_IN_FLIGHT
    )
    result = await _go(run, on_figures, interval_s)
    if not result.sessions:
        raise LoadFailed(f"no session could be opened: {describe(result)}")
    return result


def describe(result: LoadResult) -> str:
    """What went wrong in a run, in a few words."""
    codes: Counter[int] = Counter()
    for (_, code), count in result.answers.items():
        if code != ResultCode.SUCCESS:
            codes[code] += count
    parts = [f"{count} x {_code_name(code)}" for code, count in codes.most_common(3)]
    if result.unanswered:
        parts.append(f"{result.unanswered} x no answer")
    return ", ".join(parts) or "there was none to open"


def _code_name(code: int) -> str:
    return f"{code} {ResultCode(code).name}" if code in ResultCode.__members__.values() else str(code)


async def run_closed_loop(
    connections: Sequence[LoadConnection],
    sessions_factory: SessionsFactory | None = None,
    in_flight: int = 16,
    *,
    requests: int | None = None,
    seconds: float | None = None,
    on_figures: OnFigures | None = None,
    interval_s: float = 0.5,
) -> LoadResult:
    """Updates with `in_flight` of them under way at any time, over all connections together, until there were
    `requests` of them or `seconds` have passed; at most `LONGEST_S`. A session has one request under way, so there can
    be no more than sessions. Sessions are opened first, if there is a factory.

    Raises ValueError without any bound, LoadFailed, PeerGone.
    """
    if in_flight < 1:
        raise ValueError(f"{in_flight} requests in flight are none; give 1 or more")
    if requests is None and seconds is None:
        raise ValueError("say how many requests or how many seconds")
    if sessions_factory is not None:
        await open_sessions(connections, sessions_factory, on_figures=on_figures, interval_s=interval_s)
    run = ClosedLoop(
        connections,
        CcRequestType.UPDATE_REQUEST,
        min(LONGEST_S, LONGEST_S if seconds is None else seconds),
        f"closed loop, {in_flight} in flight",
        in_flight=in_flight,
        requests=requests,
    )
    return await _go(run, on_figures, interval_s)


async def run_open_loop(
    connections: Sequence[LoadConnection],
    sessions_factory: SessionsFactory | None = None,
    *,
    rate: float,
    seconds: float,
    on_figures: OnFigures | None = None,
    interval_s: float = 0.5,
) -> LoadResult:
    """Updates at `rate` a second, evenly spaced, over all connections together, for `seconds`; at most `LONGEST_S`.

    Latency counts from the intended moment. Raises ValueError, LoadFailed, PeerGone.
    """
    if rate <= 0 or seconds <= 0:
        raise ValueError(f"{rate} requests a second for {seconds} s are none; give positive numbers")
    if sessions_factory is not None:
        await open_sessions(connections, sessions_factory, on_figures=on_figures, interval_s=interval_s)
    run = OpenLoop(
        connections, CcRequestType.UPDATE_REQUEST, min(LONGEST_S, seconds), f"open loop, {rate:g}/s", rate=rate
    )
    return await _go(run, on_figures, interval_s)


async def close_sessions(
    connections: Sequence[LoadConnection], *, on_figures: OnFigures | None = None, interval_s: float = 0.5
) -> LoadResult:
    """Ends all open sessions with a CCR-T each. Raises PeerGone."""
    run = ClosedLoop(
        connections, CcRequestType.TERMINATION_REQUEST, LONGEST_S, "closing sessions", in_flight=OPENING_IN_FLIGHT
    )
    return await _go(run, on_figures, interval_s)


async def _go(run: LoadRun, on_figures: OnFigures | None, interval_s: float) -> LoadResult:
    if not run.connections:
        raise PeerGone("no connection is open")
    return await run.go(on_figures, interval_s)
