"""The Gy behaviour of Open5GS (2.7.7, SMF as PGW-C), as seen on the wire: where it differs from the standards.

Owns the differences, each said where it is made. What is common stays in `pgw`, `service` and `ccr`.

It names no Rating-Group; its requests claim DIRECT_DEBITING and no multiple services; it measures and does not enforce;
it supervises no answer and repeats nothing; several updates may be under way.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from aiodiameter.avp import FLAG_MANDATORY, Avp
from aiodiameter.dictionary import facts_of
from aiodiameter.messages.credit_control import (
    CcRequestType,
    CreditControlRequest,
    MultipleServicesCreditControl,
    ReportingReason,
    RequestedAction,
    RequestedServiceUnit,
    ServiceInformation,
    UsedServiceUnit,
)
from aiodiameter.result_codes import ResultCode

from .behaviour import Action, Behaviour, End, Ended, State
from .books import RatingGroup, ServiceBooks, Unit, enter
from .ccr import IN_QUOTA, Bearer, CcrWriter, Endpoint
from .pending import Pending
from .pgw import GySession
from .service import Due, Phase, Report, Service

REQUESTED_OCTETS = 1_000_000
"""What it asks for, each time."""


def _unsigned32(name: str, value: int) -> Avp:
    facts = facts_of(name)
    return Avp(facts.code, value.to_bytes(4, "big"), facts.vendor, FLAG_MANDATORY)


def _group(name: str, *avps: Avp) -> Avp:
    facts = facts_of(name)
    return Avp(facts.code, b"".join(avp.to_bytes() for avp in avps), facts.vendor, FLAG_MANDATORY)


_AOC_FULL = _unsigned32("AoC-Request-Type", 1)
_QOS = _group(
    "QoS-Information",
    _unsigned32("QoS-Class-Identifier", 9),
    _group(
        "Allocation-Retention-Priority",
        _unsigned32("Priority-Level", 8),
        _unsigned32("Pre-emption-Capability", 1),
        _unsigned32("Pre-emption-Vulnerability", 1),
    ),
    _unsigned32("APN-Aggregate-Max-Bitrate-UL", 1_000_000_000),
    _unsigned32("APN-Aggregate-Max-Bitrate-DL", 1_000_000_000),
)


class Open5gsWriter(CcrWriter):
    """Its requests."""

    def __init__(self, endpoint: Endpoint, bearer: Bearer, session_id: str) -> None:
        super().__init__(endpoint, bearer, session_id, requested=REQUESTED_OCTETS)

    def write(
        self,
        request_type: CcRequestType,
        number: int,
        now: float,
        reports: list[Report],
        destination_host: str | None = None,
    ) -> CreditControlRequest:
        request = self._frame(request_type, number, now, destination_host)
        first = request_type is CcRequestType.INITIAL_REQUEST
        request.origin_state_id = None
        request.requested_action = RequestedAction.DIRECT_DEBITING  # meant for events only (RFC 8506 §8.41)
        request.other = [_AOC_FULL]
        request.multiple_services_indicator = 0 if first else None
        request.multiple_services_credit_control = [self.block(report) for report in reports]
        request.service_information = self.service_information(pdp_type=0) if first else self._information
        return request

    def block(self, report: Report) -> MultipleServicesCreditControl:
        due = report.due
        block = MultipleServicesCreditControl(other=[_QOS])
        if due.asks:
            block.requested_service_unit = RequestedServiceUnit(cc_total_octets=self.requested)
        if report.usage is not None:
            used = UsedServiceUnit(
                cc_time=report.counted_s,
                cc_input_octets=report.usage.octets_up,
                cc_output_octets=report.usage.octets_down,
            )
            if due.reason in IN_QUOTA:
                used.reporting_reason = due.reason
            block.used_service_unit = [used]
        if due.reason not in IN_QUOTA:
            block.reporting_reason = due.reason
        return block

    def service_information(self, **changes: Any) -> ServiceInformation:
        # The PDP type is in the first request only; the NSAPI is the number itself, not its digit.
        own = {"pdp_type": None, "nsapi": b"\x05", "user_equipment_info": self._equipment}
        return super().service_information(**{**own, **changes})


class Open5gsService(Service):
    """The one service of a session: counts, reports, and lets everything pass."""

    def __init__(self, rating_group: RatingGroup, books: ServiceBooks) -> None:
        super().__init__(rating_group, books)
        self.counted_from = 0.0
        """Where CC-Time counts from: 1970, where the first answer granted nothing that has to do with time."""
        self.validity_s: int | None = None

    def due(self, now: float) -> Due | None:
        if self.phase is not Phase.OPEN:
            return None
        if self.expires_at is not None and self.expires_at <= now:
            return Due(ReportingReason.VALIDITY_TIME)
        return self._quota_due()

    def report(self, due: Due, now: float) -> Report:
        usage = self.used.take_all()
        enter(self.books.reported, usage)
        counted_s = int(now - self.counted_from) if self.phase is Phase.OPEN else 0
        self.counted_from = now
        # Counting starts again at the report, with the old quota and the old time, until the answer brings new ones.
        self.expires_at = None if self.validity_s is None else now + self.validity_s
        first = due.asks and self.phase is Phase.NEW
        return Report(self.rating_group, due, None if first else usage, (Unit.OCTETS,), counted_s)

    def close(self, now: float) -> Report | None:
        self.drop()
        started = self.phase is Phase.OPEN
        report = self.report(Due(ReportingReason.FINAL if started else None, asks=False), now)
        self._stop(Phase.ENDED)
        return report

    def accept(self, block: MultipleServicesCreditControl | None, now: float) -> None:
        """A successful answer. One without units switches reporting off, and traffic flows on to the end unreported."""
        first = self.phase is Phase.NEW
        self.phase, self.limit, self.threshold, self.final = Phase.OPEN, {}, {}, None
        self.validity_s = None if block is None else block.validity_time
        granted = None if block is None else block.granted_service_unit
        # What is granted for one direction only, and events, it does not look at.
        if granted is not None and granted.cc_total_octets:
            self.limit[Unit.OCTETS] = granted.cc_total_octets
            self.books.granted[Unit.OCTETS] += granted.cc_total_octets
            if block is not None and block.volume_quota_threshold:
                self.threshold[Unit.OCTETS] = block.volume_quota_threshold
        if block is not None and block.final_unit_indication is not None:
            self.final = block.final_unit_indication.final_unit_action
        if first:
            timed = self.validity_s is not None or (granted is not None and granted.cc_time is not None)
            self.counted_from = now if timed else 0.0
            self.expires_at = None if self.validity_s is None else now + self.validity_s
        elif self.validity_s is None and not self.limit:
            self.expires_at = None


class Open5gsSession(GySession):
    """One session of it."""

    service_class = Open5gsService

    def __init__(self, writer: Open5gsWriter, new_id: Callable[[], int], behaviour: Behaviour | None = None) -> None:
        behaviour = msgspec.structs.replace(behaviour or Behaviour(), leak=True, tries=1, at_start=(None,))
        super().__init__(writer, new_id, behaviour)

    def _tx_deadline(self, now: float) -> float | None:
        return None

    def _may_send(self) -> bool:
        return True

    def _is_success(self, code: int) -> bool:
        return code == ResultCode.SUCCESS

    def _go_on(self, now: float) -> list[Action]:
        service = self.services.get(None)
        if service is not None and not self._stopping and (due := service.due(now)) is not None and not due.asks:
            self._stopping = True  # any final unit indication: straight to the CCR-T when the units are used
        return super()._go_on(now)

    def _apply(self, reports: list[Report], blocks: list[MultipleServicesCreditControl], now: float) -> None:
        service = self.services[None]
        assert isinstance(service, Open5gsService)
        last = blocks[-1] if blocks else None
        if last is not None and last.result_code not in (None, ResultCode.SUCCESS):
            self._stopping = True
            service.drop()
            return
        service.accept(last, now)
        service.flow(now, beyond=True)

    def _refused(self, pending: Pending, code: int, now: float) -> list[Action]:
        kind = pending.request.cc_request_type
        if kind is CcRequestType.TERMINATION_REQUEST:
            return self._finish(End.RELEASED, code)
        if self.state is State.CLOSING:
            return []
        if kind is CcRequestType.INITIAL_REQUEST and code != ResultCode.UNKNOWN_SESSION_ID:
            return self._finish(End.REFUSED, code)
        self.end = Ended(End.REFUSED, code)
        return [self._terminate(now)]

    def stop(self, now: float) -> list[Action]:
        if self.state is State.OPENING:
            return self._finish(End.NO_ANSWER)  # the attach hangs until the subscriber gives it up
        return super().stop(now)

    def reauthorise(self, now: float, rating_group: RatingGroup = None) -> list[Action]:
        return []  # a Re-Auth-Request is answered with success, and nothing else happens
