"""A PGW with its subscribers on real Diameter connections, in real or accelerated time.

Owns what subscribers do when, which server a session talks to, and the counting. How one session behaves is `pgw`; how
time passes is `schedule`; how connections are kept is `aiodiameter.node`.

Usage, validity times and retry times run in virtual time. Tx stays in real time: the server is not accelerated.
"""

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

import msgspec

from aiodiameter.errors import DiameterError, PeerGone
from aiodiameter.identity import Application, Identity
from aiodiameter.message import Answer
from aiodiameter.messages.credit_control import (
    CREDIT_CONTROL_MESSAGES,
    CreditControlRequest,
    ReAuthAnswer,
    ReAuthRequest,
)
from aiodiameter.node import Node
from aiodiameter.peer import Peer
from aiodiameter.result_codes import ResultCode
from aiodiameter.settings import NodeSettings

from .behaviour import Action, Behaviour, Send, State
from .books import Books
from .ccr import CcrWriter, Endpoint
from .figures import REQUEST_NAMES, Answers
from .latency import Latencies
from .open5gs import Open5gsSession, Open5gsWriter
from .pgw import GySession
from .schedule import Schedule
from .subscribers import SessionPlan, Subscriber, UsageModel, plan_sessions

STYLES = ("3gpp", "open5gs")
CREDIT_CONTROL = Application(id=4, messages=CREDIT_CONTROL_MESSAGES)


class _Running(msgspec.Struct, eq=False):
    """A session under way, and whose it is."""

    subscriber: Subscriber
    session: GySession
    plan: SessionPlan
    peer: int
    """The place of its server in `Pgw.peers`."""
    next_burst: int = 0
    ticks_at: float | None = None
    """When the schedule will call its `tick`."""


class Pgw:
    """One gateway: one Diameter identity, connected to one server or several."""

    def __init__(
        self,
        identity: Identity,
        destination_realm: str,
        subscribers: Sequence[Subscriber],
        *,
        model: UsageModel | None = None,
        seed: int = 1,
        style: str = "3gpp",
        behaviour: Behaviour | None = None,
        time_factor: float = 1.0,
        drop_answers: float = 0.0,
        settings: NodeSettings | None = None,
    ) -> None:
        """`time_factor`: virtual seconds in a real one. `drop_answers`: the share of answers that are thrown away as if
        they had been lost, so that requests are repeated. `behaviour.tx_s` is in real seconds.
        """
        behaviour = behaviour or Behaviour()
        self._tx_s = behaviour.tx_s
        self._behaviour = msgspec.structs.replace(behaviour, tx_s=behaviour.tx_s * time_factor)
        self._style = style
        self._drop_answers = drop_answers
        self._drop_dice = random.Random(f"{seed}/dropped answers")
        boot = int(time.time())
        self._endpoint = Endpoint(
            origin_host=identity.host,
            origin_realm=identity.realm,
            destination_realm=destination_realm,
            origin_state_id=identity.origin_state_id,
        )
        self._session_prefix = f"{identity.host};{boot}"
        self._session_ids = itertools.count(1)
        # RFC 6733 §3: the clock's low 12 bits on top, so that a restart does not repeat identifiers.
        self._identifiers = itertools.count((boot & 0xFFF) << 20 | random.getrandbits(20))
        self._node = Node(identity, applications=[CREDIT_CONTROL], settings=settings)
        self._node.on(ReAuthRequest, self._reauthorise)
        self.peers: list[Peer] = []
        model = model or UsageModel()
        self._plans: list[tuple[Subscriber, Iterator[SessionPlan]]] = [
            (subscriber, plan_sessions(subscriber, model, seed)) for subscriber in subscribers
        ]
        self._schedule = Schedule(time_factor)
        self._running: dict[str, _Running] = {}
        self._stopping = False
        self.answers: Answers = Counter()
        self.latencies = Latencies()
        self.endings: Counter[str] = Counter()
        """Sessions that ended, by how: `released`, `refused 4012`, `no answer`."""
        self.books: dict[str, Books] = {}
        """Of the sessions that ended, by MSISDN."""
        self.closed = Books()
        """Their sum."""
        self.sessions = 0
        self.retransmissions = 0
        self.answers_dropped = 0
        self.errors: Counter[str] = Counter()
        """Answers that did not come or could not be read, by kind."""

    async def connect(self, host: str, port: int) -> Peer:
        """Connects to a server; further ones take the sessions in turn. Raises PeerGone and PeerRefused."""
        peer = await self._node.connect(host, port)
        self.peers.append(peer)
        return peer

    async def run(self, duration_s: float) -> None:
        """Lets the subscribers use the network for `duration_s` real seconds, then ends their sessions."""
        self._schedule.begin()
        for subscriber, plans in self._plans:
            self._plan_next(subscriber, plans)
        await self._schedule.play(duration_s)
        self._stopping = True
        self._schedule.clear()
        now = self._schedule.now()
        for running in list(self._running.values()):
            running.ticks_at = None
            self._act(running, running.session.stop(now), now)
        if self._running:
            # As long as a request under way and the CCR-T after it may take with all their repetitions.
            await self._schedule.play(2 * self._behaviour.tries * self._tx_s + 1)
        for running in list(self._running.values()):
            self._act(running, running.session.abandon(), self._schedule.now())

    def stop(self) -> None:
        """Ends the run before its time; its sessions end in order."""
        self._schedule.finish()

    async def close(self) -> None:
        """Disconnects."""
        await self._node.close()

    @property
    def sessions_open(self) -> int:
        return len(self._running)

    def total(self, column: str) -> int:
        """The octets in a column of the books, open sessions included."""
        open_books = (running.session.books for running in self._running.values())
        return self.closed.total(column) + sum(books.total(column) for books in open_books)

    # What subscribers do.

    def _plan_next(self, subscriber: Subscriber, plans: Iterator[SessionPlan]) -> None:
        plan = next(plans)
        self._schedule.at(self._schedule.epoch + plan.start_s, partial(self._begin, subscriber, plans, plan))

    def _begin(self, subscriber: Subscriber, plans: Iterator[SessionPlan], plan: SessionPlan, now: float) -> None:
        session_id = f"{self._session_prefix};{next(self._session_ids)};gy"
        bearer = subscriber.bearer(plan.number)
        session: GySession
        if self._style == "open5gs":
            session = Open5gsSession(
                Open5gsWriter(self._endpoint, bearer, session_id), self._new_identifier, self._behaviour
            )
        else:
            session = GySession(CcrWriter(self._endpoint, bearer, session_id), self._new_identifier, self._behaviour)
        running = _Running(subscriber, session, plan, self.sessions % len(self.peers))
        self._running[session_id] = running
        self.sessions += 1
        self._act(running, session.start(now), now)
        self._next_burst(running)
        self._schedule.at(self._schedule.epoch + plan.stop_s, partial(self._stop, running))
        self._plan_next(subscriber, plans)

    def _new_identifier(self) -> int:
        return next(self._identifiers) & 0xFFFFFFFF

    def _next_burst(self, running: _Running) -> None:
        bursts = running.plan.bursts
        if running.next_burst < len(bursts):
            self._schedule.at(self._schedule.epoch + bursts[running.next_burst].at_s, partial(self._burst, running))

    def _burst(self, running: _Running, now: float) -> None:
        if running.session.state is State.ENDED:
            return
        burst = running.plan.bursts[running.next_burst]
        running.next_burst += 1
        rating_group = None if self._style == "open5gs" else burst.rating_group
        actions = running.session.use(rating_group, now, octets_up=burst.octets_up, octets_down=burst.octets_down)
        self._act(running, actions, now)
        self._next_burst(running)

    def _stop(self, running: _Running, now: float) -> None:
        self._act(running, running.session.stop(now), now)

    def _tick(self, running: _Running, now: float) -> None:
        running.ticks_at = None
        self._act(running, running.session.tick(now), now)

    # What sessions want.

    def _act(self, running: _Running, actions: list[Action], now: float) -> None:
        for action in actions:
            if isinstance(action, Send):
                self.retransmissions += action.repeated
                self._send(running, action.request)
            else:
                self._end(running, action.end.value, action.result_code)
        deadline = running.session.deadline
        if deadline is not None and (running.ticks_at is None or deadline < running.ticks_at):
            running.ticks_at = deadline
            self._schedule.at(deadline, partial(self._tick, running))

    def _end(self, running: _Running, end: str, code: int | None) -> None:
        self._running.pop(running.session.writer.session_id, None)
        self.endings[end if code is None else f"{end} {code}"] += 1
        self.books.setdefault(running.subscriber.msisdn, Books()).add(running.session.books)
        self.closed.add(running.session.books)
        if self._stopping and not self._running:
            self._schedule.finish()

    def _send(self, running: _Running, request: CreditControlRequest) -> None:
        """Sends, if any server can be reached. Where none can, Tx will tell."""
        peer = self._peer_for(running)
        if peer is None:
            self.errors["not sent"] += 1
            return
        try:
            # The session supervises its answers itself; a late one is still an answer.
            future = self._node.start(request, peer, timeout_s=2 * self._behaviour.tries * self._tx_s)
        except DiameterError as error:
            self.errors[type(error).__name__] += 1
            return
        future.add_done_callback(partial(self._answered, running, request, time.perf_counter_ns()))

    def _peer_for(self, running: _Running) -> Peer | None:
        """The session's own server, or another one where the session may move to it (RFC 8506 §5.7)."""
        for offset in range(len(self.peers) if running.session.may_move else 1):
            place = (running.peer + offset) % len(self.peers)
            if self.peers[place].is_usable:
                running.peer = place
                return self.peers[place]
        return None

    def _answered(
        self, running: _Running, request: CreditControlRequest, sent_ns: int, future: "asyncio.Future[Answer]"
    ) -> None:
        try:
            self._take_answer(running, request, sent_ns, future)
        except Exception as error:  # noqa: BLE001, RUF100 - to whoever awaits the run
            self._schedule.fail(error)

    def _take_answer(
        self, running: _Running, request: CreditControlRequest, sent_ns: int, future: "asyncio.Future[Answer]"
    ) -> None:
        if future.cancelled():
            return
        error = future.exception()
        now = self._schedule.now()
        if isinstance(error, PeerGone):
            self.errors["connection lost"] += 1
            self._act(running, running.session.timeout(request, now), now)
        elif error is not None:
            self.errors[type(error).__name__] += 1
        else:
            answer = future.result()
            self.latencies.record_ns(time.perf_counter_ns() - sent_ns)
            code = getattr(answer, "result_code", None) or 0
            self.answers[REQUEST_NAMES[request.cc_request_type], code] += 1
            if self._drop_answers and self._drop_dice.random() < self._drop_answers:
                self.answers_dropped += 1
                return
            self._act(running, running.session.answer(answer, now), now)

    def _reauthorise(self, request: ReAuthRequest, _peer: Peer) -> Answer:
        """RFC 8506 §5.5: LIMITED_SUCCESS when an update follows, SUCCESS when one is under way already."""
        running = self._running.get(request.session_id)
        code = ResultCode.UNKNOWN_SESSION_ID
        if running is not None:
            now = self._schedule.now()
            actions = running.session.reauthorise(now, request.rating_group)
            code = ResultCode.LIMITED_SUCCESS if actions else ResultCode.SUCCESS
            # After the answer, as the clause has it.
            asyncio.get_running_loop().call_soon(self._act, running, actions, now)
        endpoint = self._endpoint
        answer = request.answer(code, origin_host=endpoint.origin_host, origin_realm=endpoint.origin_realm)
        assert isinstance(answer, ReAuthAnswer)
        return answer
