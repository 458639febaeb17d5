"""One call for a whole simulation: connects, lets subscribers live or load run, disconnects, and says what happened.

Owns what the options mean together and the words of what can go wrong at the start. Refuses to know terminals.

    result = await simulate(SimulateOptions(port=3868, subscribers=100, duration_s=30))
"""

import time
from collections import Counter

import msgspec

from aiodiameter.errors import PeerGone, PeerRefused
from aiodiameter.identity import Identity
from aiodiameter.settings import NodeSettings

from .behaviour import Behaviour
from .figures import LoadResult, OnFigures, SimulationResult
from .fleet import Fleet
from .gateway import STYLES, Pgw
from .load import LoadFailed, close_sessions, open_sessions, run_closed_loop, run_open_loop, sessions_for
from .load_connection import LoadConnection, open_connection
from .subscribers import Subscriber, UsageModel, make_subscribers

TX_S = 10.0
"""RFC 8506 §13."""
TX_WITH_DROPS_S = 1.0
"""Where answers are dropped on purpose it is known that they do not come: nobody wants to watch the waiting."""

NODE_SETTINGS = NodeSettings(reconnect_s=1.0, watchdog_reopen_answers=0)
"""A simulation is over before a gateway's own patience is: whoever restarts the server wants to see it go on."""


class SimulationFailed(Exception):
    """The simulation could not begin. The text says why, and what to do."""


class SimulateOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to simulate. With neither `rate` nor `in_flight`, subscribers use the network as people do, and requests
    come as their traffic needs them; with one of them, load is made: updates as fast as that, whatever was granted.

    Raises ValueError for options that contradict each other.
    """

    host: str = "127.0.0.1"
    port: int = 3868
    origin_host: str = "pgw.example.org"
    origin_realm: str = "example.org"
    destination_realm: str = "example.org"
    connections: int = 1
    """Each is a gateway of its own: `pgw.example.org`, `pgw-2.example.org`."""
    subscribers: int = 20
    first_msisdn: str = "491700000001"
    first_imsi: str = "001010000000001"
    seed: int = 1
    duration_s: float = 30.0
    """Real seconds, without opening and closing."""
    rate: float | None = None
    """Requests a second: open loop."""
    in_flight: int | None = None
    """Requests under way at any time: closed loop."""
    rating_groups: tuple[int, ...] = (10, 30)
    time_factor: float = 60.0
    """Virtual seconds in a real one, for usage and validity times: at 60 a minute shows an hour."""
    drop_answers: float = 0.0
    """The share of answers thrown away as if they had been lost, so that requests are repeated; below 1."""
    style: str = "3gpp"
    """`3gpp` or `open5gs`."""
    tx_s: float | None = None
    """How long an answer is waited for, in real seconds; None: 10, or 1 where answers are dropped."""

    def __post_init__(self) -> None:
        if self.rate is not None and self.in_flight is not None:
            raise ValueError("give a rate or a number of requests in flight, not both")
        if self.is_load and (self.drop_answers or self.style != "3gpp"):
            raise ValueError("load has no style and drops no answers; leave out the rate and the number in flight")
        if self.style not in STYLES:
            raise ValueError(f"there is no style {self.style!r}; the styles are {', '.join(STYLES)}")
        if not 0 <= self.drop_answers < 1:
            raise ValueError(f"{self.drop_answers} is no share of answers to drop; give 0.05 for one in twenty")
        for name in ("connections", "subscribers", "duration_s", "time_factor", "rate", "in_flight", "tx_s"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} is {value}; it has to be positive")
        if self.subscribers < self.connections:
            raise ValueError(f"{self.connections} connections need at least as many subscribers")
        if not self.rating_groups:
            raise ValueError("give at least one rating group")

    @property
    def is_load(self) -> bool:
        return self.rate is not None or self.in_flight is not None


async def simulate(
    options: SimulateOptions, on_figures: OnFigures | None = None, interval_s: float = 0.5
) -> SimulationResult:
    """Runs a simulation to its end. `on_figures` is called every `interval_s`.

    Raises SimulationFailed when the server cannot be reached, refuses us, or opens no session for load; ValueError for
    numbers that do not suffice for the subscribers.
    """
    subscribers = make_subscribers(options.subscribers, options.first_msisdn, options.first_imsi)
    if options.is_load:
        return await _load(options, subscribers, on_figures, interval_s)
    return await _live(options, subscribers, on_figures, interval_s)


def _identities(options: SimulateOptions) -> list[Identity]:
    label, dot, rest = options.origin_host.partition(".")
    hosts = [options.origin_host, *(f"{label}-{n}{dot}{rest}" for n in range(2, options.connections + 1))]
    boot = int(time.time())
    return [
        Identity(host=host, realm=options.origin_realm, product_name="Octroi PGW simulator", origin_state_id=boot)
        for host in hosts
    ]


def _explain(error: PeerGone | PeerRefused, options: SimulateOptions) -> SimulationFailed:
    where = f"{options.host}:{options.port}"
    if isinstance(error, PeerRefused):
        return SimulationFailed(
            f"the server at {where} does not take {options.origin_host} as a peer: {error}. Name that peer in the "
            "server's configuration, or give the Origin-Host and realm that it knows."
        )
    reason = str(error).removeprefix(f"{where} cannot be reached: ")
    return SimulationFailed(
        f"no Diameter server answers at {where} ({reason}). Start one there first, for example with: ocs serve --dev"
    )


async def _live(
    options: SimulateOptions, subscribers: list[Subscriber], on_figures: OnFigures | None, interval_s: float
) -> SimulationResult:
    tx_s = options.tx_s or (TX_WITH_DROPS_S if options.drop_answers else TX_S)
    fleet = Fleet(
        [
            Pgw(
                identity,
                options.destination_realm,
                subscribers[place :: options.connections],
                model=UsageModel(rating_groups=options.rating_groups),
                seed=options.seed,
                style=options.style,
                behaviour=Behaviour(tx_s=tx_s),
                time_factor=options.time_factor,
                drop_answers=options.drop_answers,
                settings=NODE_SETTINGS,
            )
            for place, identity in enumerate(_identities(options))
        ]
    )
    try:
        try:
            await fleet.connect(options.host, options.port)
        except (PeerGone, PeerRefused) as error:
            raise _explain(error, options) from error
        return await fleet.run(options.duration_s, on_figures, interval_s)
    finally:
        await fleet.close()


async def _load(
    options: SimulateOptions, subscribers: list[Subscriber], on_figures: OnFigures | None, interval_s: float
) -> SimulationResult:
    connections: list[LoadConnection] = []
    try:
        try:
            for identity in _identities(options):
                connection = await open_connection(options.host, options.port, identity)
                connections.append(connection)
            factory = sessions_for(
                subscribers,
                connections,
                options.destination_realm,
                options.rating_groups,
                run=int(time.time() * 1000) % 2**32,
            )
            opening = await open_sessions(connections, factory, on_figures=on_figures, interval_s=interval_s)
        except LoadFailed as error:
            last = subscribers[-1]
            raise SimulationFailed(
                f"{error}. The server has to know the subscribers {options.first_msisdn} to {last.msisdn} (IMSI "
                f"{options.first_imsi} to {last.imsi}), and they need a balance for rating group "
                f"{' or '.join(map(str, options.rating_groups))}."
            ) from error
        except (PeerGone, PeerRefused) as error:
            raise _explain(error, options) from error
        if options.rate is not None:
            measured = await run_open_loop(
                connections, rate=options.rate, seconds=options.duration_s, on_figures=on_figures, interval_s=interval_s
            )
        else:
            measured = await run_closed_loop(
                connections,
                in_flight=options.in_flight or 1,
                seconds=options.duration_s,
                on_figures=on_figures,
                interval_s=interval_s,
            )
        runs = [opening, measured]
        if any(connection.is_open for connection in connections):
            runs.append(await close_sessions(connections, on_figures=on_figures, interval_s=interval_s))
        return _load_result(options, runs, measured)
    finally:
        for connection in connections:
            await connection.close()


def _load_result(options: SimulateOptions, runs: list[LoadResult], measured: LoadResult) -> SimulationResult:
    answers: Counter[tuple[str, int]] = Counter()
    errors: Counter[str] = Counter()
    for run in runs:
        answers.update(run.answers)
        errors.update(run.errors)
        if run.unanswered:
            errors["no answer"] += run.unanswered
    return SimulationResult(
        mode="closed loop" if options.rate is None else "open loop",
        seconds=measured.seconds,
        requests=measured.requests,
        per_second=measured.per_second,
        latency=measured.latency,
        answers=answers,
        sessions=runs[0].requests,
        endings=Counter({"released": runs[-1].requests} if len(runs) > 2 else {}),
        retransmissions=0,
        answers_dropped=0,
        errors=errors,
        octets_granted=None,
        octets_passed=measured.octets_used,
        octets_reported=measured.octets_used,
        octets_dropped=0,
        octets_free=0,
        books={},
        load=measured,
    )
