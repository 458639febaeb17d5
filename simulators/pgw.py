"""The Gy behaviour of a PGW/PCEF for one session: a pure state machine (RFC 8506 §7, TS 32.299 §6).

    session = GySession(writer, new_id)
    actions = session.start(now)                      # Send(CCR-I)
    actions = session.answer(cca, now)
    actions = session.use(10, now, octets_down=5000)  # Send(CCR-U) when rating group 10 needs quota
    actions = session.tick(now)                       # whenever `session.deadline` has come
    actions = session.stop(now)                       # Send(CCR-T)

Owns the session's state, its CC-Request-Numbers, what waits for an answer, and its books. Refuses to know sockets,
Hop-by-Hop Identifiers and clocks: `now` comes in, in seconds since 1970, and what has to be done goes out as actions.

One request is under way at a time. What becomes due in the meantime goes into the next one, all services together.
Deviation from RFC 8506 §5.7: when Tx expires, the same request is first repeated with the T flag, as gateways do that
guard against the loss of a single message; only then comes what Credit-Control-Failure-Handling says.
"""

from collections.abc import Callable

from aiodiameter.message import Answer
from aiodiameter.messages.credit_control import (
    CcRequestType,
    CreditControlAnswer,
    CreditControlRequest,
    FailureHandling,
    MultipleServicesCreditControl,
)
from aiodiameter.result_codes import ResultCode

from .behaviour import (
    ABOUT_THE_USER,
    FAILOVER_SUPPORTED,
    NOBODY_TO_TELL,
    TEMPORARY,
    Action,
    Behaviour,
    End,
    Ended,
    Send,
    State,
)
from .books import Books, RatingGroup, Usage, enter
from .ccr import CcrWriter
from .pending import Pending
from .service import Due, Report, Service

_UPDATE, _TERMINATION = CcRequestType.UPDATE_REQUEST, CcRequestType.TERMINATION_REQUEST


class GySession:
    """One session. `new_id` gives End-to-End Identifiers (RFC 6733 §3)."""

    service_class: type[Service] = Service

    def __init__(self, writer: CcrWriter, new_id: Callable[[], int], behaviour: Behaviour | None = None) -> None:
        self.writer = writer
        self.behaviour = behaviour or Behaviour()
        self.state = State.IDLE
        self.books = Books()
        self.services: dict[RatingGroup, Service] = {}
        self.retransmissions = 0
        self.end: Ended | None = None
        self.may_move = True
        """Whether requests may go to another server: new ones may, later ones where the server allows it (§5.7)."""
        self._new_id = new_id
        self._number = 0
        self._pending: dict[int, Pending] = {}
        self._failure_handling = self.behaviour.failure_handling
        self._server: str | None = None
        self._stopping = False

    # What happens to a session.

    def start(self, now: float) -> list[Action]:
        """The subscriber connects. Once."""
        assert self.state is State.IDLE, "a session starts once"
        self.state = State.OPENING
        asked = [self._service(rating_group) for rating_group in self.behaviour.at_start]
        reports = [service.report(Due(None), now) for service in asked]
        return [self._send(CcRequestType.INITIAL_REQUEST, reports, now)]

    def use(
        self,
        rating_group: RatingGroup,
        now: float,
        *,
        octets_up: int = 0,
        octets_down: int = 0,
        seconds: int = 0,
        events: int = 0,
    ) -> list[Action]:
        """Traffic of one rating group wants to pass. What cannot pass yet waits; what may not is dropped."""
        return self.use_many({rating_group: Usage(octets_up, octets_down, seconds, events)}, now)

    def use_many(self, usages: dict[RatingGroup, Usage], now: float) -> list[Action]:
        """Traffic of several rating groups in the same moment: what becomes due shares a request."""
        assert self.state is not State.IDLE, "a session starts before it is used"
        controlled = self.state in (State.OPENING, State.OPEN) and not self._stopping
        for rating_group, usage in usages.items():
            if controlled:
                service = self._service(rating_group)
                service.offer(usage, now)
                service.flow(now, self._goes_beyond())
            else:
                books = self.books.of(rating_group)
                enter(books.offered, usage)
                enter(books.free if self.state is State.UNCONTROLLED else books.dropped, usage)
        return self._go_on(now)

    def tick(self, now: float) -> list[Action]:
        """Time has passed; needed at `deadline`, harmless at any other time."""
        actions: list[Action] = []
        for identifier, pending in list(self._pending.items()):
            if identifier in self._pending and pending.deadline is not None and pending.deadline <= now:
                actions += self._no_answer(pending, now)
        return actions + self._go_on(now)

    def timeout(self, request: CreditControlRequest, now: float) -> list[Action]:
        """No answer will come to a request that was sent: its connection was lost. As if Tx had expired."""
        pending = self._pending.get(request.header.end_to_end)
        return [] if pending is None else self._no_answer(pending, now)

    def answer(self, answer: Answer, now: float) -> list[Action]:
        """An answer has come: a CCA, or an answer with the E bit. One that nothing waits for changes nothing."""
        identifier = answer.header.end_to_end
        pending = self._pending.get(identifier)
        if pending is None:
            return []
        if isinstance(answer, CreditControlAnswer):
            if answer.cc_request_number != pending.request.cc_request_number:
                return []
            self._learn(answer)
        del self._pending[identifier]
        code = getattr(answer, "result_code", ResultCode.UNABLE_TO_COMPLY)
        if self._is_success(code) and isinstance(answer, CreditControlAnswer):
            return self._accepted(pending, answer, now)
        return self._refused(pending, code, now)

    def reauthorise(self, now: float, rating_group: RatingGroup = None) -> list[Action]:
        """The server wants a report now (Re-Auth-Request, RFC 8506 §5.5): of one rating group, or of all (None)."""
        for service in self.services.values():
            if rating_group is None or service.rating_group == rating_group:
                service.force()
        return self._go_on(now)

    def stop(self, now: float) -> list[Action]:
        """The subscriber disconnects. What is under way is waited for, then the CCR-T is sent."""
        if self.state is State.UNCONTROLLED:
            return self._finish(End.RELEASED)
        if self.state in (State.OPENING, State.OPEN) and not self._stopping:
            self._stopping = True
            for service in self.services.values():
                service.drop()
        return self._go_on(now)

    def abandon(self) -> list[Action]:
        """Whoever runs the session waits no longer for its answers."""
        return [] if self.is_over else self._finish(End.NO_ANSWER)

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or was never started."""
        return self.state in (State.IDLE, State.ENDED)

    @property
    def deadline(self) -> float | None:
        """When `tick` is needed next; None: not before something else happens."""
        times = [pending.deadline for pending in self._pending.values()]
        if self.state is State.OPEN:
            times += [service.deadline for service in self.services.values()]
        return min((time for time in times if time is not None), default=None)

    # Requests.

    def _service(self, rating_group: RatingGroup) -> Service:
        service = self.services.get(rating_group)
        if service is None:
            service = self.services[rating_group] = self.service_class(rating_group, self.books.of(rating_group))
        return service

    def _send(self, request_type: CcRequestType, reports: list[Report], now: float) -> Send:
        request = self.writer.write(request_type, self._number, now, reports, self._server)
        self._number += 1
        request.header.end_to_end = self._new_id()
        self._pending[request.header.end_to_end] = Pending(request, reports, self._tx_deadline(now))
        return Send(request)

    def _tx_deadline(self, now: float) -> float | None:
        return now + self.behaviour.tx_s

    def _goes_beyond(self) -> bool:
        """Whether traffic may pass without quota. RFC 8506 §5.7: after Tx expired, unless the handling is TERMINATE."""
        if self.behaviour.leak:
            return True
        repeated = any(pending.tries > 1 for pending in self._pending.values())
        return repeated and self._failure_handling is not FailureHandling.TERMINATE

    def _go_on(self, now: float) -> list[Action]:
        """Sends what is due, if it may be sent now."""
        if self.state is not State.OPEN or not self._may_send():
            return []
        if self._stopping:
            return [self._terminate(now)]
        due = [(service, why) for service in self.services.values() if (why := service.due(now)) is not None]
        return [self._send(_UPDATE, [service.report(why, now) for service, why in due], now)] if due else []

    def _may_send(self) -> bool:
        return not self._pending

    def _terminate(self, now: float) -> Send:
        self.state = State.CLOSING
        reports = [report for service in self.services.values() if (report := service.close(now)) is not None]
        return self._send(_TERMINATION, reports, now)

    def _no_answer(self, pending: Pending, now: float) -> list[Action]:
        if pending.tries < self.behaviour.tries:
            return [self._repeat(pending, now)]
        del self._pending[pending.request.header.end_to_end]
        if pending.request.cc_request_type is _TERMINATION:
            return self._finish(End.NO_ANSWER)
        if self._failure_handling is FailureHandling.CONTINUE:
            return self._go_uncontrolled()
        return self._finish(End.NO_ANSWER)

    def _repeat(self, pending: Pending, now: float) -> Send:
        repetition = pending.repeat(self._tx_deadline(now))
        self.retransmissions += 1
        for service in self.services.values():
            service.flow(now, self._goes_beyond())
        return Send(repetition, repeated=True)

    # Answers.

    def _is_success(self, code: int) -> bool:
        return 2000 <= code < 3000

    def _learn(self, answer: CreditControlAnswer) -> None:
        self.may_move = answer.cc_session_failover == FAILOVER_SUPPORTED
        # Requests that any server may take name none.
        self._server = None if self.may_move else answer.origin_host
        if answer.credit_control_failure_handling in FailureHandling.__members__.values():
            self._failure_handling = FailureHandling(answer.credit_control_failure_handling or 0)

    def _accepted(self, pending: Pending, answer: CreditControlAnswer, now: float) -> list[Action]:
        for report in pending.reports:
            if report.usage is not None:
                enter(self.books.of(report.rating_group).confirmed, report.usage)
        if pending.request.cc_request_type is _TERMINATION:
            return self._finish(End.RELEASED)
        if self.state is State.CLOSING:
            return []
        self.state = State.OPEN
        self._apply(pending.reports, answer.multiple_services_credit_control, now)
        return self._go_on(now)

    def _apply(self, reports: list[Report], blocks: list[MultipleServicesCreditControl], now: float) -> None:
        """What the server says of each service that the request was about."""
        by_group = {block.rating_group: block for block in blocks}
        for report in reports:
            service = self.services[report.rating_group]
            service.answered(by_group.get(report.rating_group), report.due, now, self.behaviour.retry_s)
        for service in self.services.values():
            service.flow(now, self._goes_beyond())

    def _refused(self, pending: Pending, code: int, now: float) -> list[Action]:
        """An answer other than success at command level: RFC 8506 §7, Tables 3 and 4."""
        kind = pending.request.cc_request_type
        if kind is _TERMINATION:
            return self._finish(End.RELEASED, code)
        if self.state is State.CLOSING:
            return []
        if code == ResultCode.CREDIT_CONTROL_NOT_APPLICABLE:
            return self._go_uncontrolled()
        if code in TEMPORARY and self._failure_handling is FailureHandling.RETRY_AND_TERMINATE:
            self._pending[pending.request.header.end_to_end] = pending
            return self._no_answer(pending, now)
        if self._failure_handling is FailureHandling.CONTINUE and code not in ABOUT_THE_USER:
            return self._go_uncontrolled()
        if kind is _UPDATE and code not in NOBODY_TO_TELL and any(s.used for s in self.services.values()):
            # The tables know no CCR-T here. The bearer is released (TS 32.251), and what passed while the answer was
            # on its way has not been told yet. What the refused request told is not told again: it may be charged.
            self.end = Ended(End.REFUSED, code)
            return [self._terminate(now)]
        return self._finish(End.REFUSED, code)

    def _go_uncontrolled(self) -> list[Action]:
        self.state = State.UNCONTROLLED
        self._pending.clear()
        for service in self.services.values():
            enter(service.books.free, service.waiting.take_all())
        return self._finish(End.RELEASED) if self._stopping else []

    def _finish(self, end: End, code: int | None = None) -> list[Action]:
        self.state = State.ENDED
        self._pending.clear()
        for service in self.services.values():
            service.drop()
        self.end = self.end or Ended(end, code)
        return [self.end]
