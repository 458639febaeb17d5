"""The Gy/Ro front: takes CCRs from the node, has the ledger decide them, and answers.

Refuses to know prices and balances. Nothing here waits: the answer is made when the ledger says that the decision is
on disk.
"""

import asyncio
from collections import Counter
from functools import partial
from typing import Any

import structlog

from aiodiameter.message import FailedAvp, error_answer
from aiodiameter.messages.credit_control import CreditControlRequest
from aiodiameter.result_codes import ResultCode
from ocs.charging.decide import Decision
from ocs.store.ledger import Ledger

from .answer import to_answer
from .request import RequestRefused, identities_of, to_command

log = structlog.get_logger("ocs.gateway")


class CreditControlFront:
    """Serves application 4 for one node."""

    def __init__(
        self,
        ledger: Ledger,
        origin_host: str,
        origin_realm: str,
        *,
        failure_handling: int | None = None,
        session_failover: int | None = None,
    ) -> None:
        self.ledger = ledger
        self.origin_host = origin_host
        self.origin_realm = origin_realm
        self.failure_handling = failure_handling
        self.session_failover = session_failover
        self.answered: Counter[tuple[int, int]] = Counter()
        """By (CC-Request-Type, Result-Code)."""
        self.repeated = 0
        self.uncharged = 0
        """Answers that left used units uncharged: a gateway let through what nothing could pay for."""
        self._loop = asyncio.get_running_loop()

    def handle(self, request: CreditControlRequest, _peer: Any) -> "asyncio.Future[Any] | Any":
        """The handler for `Node.on(CreditControlRequest, ...)`: an answer, or a future of one."""
        try:
            command = to_command(request)
        except RequestRefused as refusal:
            self.answered[request.cc_request_type, refusal.result_code] += 1
            avps: dict[str, Any] = {"error_message": str(refusal)}
            if refusal.failed_avp is not None:
                avps["failed_avp"] = [FailedAvp(other=[refusal.failed_avp])]
            return self._error(request, refusal.result_code, **avps)
        future: asyncio.Future[Any] = self._loop.create_future()
        self.ledger.submit_for(identities_of(request), command, partial(self._decided, request, future))
        return future

    def _decided(
        self, request: CreditControlRequest, future: "asyncio.Future[Any]", result: Decision | Exception
    ) -> None:
        if future.done():
            return  # the node is closing and waits no more
        if isinstance(result, Exception):
            # The client applies its Credit-Control-Failure-Handling, or repeats the request (RFC 8506 §5.7). What went
            # wrong is in the log, and is nobody else's business.
            self.answered[request.cc_request_type, ResultCode.UNABLE_TO_DELIVER] += 1
            text = "the charging server could not decide, or not put on disk what it decided"
            future.set_result(self._error(request, ResultCode.UNABLE_TO_DELIVER, error_message=text))
            return
        answer, receipt = result.answer, result.receipt
        assert answer is not None, "a credit-control request always has an answer"
        self.answered[request.cc_request_type, answer.result_code] += 1
        if receipt is None:
            self.repeated += 1
        elif any(service.uncharged for service in receipt.services):
            self.uncharged += 1
        try:
            message = to_answer(
                request, answer, self.origin_host, self.origin_realm, self.failure_handling, self.session_failover
            )
        except Exception as error:  # the node logs it and answers 5012; what was decided stands
            future.set_exception(error)
        else:
            future.set_result(message)

    def _error(self, request: CreditControlRequest, code: ResultCode, **avps: Any) -> Any:
        return error_answer(
            request.header, request, code, origin_host=self.origin_host, origin_realm=self.origin_realm, **avps
        )
