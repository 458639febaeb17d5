"""One run of load: closed loop or open loop, over connections whose sessions are there.

Owns when requests are sent, the counting, and the bounds: a run is limited in time, and waits no longer than `GRACE_S`
for what is missing at its end. What is sent is `load_session`; how, `load_connection`.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Sequence

from aiodiameter.messages.credit_control import CcRequestType

from .figures import REQUEST_NAMES, Answers, Figures, LoadResult, OnFigures
from .latency import Latencies
from .load_connection import LoadConnection
from .load_session import LoadSession, count_grants, read_result_code

GRACE_S = 10.0
"""How long the last answers are waited for: Tx (RFC 8506 §13)."""
_TICK_S = 0.001
"""How often the open loop looks at what is to be sent: the resolution of the event loop's timers."""
_INITIAL, _UPDATE = CcRequestType.INITIAL_REQUEST, CcRequestType.UPDATE_REQUEST
_MAKE = {
    CcRequestType.INITIAL_REQUEST: LoadSession.initial,
    CcRequestType.UPDATE_REQUEST: LoadSession.update,
    CcRequestType.TERMINATION_REQUEST: LoadSession.termination,
}


class LoadRun:
    """Sends one kind of request for at most `seconds`. Subclasses say when."""

    def __init__(
        self, connections: Sequence[LoadConnection], kind: CcRequestType, seconds: float, phase: str = ""
    ) -> None:
        self.connections = [connection for connection in connections if connection.is_open]
        self.kind = kind
        self.seconds = seconds
        self.phase = phase
        self.ready = {connection: self._ready_at_first(connection) for connection in self.connections}
        """Sessions to send something for."""
        self.on = True
        """Whether time is left."""
        self.began_ns = self.last_ns = 0
        self.latencies, self.lag = Latencies(), Latencies()
        self.errors: Counter[str] = Counter()
        self._make = _MAKE[kind]
        self._succeeded = self._without_grant = self._unanswered = self._octets_used = 0
        self._others: Answers = Counter()
        """Answers other than success."""
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def _ready_at_first(self, connection: LoadConnection) -> deque[LoadSession]:
        wanted = self.kind is not _INITIAL
        return deque(session for session in connection.sessions if session.is_open is wanted)

    def begin(self) -> None:
        """Sends what is to be sent at first."""
        raise NotImplementedError

    def next(self, connection: LoadConnection) -> None:
        """Sends what may be sent now that an answer has come on that connection."""
        raise NotImplementedError

    def has_more(self) -> bool:
        """Whether there is anything to send, now or later."""
        raise NotImplementedError

    def time_is_up(self) -> None:
        """Nothing more becomes due; what is due already is still sent."""

    def send(self, connection: LoadConnection, sent_ns: int) -> None:
        """Sends the request of the connection's next session; `sent_ns` is when its latency begins."""
        connection.send(self.ready[connection].popleft(), self._make, sent_ns)

    # What connections tell.

    def answered(self, connection: LoadConnection, session: LoadSession, answer: bytes, now_ns: int) -> None:
        code = read_result_code(answer)
        self.latencies.record_ns(now_ns - session.sent_ns)
        self.last_ns = now_ns
        if code == 2001:
            self._succeeded += 1
            if self.kind is _UPDATE:
                groups = len(session.rating_groups)
                self._octets_used += groups * session.used_octets
                self._without_grant += count_grants(answer, groups) < groups
            elif self.kind is _INITIAL:
                session.opened(connection.server)
        else:
            self._others[REQUEST_NAMES[self.kind], code] += 1
        if self.kind is _UPDATE:
            self.ready[connection].append(session)
        self.next(connection)
        if not connection.under_way:
            self._end_if_done()

    def lost(self, connection: LoadConnection, sessions: list[LoadSession]) -> None:
        self.errors["connection lost"] += 1
        self._unanswered += len(sessions)
        self.connections.remove(connection)
        self.ready[connection].clear()
        self._end_if_done()

    def _end_if_done(self) -> None:
        idle = not any(connection.under_way for connection in self.connections)
        if not self._ended.done() and (not self.connections or (idle and not self.has_more())):
            self._ended.set_result(None)

    # The run.

    async def go(self, on_figures: OnFigures | None = None, interval_s: float = 0.5) -> LoadResult:
        """Runs it. `on_figures` is called every `interval_s`."""
        connections = list(self.connections)
        strays = sum(connection.stray_answers for connection in connections)
        for connection in connections:
            connection.driver = self
        watcher = None
        if on_figures is not None:
            watcher = asyncio.get_running_loop().create_task(self._watch(on_figures, interval_s))
        cpu_s = time.process_time()
        self.began_ns = self.last_ns = time.perf_counter_ns()
        try:
            self.begin()
            self._end_if_done()
            await asyncio.wait([self._ended], timeout=self.seconds)
            self.on = False
            self.time_is_up()
            self._end_if_done()
            await asyncio.wait([self._ended], timeout=GRACE_S)
        finally:
            self.on = False
            if watcher is not None:
                watcher.cancel()
                await asyncio.wait([watcher])
            for connection in connections:
                connection.driver = None
                self._unanswered += connection.forget()
        cpu_s = time.process_time() - cpu_s
        if watcher is not None and not watcher.cancelled():
            watcher.result()
        stray = sum(connection.stray_answers for connection in connections) - strays
        if stray:
            self.errors["answers that nothing waited for"] += stray
        return self._result(cpu_s)

    def _result(self, cpu_s: float) -> LoadResult:
        seconds = (self.last_ns - self.began_ns) / 1e9
        answers = self._answers()
        requests = sum(answers.values())
        return LoadResult(
            requests=requests,
            seconds=seconds,
            per_second=requests / seconds if seconds else 0.0,
            latency=self.latencies.summary(),
            lag=self.lag.summary(),
            answers=answers,
            without_grant=self._without_grant,
            unanswered=self._unanswered,
            errors=dict(self.errors),
            sessions=self._open_sessions(),
            octets_used=self._octets_used,
            cpu_s=cpu_s,
            cpu_us_per_request=cpu_s * 1e6 / requests if requests else 0.0,
        )

    def _answers(self) -> Answers:
        answers = Counter(self._others)
        if self._succeeded:
            answers[REQUEST_NAMES[self.kind], 2001] = self._succeeded
        return answers

    def _open_sessions(self) -> int:
        return sum(session.is_open for connection in self.connections for session in connection.sessions)

    async def _watch(self, on_figures: OnFigures, interval_s: float) -> None:
        while True:
            await asyncio.sleep(interval_s)
            answers = self._answers()
            on_figures(
                Figures(
                    phase=self.phase,
                    elapsed_s=(time.perf_counter_ns() - self.began_ns) / 1e9,
                    duration_s=self.seconds if self.kind is _UPDATE else None,
                    requests=sum(answers.values()),
                    latency=self.latencies.summary(),
                    sessions_open=self._open_sessions(),
                    answers=answers,
                    unanswered=self._unanswered,
                    octets_used=self._octets_used,
                )
            )


class ClosedLoop(LoadRun):
    """Keeps `in_flight` requests under way, as far as there are sessions; sends `requests` at the most."""

    def __init__(
        self,
        connections: Sequence[LoadConnection],
        kind: CcRequestType,
        seconds: float,
        phase: str = "",
        *,
        in_flight: int,
        requests: int | None = None,
    ) -> None:
        super().__init__(connections, kind, seconds, phase)
        self._in_flight = in_flight
        self._left = -1 if requests is None else requests
        """Never 0 without a limit."""

    def begin(self) -> None:
        for place in range(self._in_flight if self.connections else 0):
            self.next(self.connections[place % len(self.connections)])

    def next(self, connection: LoadConnection) -> None:
        if self.on and self._left and self.ready[connection]:
            self._left -= 1
            self.send(connection, time.perf_counter_ns())

    def has_more(self) -> bool:
        return self.on and self._left != 0 and any(self.ready.values())


class OpenLoop(LoadRun):
    """Sends `rate` requests a second, whatever the answers do. One that finds no idle session waits for one."""

    def __init__(
        self,
        connections: Sequence[LoadConnection],
        kind: CcRequestType,
        seconds: float,
        phase: str = "",
        *,
        rate: float,
    ) -> None:
        super().__init__(connections, kind, seconds, phase)
        self._gap_ns = 1e9 / rate
        self._end_ns = 0
        self._due = 0
        """Requests whose time has come."""
        self._waiting: deque[int] = deque()
        """When the requests were due that are not sent yet."""
        self._turn = 0

    def begin(self) -> None:
        self._end_ns = self.began_ns + int(self.seconds * 1e9)
        self._tick()

    def _tick(self) -> None:
        if self.on and self.connections:
            self._send_all_due(time.perf_counter_ns())
            asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    def time_is_up(self) -> None:
        if self.connections:
            self._send_all_due(time.perf_counter_ns())

    def _send_all_due(self, now_ns: int) -> None:
        until_ns = min(now_ns, self._end_ns - 1)
        while (due_ns := self.began_ns + int(self._due * self._gap_ns)) <= until_ns:
            self._due += 1
            self._waiting.append(due_ns)
            self.lag.record_ns(now_ns - due_ns)
        # Each connection takes its part, beginning with another one each time.
        self._turn += 1
        for offset in range(len(self.connections)):
            share = -(-len(self._waiting) // (len(self.connections) - offset))
            self._send_due(self.connections[(self._turn + offset) % len(self.connections)], share)

    def next(self, connection: LoadConnection) -> None:
        self._send_due(connection, 1)

    def _send_due(self, connection: LoadConnection, most: int) -> None:
        ready, waiting = self.ready[connection], self._waiting
        while most and ready and waiting:
            most -= 1
            self.send(connection, waiting.popleft())

    def has_more(self) -> bool:
        return self.on or bool(self._waiting)

    def _result(self, cpu_s: float) -> LoadResult:
        if self._waiting:
            self.errors["due and never sent"] = len(self._waiting)
        return super()._result(cpu_s)
