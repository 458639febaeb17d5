"""Requests and answers of one open connection: to the handlers and back, and ours to the peer.

Owns what is in flight in both directions. Refuses to know the socket, the state of the connection (it asks for a write
and says when all is answered) and what any request means. This is the hot path: a good request costs no task, no timer
and no log line.
"""

import asyncio
from collections.abc import Awaitable
from functools import partial
from typing import TYPE_CHECKING, Any

from .codec import Decoded, encode
from .errors import AnswerTimeout, AvpError, PeerGone
from .header import FLAG_ERROR, FLAG_PROXIABLE, FLAG_REQUEST, Header
from .log_budget import LogBudget
from .message import Answer, ErrorAnswer, FailedAvp, Message, Request, answer_header, error_answer
from .pending import PendingRequests, settle
from .result_codes import ResultCode

if TYPE_CHECKING:
    from .connection import Connection
    from .context import Context
    from .peer import Peer

_ALL_BUT_ERROR = 0xFF & ~FLAG_ERROR


class Exchange:
    """What goes over one connection once capabilities have been exchanged."""

    def __init__(self, context: "Context", connection: "Connection", peer: "Peer") -> None:
        self._context = context
        self._connection = connection
        self._write = connection.write
        self._find_route = context.routes.get
        self._max_in_flight = context.settings.max_in_flight
        self._counters = peer.counters
        self._requests_received = peer.counters.requests_received
        self._answers_sent = peer.counters.answers_sent
        self._log_budget = LogBudget()
        self.peer = peer
        self.in_flight = 0
        """Requests received whose answer is not written yet."""
        self.pending = PendingRequests(context.random_32_bits(), context.settings.max_outstanding)

    def receive(self, decoded: Decoded, frame: bytes) -> None:
        """Take a message that is not the base protocol's own."""
        header, message, faults = decoded
        if not header.flags & FLAG_REQUEST:
            self._receive_answer(decoded)
            return
        route = self._find_route(type(message))
        if route is None or faults:
            self.refuse(decoded, frame)
            return
        request: Any = message
        self._requests_received[route.key] += 1
        elsewhere = route.misdelivery(request)
        if elsewhere is not None:
            self.answer_error(header, request, elsewhere)
            return
        if self.in_flight >= self._max_in_flight:
            self.answer_error(header, request, ResultCode.TOO_BUSY)
            return
        try:
            outcome = route.handler(request, self.peer)
        except Exception:  # whatever a handler does, its request is answered
            self._handler_failed(request)
            return
        if isinstance(outcome, Answer):
            self._send_answer(request, outcome)
        else:
            self._await_answer(request, outcome)

    def refuse(self, decoded: Decoded, frame: bytes) -> None:
        """Answer a request that cannot be processed with the first of its faults (§7)."""
        header, message, faults = decoded
        if faults:
            fault = faults[0]
        else:
            fault = AvpError(ResultCode.COMMAND_UNSUPPORTED, f"command {header.command_code} has no handler here")
        self._connection.report(fault.result_code.name, fault.text, frame)
        failed = [FailedAvp(other=[fault.failed_avp])] if fault.failed_avp else []
        self.answer_error(header, message, fault.result_code, failed_avp=failed, error_message=fault.text)

    def answer_error(self, header: Header, request: Message | None, code: ResultCode, **avps: Any) -> None:
        """Answer with an error. `avps` that the answer's class does not declare are left out."""
        identity = self._context.identity
        answer_class = (
            request.answer_class if isinstance(request, Request) and not code.is_protocol_error else ErrorAnswer
        )
        allowed = {name: value for name, value in avps.items() if name in answer_class.__struct_fields__}
        try:
            data = encode(
                error_answer(header, request, code, origin_host=identity.host, origin_realm=identity.realm, **allowed)
            )
        except Exception:
            # What the answer would have to copy from the request cannot be sent: the barest form always can.
            flags = header.flags & FLAG_PROXIABLE | (FLAG_ERROR if code.is_protocol_error else 0)
            data = encode(
                ErrorAnswer(
                    header=answer_header(header, flags),
                    origin_host=identity.host,
                    origin_realm=identity.realm,
                    result_code=code,
                )
            )
        self._answers_sent[code] += 1
        self._write(data)

    def _send_answer(self, request: Request, answer: Answer) -> None:
        header, own = request.header, answer.header
        if (
            own.command_code != header.command_code
            or own.hop_by_hop != header.hop_by_hop
            or own.end_to_end != header.end_to_end
            or own.flags & _ALL_BUT_ERROR != header.flags & FLAG_PROXIABLE
        ):
            # A stored answer to a repeated request: identifiers and P flag are always those of the request at hand.
            answer.header = answer_header(header, header.flags & FLAG_PROXIABLE | own.flags & FLAG_ERROR)
        try:
            data = encode(answer)
            self._check_class(request, answer)
        except Exception:  # a handler's mistake is no reason to leave the peer waiting
            self._handler_failed(request)
            return
        self._answers_sent[getattr(answer, "result_code", None) or 0] += 1
        self._write(data)

    def _check_class(self, request: Request, answer: Answer) -> None:
        if type(answer) is not request.answer_class and type(answer) is not ErrorAnswer:
            raise TypeError(f"{type(answer).__name__} does not answer {type(request).__name__}")

    def _await_answer(self, request: Request, outcome: Any) -> None:
        if not asyncio.isfuture(outcome):
            if not isinstance(outcome, Awaitable):
                self._handler_failed(request, TypeError(f"{outcome!r} is no answer"))
                return
            outcome = self._context.spawn(outcome)
        self.in_flight += 1
        outcome.add_done_callback(partial(self._answer_ready, request))

    def _answer_ready(self, request: Request, future: "asyncio.Future[Answer]") -> None:
        self.in_flight -= 1
        if self._connection.closed:
            self._counters.unsent_answers += 1
            if not future.cancelled() and future.exception() is not None:
                self._log_failure(request, future.exception())
        elif future.cancelled():
            self._handler_failed(request, asyncio.CancelledError("the handler was cancelled"))
        elif future.exception() is not None:
            self._handler_failed(request, future.exception())
        elif isinstance(future.result(), Answer):
            self._send_answer(request, future.result())
        else:
            self._handler_failed(request, TypeError(f"{future.result()!r} is no answer"))
        if not self.in_flight:
            self._connection.all_answered()

    def _handler_failed(self, request: Request, error: BaseException | None = None) -> None:
        self._log_failure(request, error)
        self.answer_error(request.header, request, ResultCode.UNABLE_TO_COMPLY)

    def _log_failure(self, request: Request, error: BaseException | None) -> None:
        unsaid = self._log_budget.take(self._connection.loop.time())
        if unsaid is not None:
            self._context.log.error(
                "handler failed",
                peer=self.peer.origin_host,
                request=request.name,
                session_id=getattr(request, "session_id", None),
                unsaid=unsaid,
                exc_info=error or True,
            )

    def start(self, request: Request, timeout_s: float) -> "asyncio.Future[Answer]":
        """Send a request of ours. Its header gets our identifiers; an `end_to_end` that is set already is kept, for
        a repetition (§5.5.4). Raises PeerBusy and EncodeError; the future raises PeerGone, AnswerTimeout, BadAnswer.
        """
        header = request.header
        header.hop_by_hop = self.pending.new_id()
        header.end_to_end = header.end_to_end or self._context.next_end_to_end()
        data = encode(request)
        loop = self._connection.loop
        future: asyncio.Future[Answer] = loop.create_future()
        self.pending.add(header, loop.time() + timeout_s, future)
        self._counters.requests_sent[header.application_id, header.command_code] += 1
        self._connection.expect_answers()
        self._write(data)
        return future

    def _receive_answer(self, decoded: Decoded) -> None:
        header, message, faults = decoded
        future = self.pending.take(header)
        if future is None:
            self._counters.stray_answers += 1
            return
        answer = message if isinstance(message, Answer) else None
        self._counters.count_received(getattr(answer, "result_code", None) or 0)
        settle(future, answer, faults[0].text if faults else None)

    def expire(self, now: float) -> None:
        """Give up the requests whose time is over."""
        for future in self.pending.expire(now):
            self._counters.timeouts += 1
            future.set_exception(AnswerTimeout(f"{self.peer.origin_host} did not answer in time"))

    def give_up(self, reason: str) -> None:
        """The connection has gone: no answer will come."""
        for future in self.pending.drop_all():
            future.set_exception(PeerGone(f"the connection to {self.peer.origin_host} ended: {reason}"))
