"""What all connections of one node share: identity, applications, handlers, peers, counters, and who is let in.

Owns no socket and starts no connection. The clock and the random numbers of the node are read here and in the
connections, nowhere below.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import structlog

from .capabilities import Verdict, judge_cer
from .codec import Registry
from .counters import NodeCounters
from .errors import AvpError
from .identity import Application, Identity
from .log_budget import LogBudget
from .message import Answer, Request
from .messages.base import BASE_MESSAGES, CapabilitiesExchangeRequest
from .peer import Peer
from .peer_table import PeerTable
from .result_codes import ResultCode
from .routes import Addressee, Handler, Route
from .settings import NodeSettings
from .watchdog import Event as WatchdogEvent
from .watchdog import Watchdog

Admit = Callable[[CapabilitiesExchangeRequest, tuple[str, int]], bool | ResultCode]
"""Whether a peer that connected may be one of ours: its CER and its address to True, False (3010) or a Result-Code."""
Observer = Callable[[Peer], None]

_ADMITTED: dict[bool | ResultCode, ResultCode] = {True: ResultCode.SUCCESS, False: ResultCode.UNKNOWN_PEER}
_32_BITS = 0xFFFFFFFF


async def _wait_for(outcome: Awaitable[Answer]) -> Answer:
    return await outcome


class Context:
    """Made by the node, used by its connections."""

    def __init__(
        self,
        identity: Identity,
        applications: tuple[Application, ...],
        settings: NodeSettings,
        admit: Admit | None,
    ) -> None:
        self.identity = identity
        self.applications = applications
        self.settings = settings
        self.log = structlog.get_logger("aiodiameter")
        self.registry = Registry(*BASE_MESSAGES, *(message for app in applications for message in app.messages))
        self.routes: dict[type, Route] = {}
        self.peers = PeerTable(self._new_watchdog, settings.max_known_peers)
        self.counters = NodeCounters()
        self.log_budget = LogBudget()
        """For connections that belong to no peer yet."""
        self.tasks: set[asyncio.Task[Answer]] = set()
        """Coroutines of handlers."""
        self.observers: list[Observer] = []
        self.closing = False
        self._drained: asyncio.Future[None] | None = None
        self._inbound = 0
        """Accepted connections that exist."""
        self._admit = admit
        realms = frozenset((identity.realm,)) if settings.served_realms is None else settings.served_realms
        self._addressee = Addressee(identity.host, realms, settings.any_destination_host)
        # §3: the clock's low 12 bits on top, then a random number, so that a restart does not repeat identifiers.
        self._end_to_end = (int(time.time()) & 0xFFF) << 20 | random.getrandbits(20)

    def _new_watchdog(self) -> Watchdog:
        settings = self.settings
        return Watchdog(
            settings.watchdog_interval_s,
            jitter=lambda: random.uniform(-settings.watchdog_jitter_s, settings.watchdog_jitter_s),
            reopen_answers=settings.watchdog_reopen_answers,
            allow_short=settings.allow_short_watchdog,
        )

    def add_route(self, request_class: type[Request], handler: Handler) -> None:
        """Sends requests of a class to a handler. Raises ValueError for a class of no application of ours."""
        if not any(request_class in application.messages for application in self.applications):
            raise ValueError(f"{request_class.__name__} belongs to no application of this node")
        self.routes[request_class] = Route(request_class, handler, self._addressee)

    def random_32_bits(self) -> int:
        """Where a connection's Hop-by-Hop Identifiers begin (§3)."""
        return random.getrandbits(32)

    def next_end_to_end(self) -> int:
        """A new End-to-End Identifier (§3)."""
        self._end_to_end = (self._end_to_end + 1) & _32_BITS
        return self._end_to_end

    def judge(
        self, cer: CapabilitiesExchangeRequest, faults: list[AvpError], remote_address: tuple[str, int]
    ) -> Verdict:
        """What a first CER is answered with: what it says, who may come, and who is here already (§5.3, §5.6)."""
        if not faults:
            refusal = self._ask_admit(cer, remote_address)
            if refusal is not None:
                return refusal
        verdict = judge_cer(cer, faults, self.identity, self.applications)
        if verdict.is_success and self.is_connected(cer.origin_host):
            return self.already_connected(cer.origin_host)
        return verdict

    def is_connected(self, origin_host: str) -> bool:
        """Whether that identity has a connection that is open or departing."""
        peer = self.peers.find(origin_host)
        return peer is not None and peer.connection is not None

    def already_connected(self, origin_host: str) -> Verdict:
        """The verdict on a second connection of one identity: the first one stays, and is asked whether it lives."""
        peer = self.peers.find(origin_host)
        if peer is not None and peer.connection is not None:
            peer.connection.tell_watchdog(WatchdogEvent.QUESTIONED)
        return Verdict(ResultCode.ELECTION_LOST, "already-connected", f"{origin_host} is connected already")

    def _ask_admit(self, cer: CapabilitiesExchangeRequest, remote_address: tuple[str, int]) -> Verdict | None:
        try:
            welcome = self._admit(cer, remote_address) if self._admit is not None else False
            code = _ADMITTED.get(welcome) or ResultCode(welcome)
        except Exception:
            self.log.exception("admission failed", peer=cer.origin_host, address=remote_address)
            return Verdict(ResultCode.UNABLE_TO_COMPLY, "admission-failed", "the peer table cannot be read")
        if code.is_success:
            return None
        if code is ResultCode.UNKNOWN_PEER:
            return Verdict(code, "unknown-peer", f"{cer.origin_host} is not a known peer")
        return Verdict(code, "not-admitted", f"{cer.origin_host} may not connect now")

    def spawn(self, outcome: Awaitable[Answer]) -> asyncio.Task[Answer]:
        """What a handler wants to have awaited, as a task that `Node.close` knows of."""
        task = asyncio.get_running_loop().create_task(_wait_for(outcome))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def count_in(self) -> str | None:
        """One more connection was accepted; the answer is why it cannot stay."""
        self._inbound += 1
        self.counters.accepted += 1
        if self.closing:
            return "node-closing"
        return "too-many-connections" if self._inbound > self.settings.max_connections else None

    def count_out(self) -> None:
        """An accepted connection has ended."""
        self._inbound -= 1

    @property
    def in_flight(self) -> int:
        """Requests received, from whatever peer, whose answer is not written yet."""
        return sum(peer.in_flight for peer in self.peers)

    async def drain(self) -> None:
        """Wait until nothing is in flight, at most `drain_s`."""
        if self.in_flight:
            self._drained = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._drained], timeout=self.settings.drain_s)

    def answered(self) -> None:
        """A peer has got all its answers, or has gone."""
        if self._drained is not None and not self._drained.done() and not self.in_flight:
            self._drained.set_result(None)

    def changed(self, peer: Peer) -> None:
        """Tells the observers that a peer's state has changed."""
        for observer in self.observers:
            try:
                observer(peer)
            except Exception:
                self.log.exception("observer failed", peer=peer.origin_host)
